import Foundation
import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries

/// What a query answers.
struct QueryAnswer: Sendable {
    let bytes: [UInt8]
    /// The content type.
    let type: String
    /// The name under which a browser saves it; nil if it is shown.
    let name: String?
    /// What it has of the open window; nil if that is not of interest.
    var openWindow: OpenWindow.State?

    init(_ bytes: [UInt8], type: String = "application/json", name: String? = nil) {
        self.bytes = bytes
        self.type = type
        self.name = name
    }
}

/// Answers the endpoints below `/api/v1`: reads final files and their records, and asks the aggregator for what is live.
/// Used by the threads of queries.
struct ConsoleQueries: Sendable {
    /// An endpoint that a query answers.
    enum Endpoint: String, CaseIterable, Sendable {
        case about
        case status
        case batches
        case hosts
        case processes
        case anomalies
        case summary
        case files
        case top
        case flame
        case diff

        /// The names of its parameters.
        var parameters: [String] {
            switch self {
            case .about, .status, .batches: []
            case .hosts: ["from", "to"]
            case .processes: ["from", "to", "host", "pid", "limit"]
            case .anomalies: ["from", "to", "resource", "rule", "host", "pid", "limit"]
            case .summary: ["from", "to", "resource", "top"]
            case .files: ["from", "to", "resource", "host", "kind", "limit"]
            case .top: ["from", "to", "window", "host", "pid", "by", "limit"]
            case .flame: ["from", "to", "window", "host", "pid", "format"]
            case .diff: ["a", "b", "host", "pid", "limit"]
            }
        }
    }

    let catalog: WindowCatalog
    let openWindow: OpenWindow
    let readings: SharedReadings<Paths>
    private let perfettoUI: String

    init(perfettoUI: String, catalog: WindowCatalog, openWindow: OpenWindow) {
        self.perfettoUI = perfettoUI
        self.openWindow = openWindow
        self.catalog = catalog
        readings = Self.readings(catalog)
    }

    /// Returns an endpoint's answer. Blocks.
    /// - Throws: `QueryFailure`; `TraceError` for wrong parameters, damaged files, and an aggregator that is away.
    func answer(
        _ endpoint: Endpoint,
        _ parameters: QueryParameters,
        _ context: QueryContext
    ) throws -> QueryAnswer {
        switch endpoint {
        case .about: try Self.json(About(version: BuildInfo.version, perfettoUi: perfettoUI))
        case .status: QueryAnswer(try AggregatorClient.body(of: "/status"))
        case .batches: QueryAnswer(try AggregatorClient.body(of: "/api/v1/batches"))
        case .hosts: try hosts(parameters, context)
        case .processes: try processes(parameters, context)
        case .anomalies: QueryAnswer(try anomalies(parameters, context))
        case .summary: QueryAnswer(try summary(parameters, context))
        case .files: try files(parameters, context)
        case .top: try top(parameters, context)
        case .flame: try flame(parameters, context)
        case .diff: try diff(parameters, context)
        }
    }

