import SystemIO
import TraceModel

/// The traced process behind a process id: its name and the time of its newest event.
///
/// A different process (a restart) is assumed if its name changes, or if the caller finds that one of the agent's
/// cumulative counters falls at a newer time. Threads have names of their own: a process is named by its main thread,
/// and until that one is seen by the first thread that is.
struct ProcessIdentity: ~Copyable {
    /// What an event implies about the process.
    struct Sample {
        /// It is older than another event, so its counters are ignored.
        var isLate = false
        /// The state kept so far belongs to another process.
        var isRestart = false
        /// It is the first event of this process id, so its counters cover time before the process was observed.
        var isFirst = false
        /// Series have another name from here on.
        var isRenamed = false
    }

    private(set) var name = OwnedName(.empty)
    private var namingThread: UInt32 = 0
    private var lastTime = EpochNanoseconds.min

    init() {}

    /// Applies an event's comm, which may be empty. A change of the name is noted in the context.
    @inline(__always) mutating func observe(
        _ comm: ByteView,
        _ context: inout EventContext,
        hasFallingCounter: Bool
    ) -> Sample {
        guard context.time >= lastTime else { return Sample(isLate: true) }
        var sample = Sample(
            isRestart: hasFallingCounter && context.time > lastTime,
            isFirst: lastTime == .min
        )
        lastTime = context.time
        if sample.isRestart { context.raiseSuppressed(process: name.view) }
        let isMain = context.tid == context.pid
        if comm.isEmpty { return sample }
        if name.equals(comm) {
            if isMain { namingThread = context.tid }
            return sample
        }
        let isNaming = context.tid == namingThread && !name.view.isEmpty
        guard name.view.isEmpty || isNaming || isMain || sample.isRestart else { return sample }
        if isNaming, !sample.isRestart {
            sample.isRestart = true
            context.raiseSuppressed(process: name.view)
        }
        sample.isRenamed = true
        name.set(comm)
        context.rename(name.view)
        namingThread = context.tid
        return sample
    }

    /// Takes over the memory of another process's name.
    mutating func takeMemory(of gone: inout ProcessIdentity) { name.takeMemory(of: &gone.name) }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: namingThread)
        buffer.append(integer: lastTime)
        name.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let thread = try reader.integer(UInt32.self)
        let time = try reader.integer(Int64.self)
        name = try OwnedName(decoding: &reader)
        namingThread = thread
        lastTime = time
    }
}
