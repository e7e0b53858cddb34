import ClusterMessages
import IngestLog
import SystemIO
import TraceFiles
import TraceModel

/// Faults that tests plant in the worker's decisions and storage, to check that the simulation finds them. Production
/// code sets none.
struct WorkerFaults: OptionSet, Sendable {
    let rawValue: UInt32

    /// Windows are announced that no checkpoint contains.
    static let announceBeforeCheckpoint = WorkerFaults(rawValue: 1 << 0)
    /// Gained slots begin without the state that their old owner hands over.
    static let openGates = WorkerFaults(rawValue: 1 << 1)
    /// A checkpoint is published before the rows that it refers to are synced.
    static let checkpointBeforeRows = WorkerFaults(rawValue: 1 << 2)
}

/// Decides what a worker does with each input: which records it applies, when it hands slots over and takes them in,
/// when it writes a checkpoint and what it announces. A value without sockets, files, clocks or threads: `ApplyLoop`
/// passes input to it and carries out its actions, and so does the simulator.
///
/// Input: messages of the router and the aggregator, the passing of time, and the outcome of each `Work`. After each
/// input, `next` has to be called until it returns nil; of each `Work` that it returns, the outcome goes to `did` before
/// the next call. The result depends only on the records and on when checkpoints are due. Times are monotonic
/// nanoseconds.
struct Replica {
    /// The worker's relation to the log.
    enum State {
        /// The router has not confirmed from where this worker continues. Shares are of an earlier session.
        case awaitingWelcome
        /// Shares are applied. If slots were gained, the next share begins with taking their state in.
        case applying
        /// The state of gained slots could not be taken in, so shares are left out until a new session begins, which is
        /// requested at `retryAt`.
        case awaitingHandover(retryAt: Int64)
        /// The worker cannot go on, and its process ends with this error.
        case lost(any Error)
    }

    /// What the loop around it has to do.
    enum Action {
        /// Request a session from the router.
        case hello
        /// Send `announceable` to the aggregator.
        case announce
        case work(Work)
        /// End the process with this error.
        case end(any Error)
    }

    /// An action on the worker's state and files. `WorkerStorage` carries it out.
    enum Work {
        case openWindow(UInt64)
        /// The record's events are to be applied. Valid during the call that passed the share.
        case apply(ShareRecord)
        case tick(arrival: EpochNanoseconds)
        /// The barrier's window is to be closed; outcome: `closed`.
        case endWindow(BarrierPayload)
        /// The state of slots is to be written to a hand-over file for another worker.
        case give([UInt8], to: Int, at: LSN)
        case drop([UInt8])
        /// The state of gained slots is to be taken in; outcome: `taken` or `damaged`.
        case take(GainedSlots)
        /// Hand-over files at this LSN have been taken in and a checkpoint has their state.
        case removeTaken(at: LSN)
        /// Everything applied is to be made durable; outcome: `written`. The rules in force are to be added.
        case checkpoint(WorkerCheckpoint)
        /// A window is published, and its segments are not needed any more.
        case forgetWindow(UInt64)
    }

    /// The outcome of a `Work`.
    enum Outcome {
        case done
        case closed([ClosedFile], summary: [UInt8])
        /// Whether all hand-over files existed; if not, nothing was taken.
        case taken(Bool)
        /// The hand-over files cannot be used.
        case damaged(TraceError)
        /// A checkpoint is durable that was begun and ended at these times.
        case written(from: Int64, to: Int64)
    }

    /// Something that was decided and not begun yet.
    private enum Step {
        case act(Action)
        case checkpoint
        case checkpointIfDue(CheckpointPlan.Moment)
        /// Continue behind a barrier, with other owners of the slots.
        case cross(Barrier, owners: [UInt16])
    }

    /// A barrier that is being applied.
    private struct Barrier {
        let payload: BarrierPayload
        /// The LSN after it.
        let end: LSN
    }

    /// The rest of a share.
    private struct Share {
        let end: LSN
        let byteCount: Int
        var records: ShareRecords
    }

    let worker: WorkerName
    let incarnation: UInt64
    private let faults: WorkerFaults
    private(set) var state = State.awaitingWelcome
    /// What was decided, in order.
    private var steps: [Step] = []
    /// The share that is being applied.
    private var share: Share?
    /// The barrier whose window is being closed.
    private var barrier: Barrier?

