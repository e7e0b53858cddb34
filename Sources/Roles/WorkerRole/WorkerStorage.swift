import AnomalyRules
import ClusterMessages
import IngestLog
import Logging
import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing

/// The state and files of a worker: carries out what `Replica` decides, and waits where the disk is full. Used by
/// `ApplyLoop` and by the simulator. Belongs to the worker's thread; its calls block.
final class WorkerStorage {
    let worker: WorkerName
    let processor: any TraceProcessor
    let retry: DiskRetry
    private let batches: BatchApplier
    /// Stores the LSN of the record in progress, so that the next process knows at which record this one crashed.
    private let cell: CrashCell?
    private let faults: WorkerFaults
    private let logger: Logger
    /// Called repeatedly within a batch.
    var onAdvance: () -> Void = {}
    /// Number of damaged copies of checkpoints and hand-over files.
    private(set) var damagedCopies = 0
    /// Bytes of all checkpoints written.
    private(set) var checkpointBytes: UInt64 = 0

    #if DEBUG
    private let injection = FaultInjection()
    #endif

    /// Takes over the processor's errors and progress. `machine` is the name of this machine, as batches contain it.
    init(
        _ worker: WorkerName,
        processor: any TraceProcessor,
        machine: String,
        cell: CrashCell? = nil,
        faults: WorkerFaults = [],
        logger: Logger
    ) {
        self.worker = worker
        self.processor = processor
        self.cell = cell
        self.faults = faults
        self.logger = logger
        batches = BatchApplier(processor, machine: machine)
        retry = DiskRetry(worker, logger: logger)
        processor.observer = self
    }

    /// Restores the state from the last checkpoint; returns nil if there is none.
    /// - Throws: `WorkerLost` if the saved state is unusable.
    func restore() throws -> WorkerCheckpoint? {
        let saved: WorkerCheckpoint?
        do {
            saved = try WorkerCheckpoint.restore(for: worker, into: processor) { damage, write in
                if let damage { note(damage) }
                try retry.run(usingReserve: true, write)
            }
        } catch let error as TraceError where error.code == .corrupt {
            throw WorkerLost(cause: error)
        }
        guard let checkpoint = saved else {
            try processor.files.restore(from: nil)
            return nil
        }
        for segment in processor.files.damagedSegments {
            logger.error(
                "A segment is gone or shorter than the checkpoint says; its rows are lost when its window is merged",
                metadata: ["file": "\(segment)", "window": "\(checkpoint.window)"]
            )
        }
        // The checkpoint is blank: kept checkpoints do not fit what the worker does from here on.
        if checkpoint.owners.isEmpty { _ = try KeptCheckpoints.remove(of: worker) }
        try Handover.removeTaken(
            by: worker,
            through: checkpoint.lsn,
            except: checkpoint.gained?.lsn
        )
        logger.info(
            "Checkpoint restored",
            metadata: ["lsn": "\(checkpoint.lsn)", "window": "\(checkpoint.window)"]
        )
        return checkpoint
    }

    /// Counts and logs a damaged copy of a file whose other copy is used.
    private func note(_ damage: String) {
        damagedCopies += 1
        logger.error("A damaged file; its other copy serves", metadata: ["file": "\(damage)"])
    }

    // MARK: Work

    /// Carries out a decision, and returns its outcome.
    /// - Throws: `SystemError` other than a full disk, or the error of `DiskRetry.wait`; the process then has to end.
    func carryOut(_ work: Replica.Work) throws -> Replica.Outcome {
        switch work {
        case .openWindow(let window): processor.files.openWindow(window)
        case .apply(let record): try apply(record)
        case .tick(let arrival): try retry.run { try processor.tick(arrival: arrival) }
        case .endWindow(let barrier): return try endWindow(barrier)
        case .give(let slots, let receiver, let lsn):
            try retry.run {
                try handover(at: lsn).give(
                    slots,
                    from: worker.index,
                    to: receiver,
                    processor: processor
                )
            }
        case .drop(let slots): for slot in slots { processor.dropState(slot: slot) }
        case .take(let gained): return try take(gained)
        case .removeTaken(let lsn): try handover(at: lsn).remove(for: worker.index)
        case .checkpoint(let checkpoint): return try write(checkpoint)
        case .forgetWindow(let window): processor.files.forgetWindow(window)
        }
        return .done
    }

    private func handover(at lsn: LSN) -> Handover { Handover(resource: worker.resource, lsn: lsn) }

    private func apply(_ record: ShareRecord) throws {
        cell?.position = record.lsn
        #if DEBUG
        unsafe injection.strike(record.body)
        #endif
        try unsafe batches.apply(
            record.body,
            host: record.host,
            arrival: record.arrival,
            lsn: record.lsn,
            semantics: record.semantics
        )
        cell?.position = nil
    }

    private func endWindow(_ barrier: BarrierPayload) throws -> Replica.Outcome {
        var closed: [ClosedFile] = []
        processor.files.crossBarriers(to: barrier.window)
        try retry.run {
            closed = try processor.finalize(stem: barrier.stem, nextWindow: barrier.window + 1)
        }
        return .closed(closed, summary: processor.takeSummary())
    }

    private func take(_ gained: GainedSlots) throws -> Replica.Outcome {
        // Slots bring new hosts, which may evict an idle one.
        batches.forgetHost()
        do {
            return .taken(
                try handover(at: gained.lsn).take(
                    gained.slots,
                    by: worker.index,
                    into: processor,
                    report: note
                )
            )
        } catch let error as TraceError where error.code == .corrupt { return .damaged(error) }
    }

    /// Writes a checkpoint. Flushes and syncs all rows first.
    private func write(_ checkpoint: WorkerCheckpoint) throws -> Replica.Outcome {
        var checkpoint = checkpoint
        checkpoint.rules = processor.rules.source
        var begin: Int64 = 0
        try retry.run(usingReserve: true) {
            // Time spent waiting for disk space does not count as the checkpoint's cost.
            begin = WallClock.monotonic()
            try processor.files.flush(.all)
            if !faults.contains(.checkpointBeforeRows) { try processor.files.sync() }
            let slots = checkpoint.ownedSlots(of: worker)
            try checkpoint.publish(for: worker, processor: processor, slots: slots)
        }
        keep(checkpoint)
        retry.holdReserve()
        checkpointBytes += 2 * UInt64(FileSystem.size(ClusterPaths.checkpoint(of: worker)) ?? 0)
        return .written(from: begin, to: WallClock.monotonic())
    }

    /// Keeps the window's first checkpoint, from which its damaged segments can be rebuilt.
    private func keep(_ checkpoint: WorkerCheckpoint) {
        // As long as gained slots are not taken in, the checkpoint lacks their state.
        guard checkpoint.gained == nil else { return }
        do {
            try KeptCheckpoints.keep(WorkerWindow(worker: worker, window: checkpoint.window))
        } catch {
            logger.warning(
                "The checkpoint is not kept: damaged segments of the window can't be rebuilt",
                metadata: ["window": "\(checkpoint.window)", "error": "\(error)"]
            )
        }
    }
}

extension WorkerStorage: BatchObserver {
    func advanced() { onAdvance() }

    func writeRows(after error: SystemError) throws {
        try retry.run(after: error) { try processor.files.flush(.full) }
    }
}
