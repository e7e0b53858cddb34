import AnomalyRules
import ClusterConfiguration
import Foundation
import SystemIO
package import TraceFiles
package import TraceModel
package import TraceTime

/// One end of a time span as users write it: what `StartTime` accepts, or `YYYY-MM-DD HH:MM:SS[.f…]`, the format of
/// agents and of the server's own output, in the cluster's local time.
package enum TimeBound: Equatable, Sendable {
    case instant(EpochNanoseconds)
    /// Text of the local form; its digits are not checked yet.
    case local(String)

    /// Parses a text; nil where it has none of the forms.
    package init?(_ text: String) {
        if let instant = StartTime(text) {
            self = .instant(instant.nanoseconds)
            return
        }
        let bytes = Array(text.utf8)
        guard bytes.count >= 19, bytes[4] == UInt8(ascii: "-"), bytes[10] == UInt8(ascii: " ")
        else { return nil }
        self = .local(text)
    }

    /// Converts to nanoseconds since the epoch; nil where the local form is no valid time, such as a thirteenth month.
    /// In an hour that clocks show twice, the earlier one counts. `zone` is called only for the local form.
    package func nanoseconds(in zone: () throws -> TimeZoneRules) rethrows -> EpochNanoseconds? {
        switch self {
        case .instant(let nanoseconds): return nanoseconds
        case .local(let text):
            var parser = TimestampParser(zone: try zone())
            let bytes = Array(text.utf8)
            let parsed = unsafe bytes.withUnsafeBytes {
                unsafe parser.parse(ByteView($0), arrival: 0)
            }
            return parsed.kind == .valid ? parsed.nanoseconds : nil
        }
    }
}

/// Determines the time zone of a cluster from its data directory.
package enum ClusterTimeZone {
    /// Sets this process's time zone to the cluster's. That is the zone of the cluster's configuration file, else
    /// the one that the cluster was started with, else this machine's. The caller's own `TZ` is ignored. To be
    /// called once, before other threads exist. Blocks on the disk.
    /// - Throws: `ConfigurationProblems` about the configuration file; `TraceError` if the zone is unknown.
    package static func rules(dataDirectory: String) throws -> TimeZoneRules {
        let configuration = try EffectiveConfiguration(
            dataDirectory: dataDirectory,
            environment: { _ in nil },
            flags: []
        )
        return try TimeZoneRules.configure("\(configuration["time_zone"])")
    }
}

