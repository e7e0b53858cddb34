import TraceModel

/// How long a call is held at most, whichever places it waits in one after another: in the ingest queue, in its commit
/// group, for room on the disk. A value; monotonic nanoseconds.
struct CallHold: Equatable, Sendable {
    static let nanoseconds = Int64(Limits.callHoldSeconds) * 1_000_000_000

    /// From here on the call is refused rather than held.
    let end: Int64

    /// `arrival`: when the message was there.
    init(arrival: Int64) { end = arrival + Self.nanoseconds }

    func isOver(at now: Int64) -> Bool { now >= end }
}
