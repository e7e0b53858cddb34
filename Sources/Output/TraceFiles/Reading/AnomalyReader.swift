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
@safe
package struct AnomalyLine {
    /// The whole line, a JSON object.
    package let bytes: UnsafeRawBufferPointer
    package private(set) var ts: EpochNanoseconds = 0
    package private(set) var pid: UInt32 = 0
    package private(set) var rule = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    package private(set) var resource = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    package private(set) var host = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    package private(set) var process = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    package private(set) var message = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// What the rule measured, a JSON number.
    package private(set) var value = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
    /// The number of the window, only in lines of windows that are not published yet.
    package private(set) var window: UInt64?
    /// A JSON number from 0 to 1.
    package private(set) var severity = unsafe UnsafeRawBufferPointer(start: nil, count: 0)

    /// Parses a line. Nil if it is not a flat JSON object with a time and a process id. Ignores unknown members.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        unsafe self.bytes = unsafe bytes
        var parser = unsafe RowParser(bytes)
        var isTimed = false
        var isOfProcess = false
        guard parser.skip("{") else { return nil }
        repeat {
            guard let key = unsafe parser.text(), parser.skip(":") else { return nil }
            switch key.count {
            case 4 where unsafe Self.equal(key, "\"ts\""):
                guard let value = parser.microseconds() else { return nil }
                ts = value
                isTimed = true
            case 5 where unsafe Self.equal(key, "\"pid\""):
                guard let value = parser.processID() else { return nil }
                pid = value
                isOfProcess = true
            default:
                guard let value = unsafe Self.value(&parser) else { return nil }
                unsafe set(key, value)
            }
        } while parser.skip(",")
        guard parser.skip("}"), isTimed, isOfProcess else { return nil }
    }

    private mutating func set(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        if unsafe Self.equal(key, "\"rule\"") {
            unsafe rule = unsafe value
        } else if unsafe Self.equal(key, "\"resource\"") {
            unsafe resource = unsafe value
        } else if unsafe Self.equal(key, "\"host\"") {
            unsafe host = unsafe value
        } else if unsafe Self.equal(key, "\"process\"") {
            unsafe process = unsafe value
        } else if unsafe Self.equal(key, "\"value\"") {
            unsafe self.value = unsafe value
        } else if unsafe Self.equal(key, "\"severity\"") {
            unsafe severity = unsafe value
        } else if unsafe Self.equal(key, "\"window\"") {
            window = unsafe UInt64(String(decoding: value, as: UTF8.self))
        } else if unsafe Self.equal(key, "\"message\"") {
            unsafe message = unsafe value
        }
    }

    private static func equal(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { unsafe bytes.elementsEqual($0) }
    }

    /// Returns a JSON string, or the bytes up to the next comma or brace.
    private static func value(_ parser: inout RowParser) -> UnsafeRawBufferPointer? {
        if let text = unsafe parser.text() { return unsafe text }
        let start = parser.position
        let rest = unsafe parser.bytes[start...]
        let end =
            unsafe rest.firstIndex { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: "}") }
            ?? rest.endIndex
        guard end > start else { return nil }
        parser.position = end
        return unsafe UnsafeRawBufferPointer(rebasing: rest[..<end])
    }
}

/// Reads the anomalies of all final files by time. Streams like `TraceFileReader`. Not thread-safe; blocks on the disk.
package struct AnomalyReader {
    private let selection: AnomalySelection
    private let root: String
    private let files: [String]?
    private let budget: ReadingBudget

    /// Reads from the data directory `root`; empty if it is the current directory. `files` are the files to read, in
    /// the order of their windows; nil for all that the selection's resource has. Memory is taken from `budget`.
    package init(
        _ selection: AnomalySelection,
        root: String = "",
        files: [String]? = nil,
        budget: ReadingBudget = ReadingBudget()
    ) {
        self.budget = budget
        self.selection = selection
        self.root = root
        self.files = files
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
            try files ?? paths(),
            .anomalies,
            rows,
            clipsCalls: false,
            filesMax: Limits.catFilesMax,
            budget: budget
        )
        let rule = selection.rule.map { Array("\"\($0)\"".utf8) }
        try unsafe merge.forEachRow { row, _ in
            guard let line = unsafe AnomalyLine(row) else { return }
            if let rule, unsafe !line.rule.elementsEqual(rule) { return }
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
