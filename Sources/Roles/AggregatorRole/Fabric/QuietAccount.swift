import TraceMetrics

/// Counts received events that appear in no result once the cluster has been idle for a while. Such events were
/// lost with a part of the log. Pure; times are in monotonic nanoseconds.
struct QuietAccount {
    /// The two totals that are compared, from one reading of the status.
    private struct Sums: Equatable {
        let received: UInt64
        let accounted: UInt64
    }

    private var last: Sums?
    /// Time of the last change.
    private var since: Int64 = 0

    /// How long the cluster must be idle. Workers report all their counts within this time after the last event.
    private static let quietNanoseconds: Int64 = 5_000_000_000

    /// Returns the number of unaccounted events. Nil if a worker lags, a value changed within the last 5 s, or
    /// `isUp` is false because a process is missing. To be called periodically.
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
