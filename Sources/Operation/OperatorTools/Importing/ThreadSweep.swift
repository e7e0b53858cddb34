/// Turns one thread's calls into properly nested edges, in time order.
///
/// The calls come by start, longer ones first. Ends come before begins at the same time, unless the call has
/// no length. A call that outlasts its caller is cut at the caller's end, as viewers nest strictly.
struct ThreadSweep {
    /// Overlaps up to this are the recorder's rounding of floating-point microseconds.
    static let roundingNanoseconds: Int64 = 1_000

    /// An open call and the cookie that its events carry.
    private struct Frame {
        var call: RecordedCall
        var cookie: Int64
    }

    private let calls: ArraySlice<RecordedCall>
    private var index: Int
    private var open: [Frame] = []
    private(set) var truncated = 0
    private(set) var pending: CallEdge?

    init(_ calls: ArraySlice<RecordedCall>, lastCookie: inout Int64) {
        self.calls = calls
        index = calls.startIndex
        advance(&lastCookie)
    }

    /// Computes the edge that follows `pending`. `lastCookie` counts the calls of all threads.
    mutating func advance(_ lastCookie: inout Int64) { pending = following(&lastCookie) }

    private mutating func following(_ lastCookie: inout Int64) -> CallEdge? {
        guard index < calls.endIndex else { return closeRest() }
        var call = calls[index]
        if let frame = open.last, frame.call.end <= call.start {
            open.removeLast()
            return exit(frame)
        }
        if let end = open.last?.call.end, call.end > end {
            if call.end == RecordedCall.open || call.end - end > Self.roundingNanoseconds {
                truncated += 1
            }
            call.end = end
        }
        index += 1
        lastCookie += 1
        open.append(Frame(call: call, cookie: lastCookie))
        return CallEdge(
            time: call.start,
            isEntry: true,
            cookie: lastCookie,
            name: call.name,
            thread: call.thread,
            duration: 0
        )
    }

    private mutating func closeRest() -> CallEdge? {
        while let frame = open.popLast() {
            if frame.call.end != RecordedCall.open { return exit(frame) }
        }
        return nil
    }

    private func exit(_ frame: Frame) -> CallEdge {
        CallEdge(
            time: frame.call.end,
            isEntry: false,
            cookie: frame.cookie,
            name: frame.call.name,
            thread: frame.call.thread,
            duration: frame.call.end - frame.call.start
        )
    }
}