    static func json(_ value: some Encodable) throws -> QueryAnswer {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        return QueryAnswer(Array(try encoder.encode(value)) + [UInt8(ascii: "\n")])
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    // MARK: about

    /// What the pages have to know of the console itself.
    private struct About: Encodable {
        let version: String
        let perfettoUi: String
    }

    // MARK: hosts, processes

    private func hosts(
        _ parameters: QueryParameters,
        _ context: QueryContext
    ) throws -> QueryAnswer {
        try Self.json(HostsReport(try fleet(parameters, context)))
    }

    private func processes(
        _ parameters: QueryParameters,
        _ context: QueryContext
    ) throws -> QueryAnswer {
        let pid = try parameters.processID()
        let limit = try parameters.count("limit", standard: 1_000, max: Limits.consoleProcessesMax)
        let tally = try fleet(parameters, context)
        return try Self.json(
            ProcessesReport(tally, host: parameters.text("host"), pid: pid, limit: limit)
        )
    }

    private func fleet(
        _ parameters: QueryParameters,
        _ context: QueryContext
    ) throws -> FleetTally {
        let span = try parameters.span()
        let check = { try context.check() }
        let reading = try catalog.read(checkCancelled: check)
        return try FleetTally(reading, from: span.from, to: span.to, checkCancelled: check)
    }

    // MARK: anomalies

    private func anomalies(
        _ parameters: QueryParameters,
        _ context: QueryContext
    ) throws -> [UInt8] {
        let span = try parameters.span()
        var selection = AnomalySelection()
        selection.from = span.from
        selection.to = span.to
        selection.resource = try parameters.resource()
        selection.rule = parameters.text("rule")
        selection.host = parameters.text("host")
        selection.pid = try parameters.processID()
        let limit = try parameters.count("limit", standard: 500, max: Limits.consoleIncidentsMax)
        // Read before the catalog: a window that is published in between is in the catalog, and left out here.
        let live = try? AggregatorClient.body(of: "/api/v1/findings")
        let reading = try catalog.read(checkCancelled: { try context.check() })
        let files = reading.windows.reversed().filter { window in
            window.overlaps(from: span.from, to: span.to)
                && (selection.resource.map { $0 == window.window.resource } ?? true)
        }.flatMap(\.files).filter(\.hasFindings)
        var list = IncidentList(limit: limit)
        var lines = 0
        try context.check()
        try unsafe (live ?? []).withUnsafeBytes { bytes in
            var open = unsafe LiveLines(bytes, selection, published: reading.windows.map(\.window))
            try AnomalyReader(
                selection,
                files: files.map(\.path),
                budget: context.budget()
            ).forEachFinding { line in
                if lines % 1_024 == 0 { try context.check() }
                lines += 1
                while let earlier = open.next(upTo: line.ts) { list.add(earlier) }
                list.add(line)
            }
            while let later = open.next(upTo: .max) { list.add(later) }
        }
        return Self.json(list, isComplete: reading.isComplete && live != nil)
    }

    /// Renders incidents; their texts are JSON already.
    private static func json(_ list: IncidentList, isComplete: Bool) -> [UInt8] {
        var list = list
        let incidents = list.newest()
        var text = RawBuffer()
        text.append("{\"incidents\":[")
        for (position, incident) in incidents.enumerated() {
            text.append(position == 0 ? "\n{" : ",\n{")
            for (name, json) in [
                ("rule", incident.rule), ("resource", incident.resource), ("host", incident.host),
                ("process", incident.process), ("message", incident.message),
            ] {
                text.append("\"\(name)\":")
                append(json.isEmpty ? Array("\"\"".utf8) : json, to: &text)
                text.append(",")
            }
            text.append("\"pid\":")
            text.appendDecimal(incident.pid)
            text.append(",\"begin_ts_ns\":")
            text.appendDecimal(incident.begin)
            text.append(",\"end_ts_ns\":")
            text.appendDecimal(incident.end)
            text.append(",\"count\":")
            text.appendDecimal(UInt64(incident.count))
            text.append(",\"severity\":")
            text.appendJSONDouble(incident.severity)
            text.append(",\"value\":")
            append(incident.value.isEmpty ? Array("null".utf8) : incident.value, to: &text)
            text.append("}")
        }
        text.append("],\"findings\":")
        text.appendDecimal(UInt64(list.findings))
        text.append(",\"complete\":")
        text.append(isComplete && list.total <= incidents.count ? "true}\n" : "false}\n")
        return unsafe Array(text.bytes)
    }

    private static func append(_ bytes: [UInt8], to text: inout RawBuffer) {
        unsafe bytes.withUnsafeBytes { unsafe text.append($0) }
    }

    // MARK: summary

    private func summary(_ parameters: QueryParameters, _ context: QueryContext) throws -> [UInt8] {
        let span = try parameters.span()
        let wanted = try parameters.resource()
        let top = try parameters.count(
            "top",
            standard: Limits.summaryTopRows,
            max: Limits.consoleTopRowsMax
        )
        let reading = try catalog.read(checkCancelled: { try context.check() })
        var text = RawBuffer()
        text.append("{\"summaries\":[")
        var isFirst = true
        for resource in Resource.allCases where wanted.map({ $0 == resource }) ?? true {
            var merged = WindowSummary(resource)
            var windows = 0
            // Later windows come later, so that numbers which describe the end of a window are those of the last one.
            for window in reading.windows.reversed()
            where window.window.resource == resource
                && window.overlaps(from: span.from, to: span.to)
            {
                try context.check()
                guard let summary = try window.readSummary(),
                    summary.resource == resource
                else { continue }
                merged.merge(summary, isLater: true)
                windows += 1
            }
            guard windows > 0 else { continue }
            text.append(isFirst ? "\n" : ",\n")
            isFirst = false
            SummaryDocument(merged, topRows: top).append(windows: windows, to: &text)
        }
        text.append(reading.isComplete ? "],\"complete\":true}\n" : "],\"complete\":false}\n")
        return unsafe Array(text.bytes)
    }

    // MARK: files

    /// A final file.
    private struct File: Encodable {
        let name: String
        let kind: String
        let resource: String
        let window: UInt64
        let bytes: Int
        /// Absent where a file has the rows of all hosts.
        let host: String?
        /// When the file became final, in seconds since the epoch.
        let finalAt: Int64
        let firstTsNs: EpochNanoseconds?
        let lastTsNs: EpochNanoseconds?
        /// Events of the window.
        let events: UInt64?
    }

    /// The answer of `files`.
    private struct FilesAnswer: Encodable {
        let files: [File]
        let bytes: Int
        let complete: Bool
    }

    private func files(
        _ parameters: QueryParameters,
        _ context: QueryContext
    ) throws -> QueryAnswer {
        let span = try parameters.span()
        let resource = try parameters.resource()
        let host = parameters.text("host").map { name -> [UInt8] in
            var text = RawBuffer()
            unsafe Array(name.utf8).withUnsafeBytes {
                _ = unsafe text.appendJSONString(ByteView($0))
            }
            return unsafe Array(text.bytes)
        }
        let kind = parameters.text("kind")
        let limit = try parameters.count("limit", standard: 1_000, max: Limits.consoleFilesMax)
        let reading = try catalog.read(checkCancelled: { try context.check() })
        var files: [File] = []
        var isComplete = reading.isComplete
        search: for window in reading.windows
        where window.overlaps(from: span.from, to: span.to)
            && (resource.map { $0 == window.window.resource } ?? true)
        {
            for file in window.files where kind.map({ $0 == file.kind }) ?? true {
                // Files of all hosts are of this one, too.
                if let host, let own = file.host, own != host { continue }
                guard files.count < limit else {
                    isComplete = false
                    break search
                }
                files.append(
                    File(
                        name: file.name,
                        kind: file.kind,
                        resource: window.window.resource.name,
                        window: window.window.window,
                        bytes: file.bytes,
                        host: file.host.flatMap(Self.decoded),
                        finalAt: window.window.finalAt,
                        firstTsNs: window.head?.firstTs,
                        lastTsNs: window.head?.lastTs,
                        events: window.head?.events
                    )
                )
            }
        }
        let bytes = files.reduce(0) { $0 + $1.bytes }
        return try Self.json(FilesAnswer(files: files, bytes: bytes, complete: isComplete))
    }

    private static func decoded(_ json: [UInt8]) -> String? {
        try? JSONDecoder().decode(String.self, from: Data(json))
    }
}
