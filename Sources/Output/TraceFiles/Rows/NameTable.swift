import SystemIO
import TraceModel

/// The names of processes and threads, and the order of processes in viewers, for the end of a trace file (`M` events).
/// The last value of a key wins.
struct NameTable {
    /// What a name belongs to.
    struct Key: Hashable {
        /// Raw values are stored in checkpoints and define the order of a process's names.
        enum Kind: UInt8 {
            case process = 0
            case thread = 1
            case sortIndex = 2
        }

        let pid: UInt32
        /// 0 unless this is a thread.
        let tid: UInt32
        let kind: Kind

        static func process(_ pid: UInt32) -> Key { Key(pid: pid, tid: 0, kind: .process) }

        static func thread(_ pid: UInt32, _ tid: UInt32) -> Key {
            Key(pid: pid, tid: tid, kind: .thread)
        }

        static func sortIndex(_ pid: UInt32) -> Key { Key(pid: pid, tid: 0, kind: .sortIndex) }

        /// Orders by process; within it the process's name, then its threads, then its sort index.
        func precedes(_ other: Key) -> Bool {
            if pid != other.pid { return pid < other.pid }
            if kind != other.kind { return kind.rawValue < other.kind.rawValue }
            return tid < other.tid
        }
    }

    /// One name in the order of arrival, until `compact` sorts them.
    private struct Entry {
        let key: Key
        /// A range in `text`: the name, or a sort index in decimal. A window has far less than 4 GB of names.
        private let first: UInt32
        private let length: UInt32

        init(key: Key, start: Int, count: Int) {
            self.key = key
            first = UInt32(start)
            length = UInt32(count)
        }

        var start: Int { Int(first) }
        var count: Int { Int(length) }
    }

    /// Below this number of entries nothing is compacted.
    private static let compactedMin = 1_024

    private var entries: [Entry] = []
    private var text: [UInt8] = []
    /// The number of leading entries that are sorted and have distinct keys.
    private var compactedCount = 0

    var isEmpty: Bool { entries.isEmpty }

    /// The number of entries, including replaced ones that are not removed yet.
    var keptCount: Int { entries.count }

    /// Adds a name. Does not search for an earlier one: a process or thread is usually named once per window, so
    /// replaced entries are removed only when there may be many.
    mutating func set(_ key: Key, _ name: ByteView) {
        if entries.count >= max(Self.compactedMin, 4 * compactedCount) { compact() }
        entries.append(Entry(key: key, start: text.count, count: name.count))
        unsafe text.append(contentsOf: name.buffer)
    }

    mutating func sort(_ pid: UInt32, _ index: Int32) {
        var number = String(index)
        number.withUTF8 { unsafe set(.sortIndex(pid), ByteView(UnsafeRawBufferPointer($0))) }
    }

    /// The current entries in the order of their keys.
    private var compacted: [Entry] {
        if compactedCount == entries.count { return entries }
        // A later value is later in the text.
        var sorted = entries.sorted { left, right in
            left.key == right.key ? left.start < right.start : left.key.precedes(right.key)
        }
        var kept = 0
        for position in sorted.indices
        where position + 1 == sorted.count || sorted[position].key != sorted[position + 1].key {
            sorted[kept] = sorted[position]
            kept += 1
        }
        sorted.removeLast(sorted.count - kept)
        return sorted
    }

    /// Removes replaced entries.
    private mutating func compact() {
        let compacted = compacted
        if compacted.count == entries.count {
            entries = compacted
        } else {
            let old = text
            (entries, text) = ([], [])
            for entry in compacted {
                entries.append(Entry(key: entry.key, start: text.count, count: entry.count))
                text += old[entry.start..<(entry.start + entry.count)]
            }
        }
        compactedCount = entries.count
    }

    /// Appends one `M` event per line, each followed by a comma.
    func appendLines(to lines: inout RawBuffer) {
        for entry in compacted {
            let key = entry.key
            lines.append("{\"ph\":\"M\",\"pid\":")
            lines.appendDecimal(key.pid)
            switch key.kind {
            case .process: lines.append(",\"name\":\"process_name\",\"args\":{\"name\":")
            case .thread:
                lines.append(",\"tid\":")
                lines.appendDecimal(key.tid)
                lines.append(",\"name\":\"thread_name\",\"args\":{\"name\":")
            case .sortIndex:
                lines.append(",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":")
            }
            unsafe withName(of: entry) { name in
                if key.kind == .sortIndex {
                    unsafe lines.append(name)
                } else {
                    _ = unsafe lines.appendJSONString(ByteView(name))
                }
            }
            lines.append("}},\n")
        }
    }

    private func withName(of entry: Entry, _ body: (UnsafeRawBufferPointer) -> Void) {
        unsafe text.withUnsafeBytes {
            unsafe body(
                UnsafeRawBufferPointer(rebasing: $0[entry.start..<(entry.start + entry.count)])
            )
        }
    }

    func encode(into state: inout RawBuffer) {
        let compacted = compacted
        state.append(integer: UInt32(compacted.count))
        for entry in compacted {
            state.append(integer: entry.key.pid)
            state.append(integer: entry.key.tid)
            state.append(integer: entry.key.kind.rawValue)
            state.append(integer: UInt32(entry.count))
            unsafe withName(of: entry) { unsafe state.append($0) }
        }
    }

    init() {}

    init(decoding state: inout StateReader) throws(TraceError) {
        for _ in 0..<(try state.integer(UInt32.self)) {
            let pid = try state.integer(UInt32.self)
            let tid = try state.integer(UInt32.self)
            guard let kind = Key.Kind(rawValue: try state.integer(UInt8.self)) else {
                throw TraceError(.corrupt, "the saved state contains a name of an unknown kind")
            }
            unsafe set(Key(pid: pid, tid: tid, kind: kind), ByteView(try state.counted()))
        }
    }
}
