import IngestLog
import Logging
import SystemIO
import TraceModel

/// What a router knows once it has replayed its log: windows, slots, and batches seen.
struct RouterRecovery {
    private(set) var log: LogRecovery
    private(set) var state: RouterState
    /// For as much of the log as workers may read again.
    private(set) var maps: SlotMapHistory
    /// Damaged ranges that no record reports yet.
    private(set) var unreported: [DamagePayload]
    /// All damaged ranges that workers have to be led over, also where the log begins behind one.
    private(set) var damaged: [Range<LSN>]
    /// What the log still says of the open window.
    let openWindow: OpenWindow
    /// What its events become at most.
    let pending: PendingOutput
    /// Events by resource that were accepted before the log's oldest record.
    private let acceptedBefore: [UInt64]

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
                case .fileHead:
                    // But for a barrier that was lost with what stood before this head.
                    var reader = StateReader(record.body)
                    let last = try RouterState.lastWindow(from: &reader)
                    if let closed = last.closed, closed.window >= state.window {
                        state.passed(closed, end: last.begin)
                        maps?.append(closed, end: last.begin)
                    }
                case .barrier:
                    let barrier = try BarrierPayload(decoding: record.body)
                    state.passed(barrier, end: end)
                    replay.passedBarrier()
                    maps?.append(barrier, end: end)
                case .batch: replay.apply(record, to: &state.dedup)
                case .verdict:
                    let verdict = try VerdictPayload(decoding: record.body)
                    state.verdicts.insert(verdict.range, of: verdict.worker)
                case .damage: state.note(try DamagePayload(decoding: record.body))
                case .tick, nil: break
                }
            } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
        if log.end > 0 {
            logger.info(
                "Ingest log recovered",
                metadata: [
                    "begin": "\(log.begin)", "end": "\(log.end)", "torn_bytes": "\(log.tornBytes)",
                    "events": "\(log.counts.acceptedTotal)",
                ]
            )
        }
        let gaps = damage.unreported(of: log.damaged)
        let checkpoints = gaps.isEmpty ? [:] : WorkerCheckpoints.positions { _ in true }
        let unreported = gaps.map { gap in
            let map = maps?.place(at: gap.range.lowerBound).map ?? state.slotMap
            return gap.damage(map, checkpoints)
        }
        for range in unreported {
            report(range, "The ingest log is damaged; the range is set aside", logger)
        }
        let gone = damage.reported.filter { $0.upperBound == log.begin }
        return RouterRecovery(
            log: log,
            state: state,
            maps: maps ?? state.history,
            unreported: unreported,
            damaged: log.damaged + gone,
            openWindow: replay.window,
            pending: replay.pending,
            acceptedBefore: damage.acceptedBefore
        )
    }

    private static func report(_ damage: DamagePayload, _ what: Logger.Message, _ logger: Logger) {
        logger.error(
            what,
            metadata: [
                "from_lsn": "\(damage.range.lowerBound)", "to_lsn": "\(damage.range.upperBound)",
                "events": "\(damage.events)", "perhaps_applied": "\(damage.uncertain)",
            ]
        )
    }

    /// Makes up for barriers that were lost with a part of the log: by what was noted beside it, where that knows more, and
    /// by the windows in which the workers are, as no number of a window may come twice.
    /// - Throws: `TraceError(.corrupt)` where what was noted is out of shape.
    mutating func crossLostBarriers(noted: LogEnd?, workers: some Sequence<WorkerName>) throws {
        if let noted, noted.end > (unreported.first?.range.lowerBound ?? log.end) {
            let last = try noted.state.withUnsafeBytes { bytes in
                var reader = StateReader(bytes)
                return try RouterState.lastWindow(from: &reader)
            }
            if log.begin == log.end {
                state = RouterState(slotMap: last.slotMap)
                if let closed = last.closed { state.passed(closed, end: last.begin) }
                maps = state.history
            } else if let closed = last.closed, closed.window >= state.window {
                state.passed(closed, end: last.begin)
                maps.append(closed, end: last.begin)
            }
        }
        for worker in workers {
            state.crossBarriers(to: CheckpointPosition.window(of: worker) ?? 0)
        }
    }

    /// Goes on behind a loss that was accepted, with what was noted of the log's end beside it, where that is of use. What
    /// workers have come to behind the log's end stays theirs.
    /// - Throws: `TraceError(.corrupt)` where what was noted is out of shape.
    mutating func goOn(
        behind loss: LogLoss,
        noted: LogEnd?,
        checkpoints: [WorkerName: LSN?],
        logger: Logger
    ) throws {
        var counts = log.counts
        var gap = DamageTally.Gap(range: loss.range)
        if let noted, noted.end > loss.range.lowerBound {
            gap = DamageTally.Gap(
                range: loss.range.lowerBound..<noted.end,
                events: counts.accepted.indices.map {
                    noted.counts.accepted[$0] - min(counts.accepted[$0], noted.counts.accepted[$0])
                }
            )
            counts = noted.counts
        }
        try crossLostBarriers(noted: noted, workers: checkpoints.keys)
        let lost = gap.damage(state.slotMap, checkpoints)
        let damage = DamagePayload(
            range: loss.range,
            events: lost.events,
            uncertain: lost.uncertain
        )
        Self.report(
            damage,
            "The ingest log goes on behind a loss, as the operator has accepted",
            logger
        )
        log = log.continued(at: loss.range.upperBound, counts: counts)
        unreported.append(damage)
        damaged.append(loss.range)
    }

    /// Goes on with a log that has lost what stood before its oldest record, as was accepted. How many events of that its
    /// workers had applied is known only where it is all that there ever was.
    mutating func goOn(withoutBegin loss: LogLoss, checkpoints: [WorkerName: LSN?], logger: Logger)
    {
        let map = maps.place(at: log.begin).map
        let gap = DamageTally.Gap(range: loss.range, events: acceptedBefore)
        var damage = gap.damage(map, checkpoints)
        if loss.range.lowerBound > 0 {
            damage = DamagePayload(
                range: loss.range,
                events: 0,
                uncertain: damage.uncertain + damage.events
            )
        }
        Self.report(
            damage,
            "The ingest log goes on without its begin, as the operator has accepted",
            logger
        )
        unreported.append(damage)
        damaged.append(loss.range)
    }

    /// The damaged ranges that no record reported are in the log now.
    mutating func reported() { for damage in unreported { state.note(damage) } }
}