    /// All records below this LSN are applied.
    private(set) var appliedLSN: LSN = 0
    /// All records below this LSN are in a checkpoint.
    private(set) var checkpointLSN: LSN = 0
    private(set) var window: UInt64 = 0
    private var windowBegin: LSN = 0
    private var gained: GainedSlots?
    /// Owners of the resource's slots; empty until they are known.
    private var owners: [UInt16] = []
    /// The worker's events below this LSN were set aside, because its saved state was unusable. 0 if that never happened,
    /// or slots with their state have been taken in since.
    private(set) var renewedLSN: LSN
    /// Windows that have ended and are not known to be merged.
    private var announcements: [SegmentsClosed] = []
    private(set) var checkpoints = CheckpointPlan()

    private static let retryNanoseconds: Int64 = 200_000_000

    /// `checkpoint` is the one that the state was restored from; nil for a new worker.
    init(
        _ worker: WorkerName,
        incarnation: UInt64,
        from checkpoint: WorkerCheckpoint?,
        faults: WorkerFaults = []
    ) {
        self.worker = worker
        self.incarnation = incarnation
        self.faults = faults
        renewedLSN = checkpoint?.renewed ?? 0
        guard let checkpoint else { return }
        appliedLSN = checkpoint.lsn
        checkpointLSN = checkpoint.lsn
        window = checkpoint.window
        windowBegin = checkpoint.windowBegin
        gained = checkpoint.gained
        owners = checkpoint.owners
        announcements = checkpoint.announcements
    }

    // MARK: Results

    /// Whether the router has confirmed a session of this process. Only then is there anything new to save.
    var isInSession: Bool {
        switch state {
        case .applying, .awaitingHandover: true
        case .awaitingWelcome, .lost: false
        }
    }

    /// The windows that a checkpoint contains. Segments of later windows would be truncated after a crash.
    var announceable: [SegmentsClosed] {
        announcements.filter {
            $0.barrierLSN <= checkpointLSN || faults.contains(.announceBeforeCheckpoint)
        }
    }

    /// Slots that the worker owns.
    var ownedSlots: [UInt8] {
        owners.indices.filter { owners[$0] == me }.map { UInt8($0) }
    }

    /// Slots whose state the worker has: those that it owns, but for gained ones that it has not taken in.
    var heldSlots: Set<UInt8> { Set(ownedSlots).subtracting(gained?.slots ?? []) }

    private var me: UInt16 { UInt16(worker.index) }

    /// Returns the request for a session, with the LSNs from which this worker continues.
    func hello(pid: UInt32, claim: WorkerHello.Claim? = nil) -> WorkerHello {
        WorkerHello(
            worker: worker,
            incarnation: incarnation,
            pid: pid,
            resumeLSN: appliedLSN,
            checkpointLSN: checkpointLSN,
            claim: claim
        )
    }

    /// Returns the report of the LSNs and of the output's size.
    func progress(of files: TraceFileManager) -> WorkerProgress {
        WorkerProgress(
            worker: worker,
            incarnation: incarnation,
            appliedLSN: appliedLSN,
            checkpointLSN: checkpointLSN,
            window: files.window,
            windowBytes: UInt64(files.openWindowBytes),
            mergeBytes: UInt64(files.mergeBytesMax)
        )
    }

    // MARK: Input

    /// Starts the session that the router has confirmed. A worker without a usable position begins at the router's LSN.
    /// It is lost if the log begins after its checkpoint.
    mutating func welcome(_ welcome: WorkerWelcome) {
        if case .lost = state { return }
        state = .applying
        guard welcome.lsn > appliedLSN || owners.isEmpty else { return }
        // Continue where the router says: there is no checkpoint; or the worker has no slots, and its checkpoint is older
        // than the log's start, or a barrier gave it slots between two answers to a new worker.
        guard welcome.lsn == appliedLSN || ownedSlots.isEmpty else {
            state = .lost(
                TraceError(
                    .configuration,
                    "The log begins at LSN \(welcome.lsn), behind the checkpoint at \(appliedLSN)"
                )
            )
            return
        }
        appliedLSN = welcome.lsn
        window = welcome.window
        windowBegin = welcome.windowBeginLSN
        owners = welcome.owners
        steps.append(.act(.work(.openWindow(window))))
        // A worker that joins later gets the state of all its slots from other workers.
        if welcome.lsn > renewedLSN { gained = GainedSlots(lsn: welcome.lsn, slots: ownedSlots) }
        // This checkpoint makes segments of the first window rebuildable too.
        if gained == nil { steps.append(.checkpoint) }
    }

