import AnomalyRules
import ClusterMessages
import IngestLog
import SystemIO
import TraceFiles
import TraceModel
import TraceProcessing
import TraceWire

@testable import TraceTime
@testable import WorkerRole

/// A worker without sockets: handles messages like `ApplyLoop`, with real files, state and checkpoints.
final class SimulatedWorker {
    let name: WorkerName
    let incarnation: UInt64
    private let bugs: Set<PlantedBug>
    private let processor: any TraceProcessor
    /// Waits for disk space; the failed call is repeated afterwards.
    private let awaitSpace: () -> Void

    private(set) var appliedLSN: LSN = 0
    private(set) var checkpointLSN: LSN = 0
    private var window: UInt64 = 0
    private var windowBegin: LSN = 0
    private var gained: GainedSlots?
    private var owners: [UInt16] = []
    private var announcements: [SegmentsClosed] = []
    private var checkpoints = CheckpointPlan()
    /// Duration of a checkpoint in addition to the disk's calls, in nanoseconds.
    private let checkpointCost: Int64
    private(set) var isWelcome = false
    /// Copies of saved files that were found damaged.
    private(set) var damagedCopies: [String] = []
    /// Whether shares were skipped and must be requested from the router again.
    private(set) var hasGap = false

    /// Creates a worker from its checkpoint, or a new one.
    init(
        _ name: WorkerName,
        incarnation: UInt64,
        budget: FileBudget,
        checkpointCost: Int64,
        bugs: Set<PlantedBug>,
        awaitSpace: @escaping () -> Void
    ) throws {
        self.name = name
        self.incarnation = incarnation
        self.checkpointCost = checkpointCost
        self.bugs = bugs
        self.awaitSpace = awaitSpace
        let files = try TraceFileManager(
            worker: name,
            csvHeader: ProcessorRegistry.csvHeader(of: name.resource),
            timeZoneName: "UTC",
            budget: budget
        )
        processor = ProcessorRegistry.makeProcessor(
            of: name.resource,
            files: files,
            zone: TimeZoneRules(name: "UTC")
        )
        processor.observer = self
        let saved = try WorkerCheckpoint.restore(for: name, into: processor) { damage, write in
            if let damage { damagedCopies.append(damage) }
            try retryingWhenDiskFull(write)
        }
        guard let checkpoint = saved else {
            try processor.files.restore(from: nil)
            return
        }
        appliedLSN = checkpoint.lsn
        checkpointLSN = checkpoint.lsn
        window = checkpoint.window
        windowBegin = checkpoint.windowBegin
        gained = checkpoint.gained
        owners = checkpoint.owners
        announcements = checkpoint.announcements
        try Handover.removeTaken(by: name, through: appliedLSN, except: gained?.lsn)
    }

    // MARK: What it says

    var hello: Message {
        .hello(
            WorkerHello(
                worker: name,
                incarnation: incarnation,
                pid: 1,
                resumeLSN: appliedLSN,
                checkpointLSN: checkpointLSN
            )
        )
    }

    var progress: Message {
        .progress(
            WorkerProgress(
                worker: name,
                incarnation: incarnation,
                appliedLSN: appliedLSN,
                checkpointLSN: checkpointLSN,
                window: processor.files.window,
                windowBytes: UInt64(processor.files.openWindowBytes),
                mergeBytes: UInt64(processor.files.mergeBytesMax)
            )
        )
    }

    /// Events in the state of the slots that it owns.
    var events: UInt64 { processor.totalTraces }

    var announced: [Message] {
        announcements.filter {
            $0.barrierLSN <= checkpointLSN || bugs.contains(.announceBeforeCheckpoint)
        }.map {
            .segmentsClosed($0)
        }
    }

    // MARK: What it hears

    /// Handles a message.
    func receive(_ message: Message) throws {
        switch message {
        case .welcome(let welcome): try accept(welcome)
        case .share(let header, let bytes): try bytes.withUnsafeBytes { try apply(header, $0) }
        case .windowMerged(let merged) where merged.failure == nil:
            announcements.removeAll { $0.window == merged.window }
            processor.files.forgetWindow(merged.window)
        case .fenced(let fenced) where fenced.incarnation == incarnation:
            throw TraceError(.configuration, "The router refuses this worker: \(fenced.reason)")
        default: break
        }
    }

    private func accept(_ welcome: WorkerWelcome) throws {
        defer { isWelcome = true }
        hasGap = false
        guard welcome.lsn > appliedLSN || owners.isEmpty else { return }
        guard welcome.lsn == appliedLSN || (ownedSlots.isEmpty && gained == nil) else {
            throw SimulationError("\(name) at \(appliedLSN) is to begin at \(welcome.lsn)")
        }
        appliedLSN = welcome.lsn
        window = welcome.window
        windowBegin = welcome.windowBeginLSN
        owners = welcome.owners
        processor.files.openWindow(window)
        if welcome.lsn > 0 { gained = GainedSlots(lsn: welcome.lsn, slots: ownedSlots) }
    }

