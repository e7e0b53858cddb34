import Foundation
import SystemIO
package import TraceModel
package import TraceSummaries

/// Reads the summary files of a data directory and merges them over its windows, resource by resource.
package struct SummaryQuery {
    /// The merged summary of one resource.
    package struct Answer {
        package let summary: WindowSummary
        package let windows: Int
    }

    private let dataDirectory: String
    private let resources: [Resource]
    private let isLastWindowOnly: Bool

    /// - Parameters:
    /// - resource: The resource, or nil for all.
    /// - isLastWindowOnly: Whether to read only each resource's newest window.
    package init(dataDirectory: String, resource: Resource?, isLastWindowOnly: Bool) {
        self.dataDirectory = dataDirectory
        resources = resource.map { [$0] } ?? Resource.allCases
        self.isLastWindowOnly = isLastWindowOnly
    }

    /// Returns the resources that have files, in their fixed order. Blocks on the disk.
    /// - Throws: `TraceError` where a file can't be understood, or the directory is no cluster's.
    package func run() throws -> [Answer] {
        let directory = "\(dataDirectory)/\(SummaryFile.directory)"
        guard FileSystem.exists(dataDirectory) else {
            throw TraceError(
                .notFound,
                "There is no data directory \(dataDirectory)",
                remedy: "Name the cluster's with --data"
            )
        }
        let names = try FileSystem.list(directory)
        return try resources.compactMap { resource in
            let ending = "_\(resource.name).json"
            let own = names.filter { $0.hasPrefix("summary_") && $0.hasSuffix(ending) }
                .sorted { Self.isEarlier($0.dropLast(ending.count), $1.dropLast(ending.count)) }
            guard !own.isEmpty else { return nil }
            var merged = WindowSummary(resource)
            let wanted = isLastWindowOnly ? own.suffix(1) : own[...]
            for name in wanted {
                let summary = try Self.read("\(directory)/\(name)", resource)
                merged.merge(summary, isLater: true)
            }
            return Answer(summary: merged, windows: wanted.count)
        }
    }

    /// Orders names without their endings by window. They begin with the window's time, behind which further windows of
    /// that second have a number: `summary_20260115_120000`, then `summary_20260115_120000_2`.
    private static func isEarlier(_ name: Substring, _ other: Substring) -> Bool {
        let (parts, others) = (name.split(separator: "_"), other.split(separator: "_"))
        for (part, other) in zip(parts, others) where part != other {
            // The numbers of windows have no leading zeros.
            return part.count == other.count ? part < other : part.count < other.count
        }
        return parts.count < others.count
    }

    private static func read(_ path: String, _ resource: Resource) throws -> WindowSummary {
        let file = try FileSystem.contents(path)
        guard let summary = try? SummaryFile.summary(in: file), summary.resource == resource else {
            throw TraceError(
                .corrupt,
                "\(path) is no summary, or damaged",
                remedy: "Move it away to summarize the other windows"
            )
        }
        return summary
    }
}

/// Formats merged summaries for people, or as JSON.
package struct SummaryReport {
    private let answers: [SummaryQuery.Answer]
    private let topRows: Int
    private let terminal: Terminal

    /// - Parameter topRows: The greatest number of rows of each list.
    package init(_ answers: [SummaryQuery.Answer], topRows: Int, terminal: Terminal) {
        self.answers = answers
        self.topRows = topRows
        self.terminal = terminal
    }

    /// A JSON array with one object for each resource.
    package var json: String {
        var text = RawBuffer()
        text.append("[")
        for (position, answer) in answers.enumerated() {
            if position > 0 { text.append(",\n") }
            SummaryDocument(answer.summary, topRows: topRows).append(
                windows: answer.windows,
                to: &text
            )
        }
        text.append("]")
        return unsafe String(decoding: text.bytes, as: UTF8.self)
    }

    package var text: String {
        if answers.isEmpty { return "No window has been finalized yet." }
        return answers.map(section).joined(separator: "\n\n")
    }

    private func section(_ answer: SummaryQuery.Answer) -> String {
        let summary = answer.summary
        var lines = [
            terminal.paint(summary.resource.name.uppercased(), .bold)
                + "  \(Report.grouped(Int(clamping: summary.events))) events"
                + ", processes \(summary.processes), windows \(answer.windows)"
                + ", \(Self.moment(summary.firstTime)) to \(Self.moment(summary.lastTime))"
        ]
        for table in summary.tables {
            for list in table.schema.lists {
                let rows = table.top(list, topRows)
                guard !rows.isEmpty else { continue }
                let title =
                    "\(table.schema.name), \(list.name)" + (table.isComplete ? "" : " (of some)")
                lines.append("")
                lines.append("  " + title.replacing("_", with: " "))
                lines += grid(rows, table.schema).map { "  " + $0 }
            }
        }
        return lines.joined(separator: "\n")
    }

    // MARK: Tables

    private func grid(_ rows: [SummaryRow], _ schema: SummaryTableSchema) -> [String] {
        let numbers = schema.cells(of: SummaryValues(), QuantileSketch()).map(\.name)
        let names: [String] =
            switch schema.scope {
            case .process: ["host", "pid", "process"]
            case .host: ["host"]
            case .everywhere: []
            }
        let texts = names + (schema.item.map { [$0] } ?? [])
        let head = (texts + numbers).map(Self.title)
        let body = rows.map { row in
            let process = [Self.shown(row.key.host), String(row.key.pid), Self.shown(row.process)]
            let own = Array(process.prefix(names.count))
            let item = schema.item == nil ? [] : [Self.shown(row.key.item)]
            return own + item + schema.cells(of: row.values, row.sketch).map(Self.shown)
        }
        let widths = head.indices.map { column in
            ([head] + body).map { $0[column].count }.max() ?? 0
        }
        func line(_ fields: [String]) -> String {
            fields.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - fields[column].count)
                return column < texts.count ? fields[column] + space : space + fields[column]
            }.joined(separator: "  ")
        }
        return [terminal.paint(line(head), .bold)] + body.map(line)
    }

    /// Returns a column's heading: its name, without a unit that only programs need.
    private static func title(_ name: String) -> String {
        let suffix = SummaryUnit.time.suffix
        let shown = name.hasSuffix(suffix) ? String(name.dropLast(suffix.count)) : name
        return shown.uppercased().replacing("_", with: " ")
    }

    private static func shown(_ cell: SummaryCell) -> String {
        switch cell.value {
        case .none: "-"
        case .time(let nanoseconds): moment(EpochNanoseconds(clamping: nanoseconds))
        case .real(let number): String(format: "%.3f", number)
        case .whole(let number):
            cell.name.hasSuffix("bytes") || cell.name.hasSuffix("per_second")
                ? bytes(number) : Report.grouped(Int(clamping: number))
        }
    }

    private static func bytes(_ count: UInt64) -> String {
        var value = Double(count)
        for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
            if value < 1_024 {
                return String(format: unit == "B" ? "%.0f " : "%.1f ", value) + unit
            }
            value /= 1_024
        }
        return String(format: "%.1f PiB", value)
    }

    /// Returns a name on one line, in printable characters and with bounded width.
    static func shown(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes, as: UTF8.self).map { character in
            character.unicodeScalars.contains { $0.properties.generalCategory == .control }
                ? "?" : character
        }
        return text.count > 48 ? String(text.prefix(47)) + "…" : String(text)
    }

    static func moment(_ time: EpochNanoseconds) -> String {
        Date(timeIntervalSince1970: Double(time) / 1e9).formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true)
        )
    }
}