    /// Begins with the records of a share that are not applied yet. Its bytes must stay valid until `next` returns nil.
    mutating func receive(_ header: ShareHeader, _ bytes: UnsafeRawBufferPointer) {
        // Shares of an earlier session may arrive again; a gap can only be an error of the router. Shares after one
        // that could not be applied are sent again together with it.
        guard case .applying = state, header.toLSN > appliedLSN else { return }
        guard header.fromLSN <= appliedLSN else {
            let gap = "A share begins at LSN \(header.fromLSN), behind \(appliedLSN)"
            state = .lost(TraceError(.corrupt, gap))
            return
        }
        share = unsafe Share(
            end: header.toLSN,
            byteCount: bytes.count,
            records: ShareRecords(bytes)
        )
    }

    /// Handles the router's refusal of a process of this worker.
    mutating func fenced(_ fenced: WorkerFenced) {
        guard fenced.incarnation == incarnation else { return }
        let message = "The router refuses this worker: \(fenced.reason)"
        guard fenced.isLost else {
            state = .lost(TraceError(.configuration, message))
            return
        }
        let remedy = CheckpointPosition.remedy(for: worker)
        state = .lost(WorkerLost(cause: TraceError(.corrupt, message, remedy: remedy)))
    }

    /// Notes that the aggregator has published a window, or failed to.
    mutating func merged(_ merged: WindowMerged) {
        guard merged.failure == nil else { return }
        announcements.removeAll { $0.window == merged.window }
        steps.append(.act(.work(.forgetWindow(merged.window))))
    }

    /// Notes the time: a session is requested again if gained slots could not be taken in before.
    mutating func pass(_ now: Int64) {
        guard case .awaitingHandover(let retryAt) = state, now >= retryAt else { return }
        // Until the router answers, shares that were already sent are left out too.
        state = .awaitingWelcome
        steps.append(.act(.hello))
    }

    /// Notes that no share is waiting.
    mutating func idle() { steps.append(.checkpointIfDue(.idle)) }

    /// Requests a checkpoint, because the process ends in order or the rules have changed. Outside a session there is
    /// nothing to save.
    mutating func save() { if isInSession { steps.append(.checkpoint) } }

    // MARK: Actions

    /// Returns the next action; nil if the input is dealt with. `now` is called only if a decision depends on the time.
    mutating func next(_ now: () -> Int64) -> Action? {
        while true {
            if case .lost(let error) = state { return .end(error) }
            guard !steps.isEmpty else {
                guard share != nil else { return nil }
                if let action = nextOfShare() { return action }
                continue
            }
            switch steps.removeFirst() {
            case .act(let action): return action
            case .checkpoint: return .work(.checkpoint(checkpoint))
            case .checkpointIfDue(let moment):
                if checkpoints.isDue(moment, at: now()) { return .work(.checkpoint(checkpoint)) }
            case .cross(let barrier, let owners): cross(barrier, owners, now)
            }
        }
    }

    /// Returns the share's next action; nil if there are steps before it, or the share ends.
    private mutating func nextOfShare() -> Action? {
        if let gained {
            // Nothing is applied until the state of gained slots is taken in.
            guard faults.contains(.openGates) else { return .work(.take(gained)) }
            self.gained = nil
        }
        do {
            while let record = try share?.records.next() {
                guard record.lsn >= appliedLSN else { continue }
                switch record.type {
                case .batch: return .work(.apply(record))
                case .tick: return .work(.tick(arrival: record.arrival))
                case .barrier:
                    let payload = try unsafe BarrierPayload(decoding: record.body)
                    let stride = unsafe LogRecord.stride(payloadBytes: record.body.count)
                    barrier = Barrier(payload: payload, end: record.lsn + LSN(stride))
                    return .work(.endWindow(payload))
                case .fileHead, .damage, .verdict, nil:
                    throw TraceError(.corrupt, "A share holds a record of no known type")
                }
            }
        } catch { state = .lost(error) }
        guard let share else { return nil }
        self.share = nil
        appliedLSN = share.end
        checkpoints.applied(share.byteCount)
        steps.append(.checkpointIfDue(.share))
        return nil
    }