/// Runs `tracectl anomalies`: writes the findings of the final files in order of time, as a table or as JSON.
package struct AnomalyRun {
    /// The form of the output.
    package enum Format: Sendable {
        /// One padded line for each finding, with times in this zone.
        case table(TimeZoneRules)
        /// The findings' own JSON objects, one per line.
        case json
    }

    /// The names of all rules, in the order of their resources.
    package static var ruleNames: [String] { RuleID.allCases.map { "\($0.name)" } }

    private let dataDirectory: String
    private let selection: AnomalySelection
    private let format: Format

    package init(dataDirectory: String, selection: AnomalySelection, format: Format) {
        self.dataDirectory = dataDirectory
        self.selection = selection
        self.format = format
    }

    /// Writes the findings to standard output. Blocks. A closed reader is no error.
    /// - Returns: How many findings there were.
    /// - Throws: `TraceError` where there is no such directory or a file is damaged.
    @discardableResult package func run() throws -> Int {
        try StandardOutput.checkHasOutput(dataDirectory)
        var count = 0
        try StandardOutput.streaming {
            try unsafe write(counting: &count) { try unsafe StandardOutput.write($0) }
        }
        return count
    }

    /// Writes the findings of all windows, then further ones as they are raised. Where the aggregator does not answer,
    /// or leaves findings out, they come when their window is published. Blocks until the process ends or the reader
    /// closes the pipe.
    /// - Throws: As `run`.
    package func follow() throws {
        try StandardOutput.checkHasOutput(dataDirectory)
        let catalog = WindowCatalog(root: dataDirectory)
        var seen: Set<FinalWindow>?
        var live = WrittenFindings()
        var count = 0
        try StandardOutput.streaming {
            repeat {
                // Read before the catalog: a window that is published in between is in the catalog.
                let answer = try? liveFindings()
                let windows = Array(try catalog.read().windows.reversed())
                let new = windows.filter { !(seen?.contains($0.window) ?? false) }
                // What was written of windows that are published now is known for each window apart.
                for group in seen == nil ? [new] : new.map({ [$0] }) {
                    let files = group.filter { window in
                        selection.resource.map { $0 == window.window.resource } ?? true
                    }.flatMap(\.files).filter(\.hasFindings)
                    let written = live.take(group.map(\.window))
                    guard !files.isEmpty else { continue }
                    try unsafe write(
                        of: files.map { "\(dataDirectory)/\($0.path)" },
                        besides: written,
                        counting: &count
                    ) { try unsafe StandardOutput.write($0) }
                }
                seen = Set(windows.map(\.window))
                if let answer {
                    try write(live: answer, windows.map(\.window), &live, counting: &count)
                }
            } while !StandardOutput.isClosed(within: Self.followMilliseconds)
        }
    }

    /// The interval at which new findings are looked for.
    private static let followMilliseconds: Int32 = 500
    private static let liveSeconds = 2

    /// Returns the findings of windows that are not published yet, as the aggregator has them.
    private func liveFindings() throws -> [UInt8] {
        try HTTPGet.body(
            of: "/api/v1/findings",
            from: StatusQuery.recordedAddress(dataDirectory),
            timeoutSeconds: Self.liveSeconds
        )
    }

    /// Writes those of the aggregator's findings that are new.
    private func write(
        live answer: [UInt8],
        _ published: [FinalWindow],
        _ written: inout WrittenFindings,
        counting count: inout Int
    ) throws {
        var writer = unsafe FindingWriter(format, count: count) {
            try unsafe StandardOutput.write($0)
        }
        try unsafe answer.withUnsafeBytes { answer in
            try unsafe LiveLines(answer, selection, published: published).forEachFinding { line in
                guard let own = written.add(line) else { return }
                try unsafe own.withUnsafeBytes { own in
                    if let line = unsafe AnomalyLine(own) { try writer.add(line) }
                }
            }
        }
        try writer.finish()
        count = writer.count
    }

    /// Calls `write` with the text in pieces, and adds the number of findings to `count`. `files` are those to read, in
    /// the order of their windows; nil for all. Findings that are among `written` are left out.
    func write(
        of files: [String]? = nil,
        besides written: [UInt64: Int] = [:],
        counting count: inout Int,
        _ write: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var written = written
        try unsafe withoutActuallyEscaping(write) { write in
            var writer = unsafe FindingWriter(format, count: count, write)
            try AnomalyReader(selection, root: dataDirectory, files: files).forEachFinding { line in
                let hash = unsafe Slot.hash(host: line.bytes)
                if let rest = written[hash], rest > 0 {
                    written[hash] = rest - 1
                    return
                }
                try writer.add(line)
            }
            try writer.finish()
            count = writer.count
        }
    }
}

/// Formats findings, and passes the text on in pieces.
@safe private struct FindingWriter: ~Copyable {
    private var text = RawBuffer()
    private var table: AnomalyTable?
    private(set) var count: Int
    private let write: (UnsafeRawBufferPointer) throws -> Void

    /// - Parameter count: How many findings have been written before.
    init(
        _ format: AnomalyRun.Format,
        count: Int,
        _ write: @escaping (UnsafeRawBufferPointer) throws -> Void
    ) {
        if case .table(let zone) = format { table = AnomalyTable(zone: zone, terminal: .output) }
        self.count = count
        unsafe self.write = unsafe write
    }

    mutating func add(_ line: AnomalyLine) throws {
        if table == nil {
            unsafe text.append(line.bytes)
        } else {
            if count == 0, let head = table?.head {
                text.append(head)
                text.append("\n")
            }
            if let row = table?.row(line) { text.append(row) }
        }
        text.append("\n")
        count += 1
        if text.count >= Self.pieceBytes { try finish() }
    }

    /// Passes on what is left.
    mutating func finish() throws {
        guard text.count > 0 else { return }
        try unsafe write(text.bytes)
        text.removeAll()
    }

    private static let pieceBytes = 64 << 10
}

/// The findings of windows that are not published yet which have been written, by hashes.
private struct WrittenFindings {
    /// A window of a resource, whose name is JSON text.
    private struct Window: Hashable {
        let resource: [UInt8]
        let number: UInt64
    }

    /// The findings of one window.
    private struct Findings {
        /// Hashes of the aggregator's lines, which say worker and number.
        var lines: Set<UInt64> = []
        /// How often the window's file will have a line that has been written, by its hash.
        var ofFile: [UInt64: Int] = [:]
    }

    private var windows: [Window: Findings] = [:]

