import SystemIO
import TraceModel

/// Names of processes and threads for the end of a trace file (`M` events). The last name given stays.
struct NameTable {
    struct Key: Hashable {
        let pid: UInt32
        let tid: UInt32
        let isThread: Bool

        /// By process, the process's own name first, then its threads.
        func precedes(_ other: Key) -> Bool {
            if pid != other.pid { return pid < other.pid }
            if isThread != other.isThread { return !isThread }
            return tid < other.tid
        }
    }

    private(set) var names: [Key: [UInt8]] = [:]

    var isEmpty: Bool { names.isEmpty }

    mutating func set(_ key: Key, _ name: ByteView) { names[key] = Array(name.buffer) }

    private var sortedKeys: [Key] { names.keys.sorted { $0.precedes($1) } }

    /// One `M` event a line, each with the comma after it.
    func appendLines(to text: inout RawBuffer) {
        for key in sortedKeys {
            guard let name = names[key] else { continue }
            text.append("{\"ph\":\"M\",\"pid\":")
            text.appendDecimal(key.pid)
            if key.isThread {
                text.append(",\"tid\":")
                text.appendDecimal(key.tid)
                text.append(",\"name\":\"thread_name\",\"args\":{\"name\":")
            } else {
                text.append(",\"name\":\"process_name\",\"args\":{\"name\":")
            }
            name.withUnsafeBytes { _ = text.appendJSONString(ByteView($0)) }
            text.append("}},\n")
        }
    }

    func encode(into state: inout RawBuffer) {
        state.append(integer: UInt32(names.count))
        for key in sortedKeys {
            guard let name = names[key] else { continue }
            state.append(integer: key.pid)
            state.append(integer: key.tid)
            state.append(integer: UInt8(key.isThread ? 1 : 0))
            state.append(integer: UInt32(name.count))
            name.withUnsafeBytes { state.append($0) }
        }
    }

    init() {}

    init(decoding state: inout StateReader) throws(TraceError) {
        for _ in 0..<(try state.integer(UInt32.self)) {
            let pid = try state.integer(UInt32.self)
            let tid = try state.integer(UInt32.self)
            let isThread = try state.integer(UInt8.self) != 0
            names[Key(pid: pid, tid: tid, isThread: isThread)] = Array(try state.counted())
        }
    }
}
