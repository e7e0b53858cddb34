import IngestLog
import Logging
import SystemIO
import TraceMetrics
import TraceModel

/// The router's state after a replay of its log: windows, slots, and received batches.
struct RouterRecovery {
    private(set) var log: LogRecovery
    private(set) var state: RouterState
    /// Slot maps for the part of the log that workers may read again.
    private(set) var maps: SlotMapHistory
    /// Damaged ranges for which there is no damage record yet.
    private(set) var unreported: [DamagePayload]
    /// All damaged ranges that workers have to skip, including one before the log's start.
    private(set) var damaged: [Range<LSN>]
    /// The open window as far as the log describes it.
    let openWindow: OpenWindow
    /// Maximum output of the events in the log.
    let pending: PendingOutput
    /// Events by resource that were accepted before the log's oldest record.
    private var acceptedBefore: [UInt64]

    /// Replays the log, and continues after a loss that an operator has accepted. `fresh` is the state of a log without
    /// records; `positions` returns the LSNs of the workers' checkpoints, as `WorkerCheckpoints.positions` does. Blocks.
    /// - Throws: `RouterLost` if the log has lost its start or end, and that is not accepted.
    static func start(
        salt: UInt32,
        fresh: RouterState,
        positions: ((LSN) -> Bool) -> [WorkerName: LSN?] = WorkerCheckpoints.positions,
        logger: Logger
    ) throws -> RouterRecovery {
        var recovered = try run(salt: salt, fresh: fresh, logger: logger)
        let noted = LogEnd.read(salt: salt)
        if noted == nil, recovered.log.end > 0 {
            logger.warning(
                "Nothing says how far the log went before this start, as after a version before 0.2: of what was lost at its end until now only what workers have saved is known, and lost events are in no count. From now on it is noted",
                metadata: ["file": "\(ClusterPaths.logEnd)", "end_lsn": "\(recovered.log.end)"]
            )
        }
        if let noted { try recovered.restore(from: noted, logger: logger) }
        let begin = recovered.log.begin
        let lostBegin = LogLoss.findBegin(
            begin,
            maps: recovered.maps,
            accepted: recovered.damaged,
            checkpoints: begin == 0 ? [:] : positions { $0 < begin }
        )
        let lostEnd = LogLoss.find(
            end: recovered.log.end,
            isEmpty: recovered.log.bases.isEmpty,
            cut: recovered.log.cut,
            evidence: try .gather(noted: noted, end: recovered.log.end)
        )
        let losses = [lostBegin, lostEnd].compactMap { $0 }
        guard !losses.isEmpty else {
            try LogLoss.settled()
            if !recovered.unreported.isEmpty {
                try recovered.crossLostBarriers(noted: noted, workers: positions { _ in true }.keys)
                try recovered.restoreLostVerdicts()
            }
            return recovered
        }
        try LogLoss.requireAcceptance(of: losses)
        let checkpoints = positions { _ in true }
        for loss in losses {
            if loss.isBegin {
                recovered.goOn(withoutBegin: loss, checkpoints: checkpoints, logger: logger)
            } else {
                try recovered.goOn(
                    behind: loss,
                    noted: noted,
                    checkpoints: checkpoints,
                    logger: logger
                )
            }
        }
        try recovered.restoreLostVerdicts()
        // Without a checkpoint such a worker would wait for hand-over files that nobody writes; one at LSN 0 counts as
        // none.
        let first = recovered.log.begin
        for worker in recovered.state.slotMap.allWorkers
        where losses.contains(where: { $0.range.upperBound == first })
            && (checkpoints[worker] ?? 0) == 0 && recovered.maps.ownedFirst(by: worker)
        { try CheckpointPosition.publishBlank(of: worker, at: first, renewed: first) }
        return recovered
    }

