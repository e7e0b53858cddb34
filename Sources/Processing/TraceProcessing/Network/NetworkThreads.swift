import SystemIO
import TraceModel

/// The counters of a NEUTRACER agent for each thread of a process. Bounded: threads beyond `countMax` share the last
/// place.
struct NetworkThreads: ~Copyable {
    /// The counters of one thread.
    struct Thread: BitwiseCopyable {
        let tid: UInt32
        var txPackets: UInt64 = 0
        var rxPackets: UInt64 = 0
        /// The agent's counter of the thread at its last event, as far as it follows from differences.
        var txBytes: UInt64 = 0
        var rxBytes: UInt64 = 0
    }

    static var countMax: Int { 4_096 }

    private var threads: [Thread] = []
    private var index = IndexTable()

    var count: Int { threads.count }

    @inline(__always) var stateBytes: Int {
        threads.count &* (MemoryLayout<Thread>.stride * 3 / 2 + StateCost.index)
    }

    init() {}

    /// Returns the thread's position, adding it if it is new.
    @inline(__always) mutating func position(of tid: UInt32) -> Int {
        let hash = NameHash.mix(UInt64(tid))
        let threads = threads
        if let known = index.find(hash, { threads[$0].tid == tid }) { return known }
        guard threads.count < Self.countMax else { return threads.count - 1 }
        append(Thread(tid: tid))
        return threads.count
    }

    private mutating func append(_ thread: Thread) {
        index.insert(NameHash.mix(UInt64(thread.tid)), position: threads.count)
        threads.append(thread)
    }

    subscript(position: Int) -> Thread {
        get { threads[position] }
        set { threads[position] = newValue }
    }

    /// Resets all counters, as the agent's restart at 0.
    mutating func beginAnew() {
        for position in threads.indices { threads[position] = Thread(tid: threads[position].tid) }
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(threads.count))
        for thread in threads {
            buffer.append(integer: thread.tid)
            for count in [thread.txPackets, thread.rxPackets, thread.txBytes, thread.rxBytes] {
                buffer.append(varint: count)
            }
        }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt32.self)) {
            var thread = Thread(tid: try reader.integer(UInt32.self))
            thread.txPackets = try reader.varint()
            thread.rxPackets = try reader.varint()
            thread.txBytes = try reader.varint()
            thread.rxBytes = try reader.varint()
            append(thread)
        }
    }
}
