import TraceMetrics

/// Counts received events that appear in no result once the cluster has been idle for a while. Such events were
/// lost with a part of the log. Pure; times are in monotonic nanoseconds.
///
/// Workers that were killed may have reported events above their checkpoints. Where the log has lost these, nobody
/// applies them again, and such a report stands until its slot changes. So all workers are asked for all their counts
/// before the events are counted, and also where more events are accounted for than were received.
struct QuietAccount {
    /// What follows from a reading of the status.
    enum Finding: Equatable {
        /// The cluster is not idle, or not long enough, or there is nothing to find out.
        case unknown
        /// Every worker has to report all its counts anew.
        case needsReports
        /// So many received events are in no result.
        case unaccounted(UInt64)
    }

    /// The two totals that are compared, from one reading of the status.
    private struct Sums: Equatable {
        let received: UInt64
        let accounted: UInt64
    }

    private var last: Sums?
    /// Time of the last change, or of the request for all counts.
    private var since: Int64 = 0
    /// Whether the workers were asked for all their counts since the last change.
    private var hasAsked = false

    /// How long the cluster must be idle. Workers report all their counts within this time after the last event.
    private static let quietNanoseconds: Int64 = 5_000_000_000

    /// Returns what a reading of the status shows. The finding is unknown if a worker lags, a value changed within the
    /// last 5 s, or `isUp` is false because a process is missing. To be called periodically.
    mutating func read(
        _ router: RouterStatus,
        written: UInt64,
        isUp: Bool,
        now: Int64
    ) -> Finding {
        let isQuiet = isUp && router.workers.allSatisfy { $0.connected && $0.lagBytes == 0 }
        let sums = Sums(
            received: router.receivedEvents,
            accounted: written + router.deduplicatedEvents + router.deadLetteredEvents
                + router.rejectedEvents
        )
        let isInQuestion = router.uncertainEvents > 0 || sums.accounted > sums.received
        guard isQuiet, isInQuestion, sums == last else {
            last = isQuiet && isInQuestion ? sums : nil
            since = now
            hasAsked = false
            return .unknown
        }
        guard now - since >= Self.quietNanoseconds else { return .unknown }
        guard hasAsked else {
            hasAsked = true
            since = now
            return .needsReports
        }
        guard sums.received >= sums.accounted else { return .unknown }
        return .unaccounted(sums.received - sums.accounted)
    }
}