    /// Adds a line of the aggregator's. Returns the line as the window's file will have it; nil if it was added before.
    mutating func add(_ line: AnomalyLine) -> [UInt8]? {
        guard let number = line.window else { return nil }
        let window = unsafe Window(resource: Array(line.resource), number: number)
        guard
            unsafe windows[window, default: Findings()].lines.insert(Slot.hash(host: line.bytes))
                .inserted
        else { return nil }
        // Worker, window and number stand in front, in a form without other commas.
        let comma = UInt8(ascii: ",")
        let rest = unsafe line.bytes.split(separator: comma, maxSplits: 3).last ?? line.bytes[...]
        let own = unsafe [UInt8(ascii: "{")] + rest
        let hash = unsafe own.withUnsafeBytes { unsafe Slot.hash(host: $0) }
        windows[window]?.ofFile[hash, default: 0] += 1
        return own
    }

    /// Returns what has been written of windows that are published now, and forgets it.
    mutating func take(_ published: [FinalWindow]) -> [UInt64: Int] {
        var found: [UInt64: Int] = [:]
        for window in published {
            let key = Window(
                resource: Array("\"\(window.resource.name)\"".utf8),
                number: window.window
            )
            found.merge(windows.removeValue(forKey: key)?.ofFile ?? [:], uniquingKeysWith: +)
        }
        return found
    }
}

/// Formats findings as lines for people. Columns have fixed widths, so that lines can be written one by one; a longer
/// text moves the rest of its line to the right.
package struct AnomalyTable {
    private var clock: ReadableClock
    private let dates: StemClock
    private let terminal: Terminal

    /// - Parameter zone: The time zone of the times.
    package init(zone: TimeZoneRules, terminal: Terminal) {
        clock = ReadableClock(zone: zone)
        dates = StemClock(zone: zone)
        self.terminal = terminal
    }

    /// The names of the columns.
    package var head: String {
        terminal.paint(
            Self.line("TIME", "RESOURCE", "RULE", "HOST", "PROCESS", "PID", "SEVERITY", "MESSAGE"),
            .bold
        )
    }

    /// Formats one finding. Control characters are replaced.
    package mutating func row(_ finding: AnomalyLine) -> String {
        unsafe Self.line(
            time(finding.ts),
            Self.text(finding.resource),
            Self.text(finding.rule),
            Self.text(finding.host),
            Self.text(finding.process),
            String(finding.pid),
            Self.severity(finding.severity),
            Self.text(finding.message)
        )
    }

    private static func line(
        _ time: String,
        _ resource: String,
        _ rule: String,
        _ host: String,
        _ process: String,
        _ pid: String,
        _ severity: String,
        _ message: String
    ) -> String {
        [
            time.padded(to: 23), resource.padded(to: 8), rule.padded(to: 16), host.padded(to: 16),
            process.padded(to: 16), pid.padded(leftTo: 7), severity.padded(leftTo: 8), message,
        ].joined(separator: "  ")
    }

    /// Formats a time as `YYYY-MM-DD HH:MM:SS.mmm`, which `--from` and `--to` accept.
    private mutating func time(_ ts: EpochNanoseconds) -> String {
        let stem = Array(dates.text(ts).utf8)
        let date = [stem[..<4], stem[4..<6], stem[6..<8]].map {
            String(decoding: $0, as: UTF8.self)
        }.joined(
            separator: "-"
        )
        var bytes = [UInt8](repeating: 0, count: ReadableClock.byteCount)
        unsafe bytes.withUnsafeMutableBytes { bytes in
            if let start = bytes.baseAddress { unsafe clock.write(ts, to: start) }
        }
        return "\(date) \(String(decoding: bytes, as: UTF8.self))"
    }

    private static func severity(_ number: UnsafeRawBufferPointer) -> String {
        unsafe Double(String(decoding: number, as: UTF8.self)).map { String(format: "%.2f", $0) }
            ?? "-"
    }

    /// Decodes a JSON string; a dash stands for an empty one.
    private static func text(_ json: UnsafeRawBufferPointer) -> String {
        let decoded = try? unsafe JSONDecoder().decode(String.self, from: Data(json))
        let text = unsafe decoded ?? String(decoding: json, as: UTF8.self)
        guard !text.isEmpty else { return "-" }
        let isPlain = text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
        if isPlain { return text }
        let scalars = text.unicodeScalars.map {
            $0.properties.generalCategory == .control ? "\u{FFFD}" : $0
        }
        return String(String.UnicodeScalarView(scalars))
    }
}
