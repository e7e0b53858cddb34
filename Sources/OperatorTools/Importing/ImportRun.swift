import TraceModel
import TraceWire

/// Sends a recording's calls as function events.
package struct ImportRun {
    private var recording: Recording
    private let session: BatchSession
    private let stop: StopSignal
    private var tally = FunctionTally()
    /// Told calls begun and calls in all now and then.
    package var onProgress: ((_ done: Int, _ total: Int) -> Void)?
    package private(set) var callsBegun = 0
    package private(set) var truncatedCalls = 0

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

    private mutating func event(_ edge: CallEdge, shift: Int64) -> BatchEncoder.Function {
        let thread = recording.threads[Int(edge.thread)]
        let (calls, average) = tally.count(edge, pid: thread.pid)
        var event = BatchEncoder.Function()
        event.timestamp = TraceClock.epochSeconds(edge.time &+ shift)
        event.eventType = edge.isEntry ? 0 : 1
        event.cookie = edge.cookie
        event.functionName = recording.names[Int(edge.name)]
        event.pid = thread.tid
        event.tgid = thread.pid
        event.callCount = calls
        event.averageDurationMicroseconds = average
        return event
    }
}
