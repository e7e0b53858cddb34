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

        static func thread(_ pid: UInt32, _ tid: UInt32) -> Key {
            Key(pid: pid, tid: tid, kind: .thread)
        }

        static func sortIndex(_ pid: UInt32) -> Key { Key(pid: pid, tid: 0, kind: .sortIndex) }

        /// By process, the process's own name first, then its threads, then its place.
        func precedes(_ other: Key) -> Bool {
            if pid != other.pid { return pid < other.pid }
            if kind != other.kind { return kind.rawValue < other.kind.rawValue }
            return tid < other.tid
        }
    }

    /// Of a `sortIndex` the number in decimal.
    private(set) var names: [Key: [UInt8]] = [:]

    var isEmpty: Bool { names.isEmpty }

    mutating func set(_ key: Key, _ name: ByteView) { names[key] = Array(name.buffer) }

    mutating func sort(_ pid: UInt32, _ index: Int32) {
        names[.sortIndex(pid)] = Array(String(index).utf8)
    }

    private var sortedKeys: [Key] { names.keys.sorted { $0.precedes($1) } }

    /// One `M` event a line, each with the comma after it.
    func appendLines(to text: inout RawBuffer) {
        for key in sortedKeys {
            guard let name = names[key] else { continue }
            text.append("{\"ph\":\"M\",\"pid\":")
            text.appendDecimal(key.pid)
            switch key.kind {
            case .process:
                text.append(",\"name\":\"process_name\",\"args\":{\"name\":")
            case .thread:
                text.append(",\"tid\":")
                text.appendDecimal(key.tid)
                text.append(",\"name\":\"thread_name\",\"args\":{\"name\":")
            case .sortIndex:
                text.append(",\"name\":\"process_sort_index\",\"args\":{\"sort_index\":")
            }
            name.withUnsafeBytes { name in
                if key.kind == .sortIndex {
                    text.append(name)
                } else {
                    _ = text.appendJSONString(ByteView(name))
                }
            }
            text.append("}},\n")
        }
    }

    func encode(into state: inout RawBuffer) {
        state.append(integer: UInt32(names.count))
        for key in sortedKeys {
            guard let name = names[key] else { continue }
            state.append(integer: key.pid)
            state.append(integer: key.tid)
            state.append(integer: key.kind.rawValue)
            state.append(integer: UInt32(name.count))
            name.withUnsafeBytes { state.append($0) }
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
            names[Key(pid: pid, tid: tid, kind: kind)] = Array(try state.counted())
        }
    }
}
