import TraceModel

/// How long a call is held at most, whichever places it waits in one after another: for its turn to be received, in
/// the ingest queue, in its commit group, for room on the disk. A value; monotonic nanoseconds.
struct CallHold: Equatable, Sendable {
    static let nanoseconds = Int64(Limits.callHoldSeconds) * 1_000_000_000

    /// From here on the call is refused rather than held.
    let end: Int64

    /// `arrival`: when the message was there; `waited`: for how long the call had been held before it was received.
    init(arrival: Int64, waited: Int64 = 0) {
        end = arrival + Self.nanoseconds - min(max(waited, 0), Self.nanoseconds)
    }

    func isOver(at now: Int64) -> Bool { now >= end }
}