    private func apply(_ header: ShareHeader, _ share: UnsafeRawBufferPointer) throws {
        guard isWelcome, !hasGap, header.toLSN > appliedLSN else { return }
        guard header.fromLSN <= appliedLSN else {
            throw TraceError(
                .corrupt,
                "A share begins at LSN \(header.fromLSN), behind \(appliedLSN)"
            )
        }
        guard try takeGainedSlots() else {
            hasGap = true
            return
        }
        try ShareRecord.forEach(in: share) { record in
            guard record.lsn >= appliedLSN, gained == nil else { return }
            switch record.type {
            case .batch: try applyBatch(record)
            case .barrier: try applyBarrier(record)
            case .tick: try retryingWhenDiskFull { try processor.tick(arrival: record.arrival) }
            case .fileHead, .damage, .verdict, nil:
                throw TraceError(.corrupt, "A share holds a record of no known type")
            }
        }
        guard gained == nil else {
            hasGap = true
            return
        }
        appliedLSN = header.toLSN
        checkpoints.applied(share.count)
        try checkpointIfDue(.share)
    }

    private func applyBatch(_ record: ShareRecord) throws {
        let host = processor.files.registerHost(ByteView(record.host), isThisMachine: false)
        let view = TraceBatchView(
            bytes: record.body,
            host: host,
            hostHash: Slot.hash(host: record.host),
            arrival: record.arrival,
            lsn: record.lsn,
            semantics: record.semantics
        )
        _ = try processor.processTraces(view, isLastBatch: false)
    }

    private func applyBarrier(_ record: ShareRecord) throws {
        let barrier = try BarrierPayload(decoding: record.body)
        let end = record.lsn + LSN(LogRecord.stride(payloadBytes: record.body.count))
        var closed: [ClosedFile] = []
        try retryingWhenDiskFull {
            closed = try processor.finalize(stem: barrier.stem, nextWindow: barrier.window + 1)
        }
        var encoded = RawBuffer()
        if !closed.isEmpty { ClosedFile.encode(closed, into: &encoded) }
        announcements.append(
            SegmentsClosed(
                worker: name,
                window: barrier.window,
                barrierLSN: end,
                stem: barrier.stem,
                slots: ownedSlots.map {
                    SlotRange(slots: $0...$0, fromLSN: windowBegin, toLSN: end)
                },
                files: Array(encoded.bytes),
                summary: processor.takeSummary()
            )
        )
        let next = barrier.slotMap.owners(of: name.resource)
        let isRescaled = next != owners
        try handOver(to: next, at: end)
        window = barrier.window + 1
        windowBegin = end
        appliedLSN = end
        checkpoints.windowEnded()
        if isRescaled { try checkpoint() } else { try checkpointIfDue(.barrier) }
    }

    private var ownedSlots: [UInt8] {
        owners.indices.filter { owners[$0] == UInt16(name.index) }.map { UInt8($0) }
    }

    private func handOver(to next: [UInt16], at lsn: LSN) throws {
        let me = UInt16(name.index)
        let lost = ownedSlots.filter { next[Int($0)] != me }
        let handover = Handover(resource: name.resource, lsn: lsn)
        let receivers = Dictionary(grouping: lost, by: { next[Int($0)] })
        for (receiver, slots) in receivers.sorted(by: { $0.key < $1.key }) {
            try retryingWhenDiskFull {
                try handover.give(slots, from: name.index, to: Int(receiver), processor: processor)
            }
        }
        for slot in lost { processor.dropState(slot: slot) }
        let new = (0..<Slot.count).filter { owners[$0] != me && next[$0] == me }
        if !new.isEmpty { gained = GainedSlots(lsn: lsn, slots: new.map { UInt8($0) }) }
        owners = next
    }

    private func takeGainedSlots() throws -> Bool {
        guard let gained else { return true }
        if bugs.contains(.openGates) {
            self.gained = nil
            return true
        }
        let handover = Handover(resource: name.resource, lsn: gained.lsn)
        guard
            try handover.take(
                gained.slots,
                by: name.index,
                into: processor,
                report: { damagedCopies.append($0) }
            )
        else { return false }
        self.gained = nil
        try checkpoint()
        try handover.remove(for: name.index)
        return true
    }

    // MARK: Durability

    func checkpointIfDue(_ moment: CheckpointPlan.Moment) throws {
        if checkpoints.isDue(moment, at: WallClock.monotonic()) { try checkpoint() }
    }

    func checkpoint() throws {
        guard isWelcome else { return }
        let begin = WallClock.monotonic()
        try retryingWhenDiskFull {
            try processor.files.flush(.all)
            if !bugs.contains(.checkpointBeforeRows) { try processor.files.sync() }
            let checkpoint = WorkerCheckpoint(
                lsn: appliedLSN,
                windowBegin: windowBegin,
                window: window,
                gained: gained,
                owners: owners,
                announcements: announcements,
                rules: processor.rules.source
            )
            try checkpoint.publish(for: name, processor: processor, slots: ownedSlots)
        }
        if gained == nil { try? KeptCheckpoints.keep(WorkerWindow(worker: name, window: window)) }
        checkpointLSN = appliedLSN
        checkpoints.written(from: begin, to: WallClock.monotonic() + checkpointCost)
    }

    private func retryingWhenDiskFull(
        after first: SystemError? = nil,
        _ body: () throws -> Void
    ) throws {
        var failure = first
        while true {
            if let failure {
                guard failure.isOutOfSpace else { throw failure }
                awaitSpace()
            }
            do { return try body() } catch let error as SystemError { failure = error }
        }
    }
}

extension SimulatedWorker: BatchObserver {
    func advanced() {}

    func writeRows(after error: SystemError) throws {
        try retryingWhenDiskFull(after: error) { try processor.files.flush(.full) }
    }
}
