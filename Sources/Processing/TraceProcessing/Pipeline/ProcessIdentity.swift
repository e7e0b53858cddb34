import SystemIO
import TraceModel

/// Which traced process the events of a process id come from: its name and the time of its newest event.
///
/// A process is another one (a restart) where its name changes or, as the caller finds out, one of the
/// agent's cumulative counters falls with a newer time. Threads have names of their own: the process is
/// named by its main thread, and by the first thread heard of until that one is heard.
struct ProcessIdentity: ~Copyable {
    /// What an event says about the process.
    struct Sample {
        /// Older than another event: its counters say nothing.
        var isLate = false
        /// The state kept so far is another process's.
        var isRestart = false
        /// The first one of this process id: its counters tell of time before it was seen.
        var isFirst = false
        /// Series go by another name from here on.
        var isRenamed = false
    }

    private(set) var name = OwnedName(.empty)
    private var namingThread: UInt32 = 0
    private var lastTime = EpochNanoseconds.min

    init() {}

    /// Takes an event's comm (empty: none); says in the context where the name changes.
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
        name = OwnedName(comm)
        context.rename(name.view)
        namingThread = context.tid
        return sample
    }

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
