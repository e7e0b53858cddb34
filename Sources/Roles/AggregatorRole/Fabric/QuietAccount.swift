import TraceMetrics

/// Finds how many of the events received nothing is counted of, once a cluster has been quiet for a while: then they have been
/// lost with a part of the log. Pure; times are monotonic nanoseconds.
struct QuietAccount {
    /// Of one reading.
    private struct Sums: Equatable {
        let received: UInt64
        let accounted: UInt64
    }

    private var last: Sums?
    /// Since when nothing has changed.
    private var since: Int64 = 0

    /// Workers tell all that they have counted within this time from when nothing more comes.
    private static let quietNanoseconds: Int64 = 5_000_000_000

    /// Nil while a worker lags behind, or anything has changed lately, or `isUp` is false as a process is missing. To be asked
    /// again and again.
    mutating func unaccounted(
        by router: RouterStatus,
        written: UInt64,
        isUp: Bool,
        now: Int64
    ) -> UInt64? {
        let isQuiet = isUp && router.workers.allSatisfy { $0.connected && $0.lagBytes == 0 }
        let sums = Sums(
            received: router.receivedEvents,
            accounted: written + router.deduplicatedEvents + router.deadLetteredEvents
                + router.rejectedEvents
        )
        guard isQuiet, sums == last else {
            last = isQuiet ? sums : nil
            since = now
            return nil
        }
        guard now - since >= Self.quietNanoseconds, sums.received >= sums.accounted else {
            return nil
        }
        return sums.received - sums.accounted
    }
}
