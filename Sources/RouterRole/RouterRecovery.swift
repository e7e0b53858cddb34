import IngestLog
import Logging
import TraceModel

/// What a router knows once it has replayed its log: windows, slots, and batches seen.
struct RouterRecovery {
    let log: LogRecovery
    let state: RouterState
    /// For as much of the log as workers may read again.
    let maps: SlotMapHistory
    /// Damaged ranges that no record reports yet.
    let unreported: [DamagePayload]
    /// What the log still says of the open window.
    let openWindow: OpenWindow
    /// What its events become at most.
    let pending: PendingOutput

    /// Replays the whole log. Blocks; O(log). `fresh` is the state for a log without records.
    /// - Throws: `TraceError(.corrupt)` where a record of the router's own is out of shape, `SystemError`
    ///   where the log cannot be read.
    static func run(salt: UInt32, fresh: RouterState, logger: Logger) throws -> RouterRecovery {
        var state = fresh
        var maps: SlotMapHistory?
        var failure: TraceError?
        var replay = BatchReplay()
        var damage = DamageTally()
        let directory = LogDirectory(path: ClusterPaths.log)
        let log = try LogRecovery.run(directory, salt: salt) { record in
            do throws(TraceError) {
                let end = record.lsn + LSN(record.stride)
                try damage.pass(record)
                switch record.type {
                case .fileHead where maps == nil:
                    // Only the oldest head says what the records behind it do not.
                    try state.restoreHead(record.body)
                    maps = state.history
                case .barrier:
                    let barrier = try BarrierPayload(decoding: record.body)
                    state.passed(barrier, end: end)
                    replay.passedBarrier()
                    maps?.append(barrier, end: end)
                case .batch:
                    replay.apply(record, to: &state.dedup)
                case .verdict:
                    let verdict = try VerdictPayload(decoding: record.body)
                    state.verdicts.insert(verdict.range, of: verdict.worker)
                case .fileHead, .tick, .damage, nil:
                    break
                }
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        if log.end > 0 {
            logger.info(
                "Ingest log recovered",
                metadata: [
                    "begin": "\(log.begin)", "end": "\(log.end)",
                    "torn_bytes": "\(log.tornBytes)", "events": "\(log.counts.acceptedTotal)",
                ]
            )
        }
        let unreported = damage.unreported(of: log.damaged)
        for range in unreported {
            logger.error(
                "The ingest log is damaged; the range is set aside",
                metadata: [
                    "from_lsn": "\(range.range.lowerBound)", "to_lsn": "\(range.range.upperBound)",
                    "events": "\(range.events)",
                ]
            )
        }
        return RouterRecovery(
            log: log,
            state: state,
            maps: maps ?? state.history,
            unreported: unreported,
            openWindow: replay.window,
            pending: replay.pending
        )
    }
}