    /// Handles the outcome of the last `Work`.
    mutating func did(_ outcome: Outcome, _ now: () -> Int64) {
        switch outcome {
        case .done: break
        case .closed(let files, let summary): closed(files, summary)
        case .taken(true):
            guard let taken = gained else { preconditionFailure("no slots were gained") }
            gained = nil
            // The aggregator would count beside the state of these slots what their old owner has counted of them.
            renewedLSN = 0
            steps += [.checkpoint, .act(.work(.removeTaken(at: taken.lsn)))]
        case .taken(false):
            // The router waits for the old owners too, but does not remember that after a restart.
            leaveShare(retryAt: now() + Self.retryNanoseconds)
        case .damaged(let error): state = .lost(WorkerLost(cause: error))
        case .written(let begin, let end):
            let hasNews = announcements.contains { $0.barrierLSN > checkpointLSN }
            checkpointLSN = appliedLSN
            checkpoints.written(from: begin, to: end)
            if hasNews { steps.append(.act(.announce)) }
        }
    }

    private mutating func leaveShare(retryAt: Int64) {
        share = nil
        state = .awaitingHandover(retryAt: retryAt)
    }

    // MARK: Barriers

    /// The window's segments are closed: hand-over files follow, then a checkpoint, then the announcement. Unless slots
    /// change their owner, the checkpoint and with it the announcement may follow later.
    private mutating func closed(_ files: [ClosedFile], _ summary: [UInt8]) {
        guard let barrier else { preconditionFailure("no window was to be closed") }
        self.barrier = nil
        announcements.append(announcement(of: barrier, files, summary))
        let next = barrier.payload.slotMap.owners(of: worker.resource)
        let lost = ownedSlots.filter { next[Int($0)] != me }
        let given = Dictionary(grouping: lost) { next[Int($0)] }.sorted { $0.key < $1.key }
        for (receiver, slots) in given {
            steps.append(.act(.work(.give(slots, to: Int(receiver), at: barrier.end))))
        }
        if !lost.isEmpty { steps.append(.act(.work(.drop(lost)))) }
        steps.append(.cross(barrier, owners: next))
    }

    private mutating func cross(_ barrier: Barrier, _ next: [UInt16], _ now: () -> Int64) {
        let isRescaled = next != owners
        let new = (0..<Slot.count).filter { owners[$0] != me && next[$0] == me }
        // If the worker was renewed behind this barrier, the state of these slots is set aside with its own.
        if !new.isEmpty, barrier.end > renewedLSN {
            gained = GainedSlots(lsn: barrier.end, slots: new.map { UInt8($0) })
            leaveShare(retryAt: now())
        }
        owners = next
        window = barrier.payload.window + 1
        windowBegin = barrier.end
        appliedLSN = barrier.end
        checkpoints.windowEnded()
        steps.append(isRescaled ? .checkpoint : .checkpointIfDue(.barrier))
    }

    private func announcement(
        of barrier: Barrier,
        _ files: [ClosedFile],
        _ summary: [UInt8]
    ) -> SegmentsClosed {
        var encoded = RawBuffer()
        if !files.isEmpty { ClosedFile.encode(files, into: &encoded) }
        return SegmentsClosed(
            worker: worker,
            window: barrier.payload.window,
            barrierLSN: barrier.end,
            stem: barrier.payload.stem,
            slots: SlotHolding.ranges(of: ownedSlots).map {
                SlotRange(slots: $0, fromLSN: windowBegin, toLSN: barrier.end)
            },
            files: unsafe Array(encoded.bytes),
            summary: summary
        )
    }

    /// A checkpoint of everything applied, without rules.
    private var checkpoint: WorkerCheckpoint {
        WorkerCheckpoint(
            lsn: appliedLSN,
            windowBegin: windowBegin,
            window: window,
            gained: gained,
            owners: owners,
            announcements: announcements,
            rules: [],
            renewed: renewedLSN
        )
    }
}
