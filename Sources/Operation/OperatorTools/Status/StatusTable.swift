package import TraceModel

/// Formats the status for people.
package struct StatusTable {
    private let status: ClusterStatus
    private let terminal: Terminal

    package init(_ status: ClusterStatus, terminal: Terminal) {
        self.status = status
        self.terminal = terminal
    }

    package var text: String {
        var lines: [String] = []
        lines.append("Cluster     \(state)")
        lines.append("Router      \(pid(status.router.pid))")
        lines.append("Aggregator  \(pid(status.aggregator.pid))")
        if let console = status.console {
            lines.append("Console     \(pid(console.pid)), http://\(console.address)/")
            if let problem = console.problem {
                lines.append(terminal.paint("Problem     \(problem)", .red))
            }
        }
        if let edge = status.edge { lines.append("Edge        \(pid(edge.pid))") }
        if let merging = status.merging { lines.append("Merging     \(text(of: merging))") }
        if let store = status.objectStore {
            lines.append("Uploads     \(text(of: store))")
            if let problem = store.problem {
                lines.append(terminal.paint("Problem     \(problem)", .red))
            }
        }
        lines += (status.problems ?? []).map { terminal.paint("Problem     \($0)", .red) }
        if !status.workers.isEmpty {
            lines.append("")
            lines.append(terminal.paint(row("WORKER", "STATE", "PID", "LAG BYTES", "SKEW"), .bold))
            lines += status.workers.map(worker)
            for worker in status.workers {
                guard let lost = worker.lost else { continue }
                lines.append(terminal.paint("\(worker.name) is down for good: \(lost)", .red))
            }
        }
        lines.append("")
        for (title, count) in counts {
            let text = status.known == false ? "not known" : Report.grouped(count)
            lines.append(title.padded(to: 22) + text.padded(leftTo: 16))
        }
        return lines.joined(separator: "\n")
    }

    private var state: String {
        if status.known == false { return terminal.paint("not known", .yellow) }
        return status.ready ? terminal.paint("ready", .green) : terminal.paint("not ready", .red)
    }

    private func text(of merging: ClusterStatus.Merging) -> String {
        let waiting =
            merging.waitingWindows == 1
            ? "1 window waits" : "\(merging.waitingWindows) windows wait"
        guard let current = merging.current else {
            return merging.waitingWindows == 0 ? "nothing waits" : waiting
        }
        return "\(current.resource) window \(current.window),"
            + " \(Report.grouped(current.mergedBytes)) of \(Report.grouped(current.totalBytes)) bytes;"
            + " \(waiting)"
    }

    private func text(of store: ClusterStatus.ObjectStore) -> String {
        let place = "to \(store.address), cell \(store.cell)"
        guard store.waitingWindows > 0 else { return "nothing waits, \(place)" }
        return
            (store.waitingWindows == 1 ? "1 window waits" : "\(store.waitingWindows) windows wait")
            + " for up to \(Report.grouped(store.oldestWaitingSeconds)) s, \(place)"
    }

    private var counts: [(String, Int)] {
        let uncertain = status.uncertainEvents ?? 0
        return [
            ("Events received", status.receivedEvents), ("Events written", status.writtenEvents),
            ("Events deduplicated", status.deduplicatedEvents),
            ("Events dead-lettered", status.deadLetteredEvents),
            ("Events rejected", status.rejectedEvents),
            ("Rows lost with damaged segments", status.lostRows ?? 0),
            ("Rows of damaged segments rebuilt", status.rebuiltRows ?? 0),
        ] + (uncertain > 0 ? [("Events perhaps lost with the log", uncertain)] : [])
    }

    private func worker(_ worker: ClusterStatus.Worker) -> String {
        let line = row(
            worker.name,
            worker.up ? "up" : worker.lost == nil ? "down" : "lost",
            worker.pid.map(String.init) ?? "-",
            Report.grouped(worker.lagBytes),
            Report.ratio(worker.skewRatio)
        )
        return worker.up ? line : terminal.paint(line, .red)
    }

    private func row(
        _ name: String,
        _ state: String,
        _ pid: String,
        _ lag: String,
        _ skew: String
    ) -> String {
        name.padded(to: 14) + state.padded(to: 6) + pid.padded(leftTo: 8) + lag.padded(leftTo: 16)
            + skew.padded(leftTo: 8)
    }

    private func pid(_ pid: Int?) -> String {
        pid.map { "pid \($0)" } ?? terminal.paint("not known", .yellow)
    }
}

extension String {
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }

    func padded(leftTo width: Int) -> String {
        String(repeating: " ", count: max(0, width - count)) + self
    }
}

/// Shows which worker holds which slots, as a table or as one JSON object.
package struct SlotTable {
    /// One worker's slots from one barrier.
    private struct Row: Encodable {
        let resource: String
        let worker: String
        let slots: Int
        let ranges: String
        let sinceLsn: UInt64
        /// Absent where the resource is idle.
        let skewRatio: Double?
    }

    /// The JSON object.
    private struct Document: Encodable { let slots: [Row] }

    private let rows: [Row]

    /// - Parameter status: Supplies the load of the workers.
    package init(_ holdings: [SlotHolding], _ status: ClusterStatus) {
        let skew = Dictionary(
            status.workers.map { ($0.name, $0.skewRatio) },
            uniquingKeysWith: { first, _ in first }
        )
        rows = holdings.map { holding in
            Row(
                resource: holding.worker.resource.name,
                worker: "\(holding.worker)",
                slots: holding.count,
                ranges: holding.slotText,
                sinceLsn: holding.since,
                skewRatio: skew["\(holding.worker)"] ?? nil
            )
        }
    }

    /// Returns the slots as one JSON object.
    package func json() throws -> String { try Report.json(Document(slots: rows)) }

    /// Returns the slots as a table.
    package func text(terminal: Terminal) -> String {
        let head = line("WORKER", "SLOTS", "SKEW", "SINCE LSN", "RANGES")
        let body = rows.map {
            line(
                $0.worker,
                "\($0.slots)",
                Report.ratio($0.skewRatio),
                Report.grouped(Int(clamping: $0.sinceLsn)),
                $0.ranges
            )
        }
        return ([terminal.paint(head, .bold)] + body).joined(separator: "\n")
    }

    private func line(
        _ worker: String,
        _ slots: String,
        _ skew: String,
        _ since: String,
        _ ranges: String
    ) -> String {
        worker.padded(to: 14) + slots.padded(leftTo: 6) + skew.padded(leftTo: 8)
            + since.padded(leftTo: 20) + "  "
            + ranges
    }
}
