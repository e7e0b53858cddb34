import TraceModel
import TraceWire

/// Sends a recording's calls as function events. The names of processes and threads are sent once, before the first
/// event of each.
package struct ImportRun {
    private var recording: Recording
    private let session: BatchSession
    private let stop: StopSignal
    private var tally = FunctionTally()
    /// Reports progress from time to time: calls begun, and calls in total.
    package var onProgress: ((_ done: Int, _ total: Int) -> Void)?
    package private(set) var callsBegun = 0
    package private(set) var truncatedCalls = 0
    /// Names of processes and threads sent so far.
    package private(set) var namesSent = 0
    private var namedProcesses: Set<UInt32> = []
    private var namedThreads: Set<UInt32> = []

    package init(_ recording: consuming Recording, session: BatchSession, stop: StopSignal) {
        self.recording = recording
        self.session = session
        self.stop = stop
    }

    /// Sends everything, times shifted by `shift` nanoseconds. Blocks until the last batch is
    /// acknowledged. Throws what `RetryingSender.send` throws.
    package mutating func run(shift: Int64) throws {
        let total = recording.calls.count
        var timeline = CallTimeline(&recording)
        while let edge = timeline.next() {
            if namedThreads.insert(edge.thread).inserted { try sendNames(of: edge.thread) }
            try session.append(event(edge, shift: shift))
            guard edge.isEntry else { continue }
            callsBegun += 1
            guard callsBegun % 1024 == 0 else { continue }
            onProgress?(callsBegun, total)
            if stop.isRaised { throw Interrupted() }
        }
        try session.flush()
        truncatedCalls = timeline.truncatedCalls
        onProgress?(total, total)
    }

    /// `index`: of the thread in the recording. Its process's name goes with the first of its threads. What has another id on
    /// the wire than in the recording, and no name there, goes by that.
    private mutating func sendNames(of index: UInt32) throws {
        let thread = recording.threads[Int(index)]
        let process = recording.processes[Int(thread.process)]
        if namedProcesses.insert(thread.process).inserted,
            let text = process.name ?? (process.isRenumbered ? Self.name(of: process.id) : nil)
        {
            try send(text, pid: process.pid, tid: 0, sortIndex: process.sortIndex)
        }
        if thread.isNamed,
            let text = thread.name ?? (thread.isRenumbered ? Self.name(of: thread.id) : nil)
        {
            try send(text, pid: process.pid, tid: thread.tid, sortIndex: 0)
        }
    }

    private static func name(of id: RecordedID) -> String {
        var text = id.shown
        return text.withUTF8 {
            unsafe ByteView(UnsafeRawBufferPointer($0)).cut(at: Limits.nameBytesMax).string
        }
    }

    private mutating func send(_ text: String, pid: UInt32, tid: UInt32, sortIndex: Int32) throws {
        guard !text.isEmpty else { return }
        var name = BatchEncoder.Name()
        name.pid = pid
        name.tid = tid
        name.name = text
        name.sortIndex = sortIndex
        try session.append(name)
        namesSent += 1
    }

    private mutating func event(_ edge: CallEdge, shift: Int64) -> BatchEncoder.Function {
        let thread = recording.threads[Int(edge.thread)]
        let pid = recording.processes[Int(thread.process)].pid
        let (calls, average) = tally.count(edge, pid: pid)
        var event = BatchEncoder.Function()
        event.timestamp = TraceClock.epochSeconds(edge.time &+ shift)
        event.eventType = edge.isEntry ? 0 : 1
        event.cookie = edge.cookie
        event.functionName = recording.names[Int(edge.name)]
        event.pid = thread.tid
        event.tgid = pid
        event.callCount = calls
        event.averageDurationMicroseconds = average
        return event
    }
}
