import Foundation
import TraceFiles
package import TraceModel
import TraceSummaries

/// Runs `tracectl hosts` and `tracectl processes`: who has sent events, by the summaries of published windows.
package struct FleetRun {
    private let dataDirectory: String
    private let from: EpochNanoseconds?
    private let to: EpochNanoseconds?
    private let isJSON: Bool

    /// Selects the windows that overlap a span, of which nil ends are open.
    package init(
        dataDirectory: String,
        from: EpochNanoseconds?,
        to: EpochNanoseconds?,
        isJSON: Bool
    ) {
        self.dataDirectory = dataDirectory
        self.from = from
        self.to = to
        self.isJSON = isJSON
    }

    /// Writes the hosts to standard output. Blocks.
    /// - Throws: `TraceError` where there is no such directory or a summary is damaged.
    package func hosts() throws {
        let report = HostsReport(try tally())
        if isJSON { return Terminal.output.line(try Report.json(report)) }
        write(
            ["EVENTS", "PROCESSES"],
            "HOST",
            report.hosts.map { host in
                Row(
                    numbers: [Int(clamping: host.events), host.processes],
                    first: host.firstTsNs,
                    last: host.lastTsNs,
                    resources: host.resources,
                    name: host.host
                )
            },
            report.complete
        )
    }

    /// Writes processes to standard output, those with the most events first; see `ProcessesReport`. Blocks.
    /// - Throws: As `hosts`.
    package func processes(host: String?, pid: UInt32?, limit: Int) throws {
        let report = ProcessesReport(try tally(), host: host, pid: pid, limit: limit)
        if isJSON { return Terminal.output.line(try Report.json(report)) }
        write(
            ["EVENTS", "PID"],
            "PROCESS",
            report.processes.map { process in
                Row(
                    numbers: [Int(clamping: process.events), Int(process.pid)],
                    first: process.firstTsNs,
                    last: process.lastTsNs,
                    resources: process.resources,
                    name: "\(process.process) on \(process.host)"
                )
            },
            report.complete
        )
    }

    private func tally() throws -> FleetTally {
        try StandardOutput.checkHasOutput(dataDirectory)
        return try FleetTally(
            try WindowCatalog(root: dataDirectory).read(),
            from: from,
            to: to,
            root: dataDirectory
        )
    }

    // MARK: Table

    /// A line of the table.
    private struct Row {
        let numbers: [Int]
        let first: EpochNanoseconds
        let last: EpochNanoseconds
        let resources: [String]
        let name: String
    }

    private func write(_ numbers: [String], _ name: String, _ rows: [Row], _ isComplete: Bool) {
        guard !rows.isEmpty else {
            return Terminal.error.line("No finalized window of that span has events of that kind.")
        }
        let resourcesWidth = Resource.allCases.map(\.name).joined(separator: ",").count
        func line(
            _ numbers: [String],
            _ first: String,
            _ last: String,
            _ resources: String
        ) -> String {
            let cells = numbers.map { $0.padded(leftTo: 12) }
            return (cells + [first.padded(to: 24), last.padded(to: 24)]).joined(separator: "  ")
                + "  " + resources.padded(to: resourcesWidth) + "  "
        }
        Terminal.output.line(
            Terminal.output.paint(line(numbers, "FIRST", "LAST", "RESOURCES") + name, .bold)
        )
        for row in rows {
            let cells = [Report.grouped(row.numbers[0])] + row.numbers.dropFirst().map { "\($0)" }
            Terminal.output.line(
                line(
                    cells,
                    SummaryReport.moment(row.first),
                    SummaryReport.moment(row.last),
                    row.resources.joined(separator: ",")
                ) + SummaryReport.shown(Array(row.name.utf8))
            )
        }
        if !isComplete {
            Terminal.error.line(
                "Some processes are left out: summaries name only the most important ones of a window."
            )
        }
    }
}
