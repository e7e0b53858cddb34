import SystemIO
package import TraceModel

/// Selects anomalies in the final files. Nil selects everything.
package struct AnomalySelection: Sendable {
    /// Inclusive bounds, in nanoseconds since the epoch.
    package var from: EpochNanoseconds?
    package var to: EpochNanoseconds?
    package var resource: Resource?
    /// The rule's name, as in files and in the rules' configuration.
    package var rule: String?
    package var host: String?
    package var pid: UInt32?

    package init() {}
}

/// One line of an anomalies file, parsed. Views are valid as long as the line. Texts are JSON strings with their
/// quotes, empty if the line does not contain them.
package struct AnomalyLine {
    /// The whole line, a JSON object.
    package let bytes: UnsafeRawBufferPointer
    package private(set) var ts: EpochNanoseconds = 0
    package private(set) var pid: UInt32 = 0
    package private(set) var rule = UnsafeRawBufferPointer(start: nil, count: 0)
    package private(set) var resource = UnsafeRawBufferPointer(start: nil, count: 0)
    package private(set) var host = UnsafeRawBufferPointer(start: nil, count: 0)
    package private(set) var process = UnsafeRawBufferPointer(start: nil, count: 0)
    package private(set) var message = UnsafeRawBufferPointer(start: nil, count: 0)
    /// A JSON number from 0 to 1.
    package private(set) var severity = UnsafeRawBufferPointer(start: nil, count: 0)

    /// Parses a line. Nil if it is not a flat JSON object with a time and a process id. Ignores unknown members.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        var parser = RowParser(bytes)
        var isTimed = false
        var isOfProcess = false
        guard parser.skip("{") else { return nil }
        repeat {
            guard let key = parser.text(), parser.skip(":") else { return nil }
            switch key.count {
            case 4 where Self.equal(key, "\"ts\""):
                guard let value = parser.microseconds() else { return nil }
                ts = value
                isTimed = true
            case 5 where Self.equal(key, "\"pid\""):
                guard let value = parser.processID() else { return nil }
                pid = value
                isOfProcess = true
            default:
                guard let value = Self.value(&parser) else { return nil }
                set(key, value)
            }
        } while parser.skip(",")
        guard parser.skip("}"), isTimed, isOfProcess else { return nil }
    }

    private mutating func set(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        if Self.equal(key, "\"rule\"") {
            rule = value
        } else if Self.equal(key, "\"resource\"") {
            resource = value
        } else if Self.equal(key, "\"host\"") {
            host = value
        } else if Self.equal(key, "\"process\"") {
            process = value
        } else if Self.equal(key, "\"severity\"") {
            severity = value
        } else if Self.equal(key, "\"message\"") {
            message = value
        }
    }

    private static func equal(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { bytes.elementsEqual($0) }
    }

    /// Returns a JSON string, or the bytes up to the next comma or brace.
    private static func value(_ parser: inout RowParser) -> UnsafeRawBufferPointer? {
        if let text = parser.text() { return text }
        let start = parser.position
        let rest = parser.bytes[start...]
        let end =
            rest.firstIndex { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "}") } ?? rest.endIndex
        guard end > start else { return nil }
        parser.position = end
        return UnsafeRawBufferPointer(rebasing: rest[..<end])
    }
}

/// Reads the anomalies of all final files by time. Streams like `TraceFileReader`. Not thread-safe; blocks on the disk.
package struct AnomalyReader {
    private let selection: AnomalySelection
    private let root: String

    /// Reads from the data directory `root`; empty if it is the current directory.
    package init(_ selection: AnomalySelection, root: String = "") {
        self.selection = selection
        self.root = root
    }

    /// Calls `body` with every selected anomaly.
    /// - Throws: `TraceError` if a file is damaged or too many overlap; whatever `body` throws.
    package func forEachFinding(_ body: (AnomalyLine) throws -> Void) throws {
        let rows = RowSelection(
            from: selection.from,
            to: selection.to,
            pid: selection.pid,
            host: selection.host
        )
        let merge = try FinalFileMerge(
            try paths(),
            .anomalies,
            rows,
            clipsCalls: false,
            filesMax: Limits.catFilesMax
        )
        let rule = selection.rule.map { Array("\"\($0)\"".utf8) }
        try merge.forEachRow { row, _ in
            guard let line = AnomalyLine(row) else { return }
            if let rule, !line.rule.elementsEqual(rule) { return }
            try body(line)
        }
    }

    private func paths() throws -> [String] {
        let prefix = "anomalies_"
        let endings = FinalFile.endings(".jsonl").map { ending in
            selection.resource.map { "_\($0.name)\(ending)" } ?? ending
        }
        return try FinalFile.paths(of: .anomalies, root: root) { name in
            name.hasPrefix(prefix) && endings.contains { name.hasSuffix($0) }
        }
    }
}
