import SystemIO
import TraceModel

/// Names of processes and threads for the end of a trace file (`M` events), and where viewers put processes. What is
/// given last stays.
struct NameTable {
    struct Key: Hashable {
        /// Raw values stand in checkpoints, and order the names of a process.
        enum Kind: UInt8 {
            case process = 0
            case thread = 1
            case sortIndex = 2
        }

        let pid: UInt32
        /// Of a thread; 0 otherwise.
        let tid: UInt32
        let kind: Kind

        static func process(_ pid: UInt32) -> Key { Key(pid: pid, tid: 0, kind: .process) }

        static func thread(_ pid: UInt32, _ tid: UInt32) -> Key { Key(pid: pid, tid: tid, kind: .thread) }

        static func sortIndex(_ pid: UInt32) -> Key { Key(pid: pid, tid: 0, kind: .sortIndex) }

        /// By process, the process's own name first, then its threads, then its place.
        func precedes(_ other: Key) -> Bool {
            if pid != other.pid { return pid < other.pid }
            if kind != other.kind { return kind.rawValue < other.kind.rawValue }
            return tid < other.tid
        }
    }

    /// What was given, in its order until `settle` sorts it.
    private struct Entry {
        let key: Key
        /// In `text`; of a `sortIndex` the number in decimal.
        let start: Int
        let count: Int
    }

    /// Entries from which on what was replaced is looked for.
    private static let settledMin = 1_024

    private var entries: [Entry] = []
    private var text: [UInt8] = []
    /// So many entries at the begin are settled: in the order of their keys, each of which is there once.
    private var settledCount = 0

    var isEmpty: Bool { entries.isEmpty }

    /// With those that were replaced and are not forgotten yet.
    var keptCount: Int { entries.count }

    /// A process or thread is named once a window, as a rule: nothing is looked up before there may be much to forget.
    mutating func set(_ key: Key, _ name: ByteView) {
        if entries.count >= max(Self.settledMin, 4 * settledCount) { settle() }
        entries.append(Entry(key: key, start: text.count, count: name.count))
        text.append(contentsOf: name.buffer)
    }

    mutating func sort(_ pid: UInt32, _ index: Int32) {
        var number = String(index)
        number.withUTF8 { set(.sortIndex(pid), ByteView(UnsafeRawBufferPointer($0))) }
    }

    /// The entries that stay, in the order of their keys.
    private var settled: [Entry] {
        if settledCount == entries.count { return entries }
        // What was given later stands later in the text.
        let sorted = entries.sorted { left, right in
            left.key == right.key ? left.start < right.start : left.key.precedes(right.key)
        }
        return sorted.indices.filter { $0 + 1 == sorted.count || sorted[$0].key != sorted[$0 + 1].key }.map {
            sorted[$0]
        }
    }

    /// Forgets what was replaced.
    private mutating func settle() {
        let settled = settled
        if settled.count == entries.count {
            entries = settled
        } else {
            let old = text
            (entries, text) = ([], [])
            for entry in settled {
                entries.append(Entry(key: entry.key, start: text.count, count: entry.count))
                text += old[entry.start..<(entry.start + entry.count)]
            }
        }
        settledCount = entries.count
    }

    /// One `M` event a line, each with the comma after it.
    func appendLines(to lines: inout RawBuffer) {
        for entry in settled {
            let key = entry.key
            lines.append("{\"ph\":\"M\",\"pid\":")
            lines.appendDecimal(key.pid)
            switch key.kind {
            case .process: lines.append(",\"name\":\"process_name\",\"args\":{\"name\":")
            case .thread:
                lines.append(",\"tid\":")
                lines.appendDecimal(key.tid)
                lines.append(",\"name\":\"thread_name\",\"args\":{\"name\":")
            case .sortIndex: lines.append(",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":")
            }
            withName(of: entry) { name in
                if key.kind == .sortIndex { lines.append(name) } else { _ = lines.appendJSONString(ByteView(name)) }
            }
            lines.append("}},\n")
        }
    }

    private func withName(of entry: Entry, _ body: (UnsafeRawBufferPointer) -> Void) {
        text.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[entry.start..<(entry.start + entry.count)])) }
    }

    func encode(into state: inout RawBuffer) {
        let settled = settled
        state.append(integer: UInt32(settled.count))
        for entry in settled {
            state.append(integer: entry.key.pid)
            state.append(integer: entry.key.tid)
            state.append(integer: entry.key.kind.rawValue)
            state.append(integer: UInt32(entry.count))
            withName(of: entry) { state.append($0) }
        }
    }

    init() {}

    init(decoding state: inout StateReader) throws(TraceError) {
        for _ in 0..<(try state.integer(UInt32.self)) {
            let pid = try state.integer(UInt32.self)
            let tid = try state.integer(UInt32.self)
            guard let kind = Key.Kind(rawValue: try state.integer(UInt8.self)) else {
                throw TraceError(.corrupt, "Stored state names something of no known kind")
            }
            set(Key(pid: pid, tid: tid, kind: kind), ByteView(try state.counted()))
        }
    }
}
