import OperatorTools

/// Formats reports for people: one column for each load.
package struct ReportTable {
    private static let titleWidth = 36
    private static let columnWidth = 18

    private let reports: [LoadReport]

    package init(_ reports: [LoadReport]) { self.reports = reports }

    package var text: String {
        var lines = [row("", reports.map(\.plan.name)), row("", reports.map { pace($0.plan) })]
        lines.append(
            row("Acknowledged events/s") { Report.grouped(Int($0.server.eventsPerSecond)) }
        )
        lines.append(row("  of the floor") { ratio($0.server, to: $0.floor, \.eventsPerSecond) })
        lines.append(
            row("Applied by workers, events/s") { report in
                report.server.processedEventsPerSecond.map { Report.grouped(Int($0)) } ?? "-"
            }
        )
        lines.append(row("  the disk's limit") { Report.grouped(Int(diskLimit($0))) })
        lines.append(row("Ack latency p50, ms") { number($0.server.ackP50Milliseconds, 2) })
        lines.append(row("Ack latency p99, ms") { number($0.server.ackP99Milliseconds, 2) })
        lines.append(row("  longest, ms") { number($0.server.ackMaxMilliseconds, 1) })
        lines.append(
            row("  the disk's longest silence, ms") { report in
                report.server.diskSilenceMilliseconds.map { number($0, 1) } ?? "-"
            }
        )
        lines.append(
            row("CPU without aggregator, µs/event") { number($0.server.cpuMicrosecondsPerEvent, 3) }
        )
        lines.append(
            row("  times the floor") { ratio($0.server, to: $0.floor, \.cpuMicrosecondsPerEvent) }
        )
        for name in processNames {
            lines.append(
                row("  \(name)") { report in
                    report.server.processes.first { $0.name == name }.map {
                        number($0.cpuMicrosecondsPerEvent, 3)
                    } ?? "-"
                }
            )
        }
        lines += machineLines
        return lines.joined(separator: "\n")
    }

    /// The figures of the machine, measured in the same minutes as the server's.
    private var machineLines: [String] {
        [
            row("Bytes on the wire per event") { number($0.server.wireBytesPerEvent, 0) },
            row("Bytes written per event") { number($0.server.writtenBytesPerEvent, 0) },
            row("Peak memory of all, MB") { number($0.server.peakMegabytes, 0) },
            row("Floor: events/s") { Report.grouped(Int($0.floor.eventsPerSecond)) },
            row("Floor: CPU, µs/event") { number($0.floor.cpuMicrosecondsPerEvent, 3) },
            row("Floor: latency p50, ms") { number($0.floor.ackP50Milliseconds, 2) },
            row("Disk: fdatasync p50, ms") { number($0.disk.p50Milliseconds, 2) },
            row("Disk: fdatasync p99, ms") { number($0.disk.p99Milliseconds, 2) },
            row("Disk: bytes a group") { Report.grouped($0.disk.groupBytes) },
            row("Disk: MB/s in sequence") { number($0.disk.megabytesPerSecond, 0) },
        ]
    }

    /// The names of all reports, as clusters may have different processes.
    private var processNames: [String] {
        reports.reduce(into: []) { names, report in
            for process in report.server.processes where !names.contains(process.name) {
                names.append(process.name)
            }
        }
    }

    private func diskLimit(_ report: LoadReport) -> Double {
        let bytes = report.server.writtenBytesPerEvent
        return bytes > 0 ? report.disk.megabytesPerSecond * 1e6 / bytes : 0
    }

    private func pace(_ plan: LoadPlan) -> String {
        switch plan.pace {
        case .closed: "\(plan.inFlightMax) in flight"
        case .open(let rate): "\(Report.grouped(Int(rate)))/s"
        }
    }

    private func ratio(
        _ server: ServerFigures,
        to floor: ServerFigures,
        _ value: (ServerFigures) -> Double
    ) -> String {
        let base = value(floor)
        return base > 0 ? number(value(server) / base, 2) : "-"
    }

    private func row(_ title: String, _ value: (LoadReport) -> String) -> String {
        row(title, reports.map(value))
    }

    private func row(_ title: String, _ values: [String]) -> String {
        let padding = String(repeating: " ", count: max(0, Self.titleWidth - title.count))
        return values.reduce(title + padding) { line, value in
            line + String(repeating: " ", count: max(1, Self.columnWidth - value.count)) + value
        }
    }

    /// Formats a number with `decimals` decimals.
    private func number(_ value: Double, _ decimals: Int) -> String {
        let scale = (0..<decimals).reduce(1.0) { scale, _ in scale * 10 }
        let scaled = Int((value.magnitude * scale).rounded())
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard decimals > 0 else { return sign + Report.grouped(scaled) }
        let digits = String(scaled)
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
        return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
    }
}