    /// Replays the whole log. Blocks; O(log). `fresh` is the state of a log without records.
    /// - Throws: `TraceError(.corrupt)` if a record of the router's own is malformed, `SystemError` if the log cannot
    ///   be read.
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
                    // Only the oldest head has state that does not follow from the records.
                    try unsafe state.restoreHead(record.body)
                    maps = state.history
                case .fileHead:
                    // A later head is needed only for a barrier that was lost with the records before that head.
                    var reader = unsafe StateReader(record.body)
                    let last = try LastWindow(from: &reader)
                    if let closed = last.closed, closed.window >= state.window {
                        state.passed(closed, end: last.begin)
                        maps?.append(closed, end: last.begin)
                    }
                case .barrier:
                    let barrier = try unsafe BarrierPayload(decoding: record.body)
                    state.passed(barrier, end: end)
                    replay.passedBarrier()
                    maps?.append(barrier, end: end)
                case .batch: replay.apply(record, to: &state.dedup)
                case .verdict:
                    let verdict = try unsafe VerdictPayload(decoding: record.body)
                    state.verdicts.insert(verdict.range, of: verdict.worker)
                case .damage: unsafe state.note(try DamagePayload(decoding: record.body))
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

    /// The ranges that no earlier start has found, and whether the log's end was torn.
    var logFaults: [(kind: LossKind, count: Int)] {
        [(.logDamaged, unreported.count), (.logTailCut, log.tornBytes > 0 ? 1 : 0)]
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

    /// Compensates for barriers that were lost with a part of the log: by the state noted beside it, if that is newer,
    /// and by the windows of the workers, because a window's number must never be used twice.
    /// - Throws: `TraceError(.corrupt)` if the noted state is malformed.
    mutating func crossLostBarriers(noted: LogEnd?, workers: some Sequence<WorkerName>) throws {
        if let noted, noted.end > (unreported.first?.range.lowerBound ?? log.end) {
            let last = try unsafe noted.state.withUnsafeBytes { bytes in
                var reader = unsafe StateReader(bytes)
                return try LastWindow(from: &reader)
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

    /// Takes totals, windows and slot map from the note beside the log if nothing is left of the log but a file that was
    /// begun at its end: all files before it, and with them all records, were removed.
    /// - Throws: `TraceError(.corrupt)` if the noted state is malformed.
    private mutating func restore(from noted: LogEnd, logger: Logger) throws {
        guard log.begin == log.end, log.end > 0, noted.end == log.end else { return }
        let last = try unsafe noted.state.withUnsafeBytes { bytes in
            var reader = unsafe StateReader(bytes)
            return try LastWindow(from: &reader)
        }
        state = RouterState(slotMap: last.slotMap)
        if let closed = last.closed { state.passed(closed, end: last.begin) }
        maps = state.history
        log = log.counting(noted.counts)
        acceptedBefore = noted.counts.accepted.indices.map { noted.counts.accepted[$0] }
        logger.error(
            "All records of the ingest log were removed; it goes on with what is noted beside it, but a batch that is sent again may count twice",
            metadata: ["end_lsn": "\(log.end)"]
        )
    }

    /// Puts verdicts back in force whose records were lost with a part of the log: without them, events that are in a
    /// letter would be applied as well.
    private mutating func restoreLostVerdicts() throws(SystemError) {
        for (worker, range) in try DeadLetterRecovery.verdicts()
        where range.upperBound > log.begin
            && !state.verdicts.contains(worker, from: range.lowerBound)
        { state.verdicts.insert(range, of: worker) }
    }

    /// Continues after an accepted loss of the log's end, with the state that was noted beside the log, if it is
    /// usable. What workers have applied above the log's end remains applied.
    /// - Throws: `TraceError(.corrupt)` if the noted state is malformed.
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

    /// Continues after an accepted loss of the log's start. How many of the lost events the workers had applied is
    /// known only if the loss comprises the log from its very beginning.
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

    /// Logs the damage that recovery found: the events in it count as dead-lettered from then on.
    mutating func report(
        in writer: inout LogWriter,
        copy: LogWriter.Copy = { _, _ in false }
    ) throws(SystemError) {
        guard !unreported.isEmpty else { return }
        var group = LogGroup(capacity: 4_096)
        var counts = writer.counts
        for damage in unreported {
            var body = RawBuffer()
            damage.encode(into: &body)
            let target = unsafe group.append(
                .damage,
                arrival: WallClock.now(),
                bodyBytes: body.count
            )
            unsafe UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(
                from: body.bytes
            )
            counts.deadLettered += damage.events
        }
        let totals = counts
        let state = state
        try unsafe writer.commit(
            &group,
            countsAt: { _ in totals },
            copy: copy,
            head: { state.encodeHead(into: &$0) }
        )
        for damage in unreported { self.state.note(damage) }
        try LogLoss.settled()
    }
}
