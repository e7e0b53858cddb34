import ActivityMonitoring
import ClusterMessages
import HTTPServing
import TraceFiles
import TraceMetrics
import TraceModel

/// Decides what the aggregator's fabric thread does: which messages are taken and answered, which windows are merged,
/// what follows from a merge, which processes count as down, and which metrics the aggregator has of its own. A value
/// without sockets, files, clocks or threads: `FabricThread` passes input to it and carries out its actions in their
/// order, and so does the simulator.
///
/// The way of a window:
///
///      announced ──all slots──▶ merge ──merged──▶ save ──saved──▶ settle, reply to workers and router
///                                 ▲  │              │
///                        repaired │  │ damaged      │ failed
///                                 │  ▼              ▼
///                               rebuild ──failed──▶ merged again after `Limits.mergeRetrySeconds`
///
/// What pages show is the caller's (`SharedState.Content`); each input may change it.
struct AggregationState: Sendable {
    /// What the thread has to do.
    enum Action: Sendable {
        /// Send without waiting. A message that cannot be sent is requested again: workers repeat announcements until
        /// they are answered, and a router that reconnects is sent the last windows.
        case send(ClusterMessage, to: Peer)
        /// Merge the window, then call `merged`.
        case merge(MergeJob)
        /// Rebuild the segments and merge the repaired job, or call `failed`.
        case rebuild(MergeJob, damaged: [String])
        /// Save the marks, then call `saved`, or `failed`.
        case save([Resource: MergedMark], of: MergeThread.Outcome)
        /// The window's mark is saved: record its files, and remove what was kept to rebuild it.
        case settle(MergeJob)
        case report(AggregationNotice)
    }

    /// What both clocks showed when an input arrived.
    struct Clocks: Sendable {
        /// Nanoseconds of the monotonic clock.
        var monotonic: Int64
        /// Seconds since the epoch.
        var epochSeconds: Int64
    }

    /// Input of a tick that the thread gathers from other threads and files.
    struct Surroundings: Sendable {
        var clocks: Clocks
        /// The current merge.
        var merging: MergeState.Current?
        /// The worker's window whose segments are being rebuilt.
        var rebuilding: WorkerWindow?
        var retention = RetentionCounts()
        /// Nil if there is no object store.
        var uploads: UploadState?
        var http = HTTPCounts()
        /// To be read if `needsFiles`; nil otherwise.
        var files: ProcessFiles?
    }

    private(set) var ledger: WindowLedger
    private(set) var peers: PeerTable

    /// What the aggregator says of itself.
    private let identity: Heartbeat
    private let faults: AggregatorFaults
    private var actions: [Action] = []
    private var refusedMessage = Recurrence()
    /// Resources whose merge failed, with the time of the next attempt.
    private var blocked: [Resource: Int64] = [:]
    private var obstacles: [Resource: String] = [:]
    private var mergeFailures: [Resource: Recurrence] = [:]
    private var account = QuietAccount()
    private var metrics = OwnMetrics()
    /// When the router was sent the last heartbeat.
    private var beatAt: Int64 = .min / 2
    private var filesReadAt: Int64 = 0

    private static let second: Int64 = 1_000_000_000

    /// Creates the state of a process that starts; `now` is in monotonic nanoseconds. `marks` are the saved ones;
    /// `areMarksLost` says that there were others, which cannot be read any more.
    init(
        marks: [Resource: MergedMark],
        areMarksLost: Bool = false,
        incarnation: UInt64,
        pid: UInt32,
        now: Int64,
        faults: AggregatorFaults = []
    ) {
        ledger = WindowLedger(marks: marks, isLost: areMarksLost, faults: faults)
        peers = PeerTable(now: now)
        identity = Heartbeat(
            process: MetricSnapshot.aggregator,
            incarnation: incarnation,
            pid: pid
        )
        self.faults = faults
    }

    private mutating func takeActions() -> [Action] {
        defer { actions = [] }
        return actions
    }

    // MARK: Messages

    /// Handles a message of a peer. `encoded` is the message's frame, which goes into the journal of the metrics.
    mutating func receive(
        _ message: ClusterMessage,
        encoded: UnsafeRawBufferPointer,
        from peer: Peer,
        at clocks: Clocks,
        _ shared: inout SharedState.Content
    ) -> [Action] {
        do throws(TraceError) {
            try unsafe take(message, encoded, from: peer, clocks, &shared)
        } catch { note(error, from: "\(peer)", &shared) }
        return takeActions()
    }

    /// Notes a message that could not be decoded, or does not come from the router or a worker.
    mutating func refuse(
        _ error: TraceError,
        from sender: String?,
        _ shared: inout SharedState.Content
    ) -> [Action] {
        note(error, from: sender ?? "nobody", &shared)
        return takeActions()
    }

    private mutating func note(
        _ error: TraceError,
        from sender: String,
        _ shared: inout SharedState.Content
    ) {
        shared.count(.fabricMessageRefused)
        guard refusedMessage.isNew("\(sender): \(error)") else { return }
        actions.append(.report(.refused(sender: sender, error)))
    }

    private mutating func take(
        _ message: ClusterMessage,
        _ encoded: UnsafeRawBufferPointer,
        from peer: Peer,
        _ clocks: Clocks,
        _ shared: inout SharedState.Content
    ) throws(TraceError) {
        switch message {
        case .metricSnapshot(let snapshot):
            guard snapshot.process == peer.process, snapshot.incarnation == peer.incarnation else {
                throw TraceError(.invalidArgument, "a snapshot of another: \(snapshot.process)")
            }
            try shared.store.apply(snapshot)
            unsafe shared.journal.append(message: encoded)
            greet(peer, clocks, &shared)
            if let status = snapshot.router {
                expect(status.workers.map(\.worker), clocks.monotonic, &shared)
            }
        case .metricSeries(let series):
            guard series.process == peer.process, series.incarnation == peer.incarnation else {
                throw TraceError(.invalidArgument, "series of another: \(series.process)")
            }
            greet(peer, clocks, &shared)
            let isJoined = try shared.store.apply(series)
            unsafe shared.journal.append(message: encoded)
            if !isJoined { askForAll(peer, clocks.monotonic) }
        case .findings(let findings):
            guard findings.worker == peer.worker, findings.incarnation == peer.incarnation else {
                throw TraceError(.invalidArgument, "findings of another: \(findings.worker)")
            }
            greet(peer, clocks, &shared)
            shared.findings.add(findings)
        case .segmentsClosed(let segments):
            guard segments.worker == peer.worker else {
                throw TraceError(.invalidArgument, "segments of another: \(segments.worker)")
            }
            greet(peer, clocks, &shared)
            try take(segments, from: peer)
        case .heartbeat: greet(peer, clocks, &shared)
        case .workerHello, .workerProgress, .workerFenced, .workerWelcome, .shareHeader,
            .windowMerged, .routerStatus:
            throw TraceError(.invalidArgument, "not a message for the aggregator")
        }
    }

    /// Records that a peer is alive, and introduces the aggregator to a new peer. A worker then sends all its metrics,
    /// because earlier changes may be lost. The router also receives the last merged windows, because it may have
    /// missed those messages.
    private mutating func greet(
        _ peer: Peer,
        _ clocks: Clocks,
        _ shared: inout SharedState.Content
    ) {
        shared.store.heard(peer.process, incarnation: peer.incarnation)
        guard peers.heard(peer, at: clocks) else { return }
        actions.append(.report(.connected(process: peer.process)))
        askForAll(peer, clocks.monotonic)
        guard peer.process == MetricSnapshot.router else { return }
        for (resource, mark) in ledger.marks {
            let merged = WindowMerged(resource: resource, window: mark.window, files: mark.files)
            actions.append(.send(.windowMerged(merged), to: peer))
        }
    }

    /// Asks a peer for its complete state, at most once a second. A worker that receives the aggregator's heartbeat
    /// starts to send all series again; messages it sent before still arrive.
    private mutating func askForAll(_ peer: Peer, _ now: Int64) {
        if peers.ask(peer, now: now) { actions.append(.send(.heartbeat(identity), to: peer)) }
    }

    private mutating func expect(
        _ workers: [WorkerName],
        _ now: Int64,
        _ shared: inout SharedState.Content
    ) {
        for worker in peers.expect(Set(workers), now: now) {
            shared.store.declareDown(worker.description)
        }
    }

    private mutating func take(_ segments: SegmentsClosed, from peer: Peer) throws(TraceError) {
        switch ledger.announce(segments) {
        case .accepted: return
        case .merged(let files):
            let merged = WindowMerged(
                resource: segments.worker.resource,
                window: segments.window,
                files: files
            )
            actions.append(.send(.windowMerged(merged), to: peer))
        case .refused(let reason): throw TraceError(.invalidArgument, reason)
        }
    }

    // MARK: Merges

    /// Handles the end of a merge.
    mutating func merged(
        _ outcome: MergeThread.Outcome,
        now: Int64,
        _ shared: inout SharedState.Content
    ) -> [Action] {
        let job = outcome.job
        // The window stays marked as being merged until its segments are rebuilt.
        guard outcome.damaged.isEmpty else { return [.rebuild(job, damaged: outcome.damaged)] }
        switch outcome.result {
        case .success(let files):
            if faults.contains(.unsavedMarks) { return saved(outcome, &shared) }
            var ahead = ledger
            ahead.finish(job, files: files)
            actions.append(.save(ahead.marks, of: outcome))
        case .failure(let error): fail(job, error, now, &shared)
        }
        return takeActions()
    }

    /// Notes that the mark of a merged window is on disk.
    mutating func saved(
        _ outcome: MergeThread.Outcome,
        _ shared: inout SharedState.Content
    ) -> [Action] {
        guard case .success(let files) = outcome.result else { return [] }
        let job = outcome.job
        ledger.finish(job, files: files)
        mergeFailures[job.resource] = nil
        metrics.merged(outcome, files: files.count)
        shared.marks = ledger.marks
        shared.findings.remove(job.resource, before: job.window)
        actions.append(.settle(job))
        announce(job, files)
        // Each loss and each rebuilt output is reported once, because a window is merged once.
        for loss in outcome.losses {
            shared.count(.segmentDamaged)
            actions.append(.report(.lost(loss, job)))
        }
        for rebuilt in job.repair?.rebuilt ?? [] {
            actions.append(.report(.rebuilt(rebuilt, job)))
        }
        actions.append(.report(.merged(job, files: files.count, seconds: outcome.seconds)))
        return takeActions()
    }

    /// Notes that a window could not be merged, rebuilt or saved.
    mutating func failed(
        _ job: MergeJob,
        _ error: any Error,
        now: Int64,
        _ shared: inout SharedState.Content
    ) -> [Action] {
        fail(job, error, now, &shared)
        return takeActions()
    }

    /// Schedules another attempt. Only the router is notified, because a client may be waiting there.
    private mutating func fail(
        _ job: MergeJob,
        _ error: any Error,
        _ now: Int64,
        _ shared: inout SharedState.Content
    ) {
        ledger.giveBack(job)
        blocked[job.resource] = now + Int64(Limits.mergeRetrySeconds) * Self.second
        shared.count(.mergeFailed)
        let reason = "\(error)"
        if mergeFailures[job.resource, default: Recurrence()].isNew("\(job.window): \(reason)") {
            actions.append(.report(.mergeFailed(job, reason: reason)))
        }
        guard let router = peers.router else { return }
        let message = WindowMerged(
            resource: job.resource,
            window: job.window,
            files: [],
            failure: reason
        )
        actions.append(.send(.windowMerged(message), to: router))
    }

    /// Sends a merged window to the router and to the workers of its resource, sorted by name.
    private mutating func announce(_ job: MergeJob, _ files: [String]) {
        let merged = WindowMerged(resource: job.resource, window: job.window, files: files)
        for peer in peers.peers.values.sorted(by: { $0.process < $1.process })
        where peer.worker == nil || peer.worker?.resource == job.resource {
            actions.append(.send(.windowMerged(merged), to: peer))
        }
    }

    // MARK: Ticks

    /// Whether the next tick needs the files that processes write for others: once a second.
    func needsFiles(now: Int64) -> Bool { now - filesReadAt >= Self.second }

    /// Does everything that does not follow from a message or a merge. To be called several times a second.
    mutating func tick(_ seen: Surroundings, _ shared: inout SharedState.Content) -> [Action] {
        let now = seen.clocks.monotonic
        for event in peers.tick(now: now) { note(event, &shared) }
        blocked = blocked.filter { $0.value > now }
        while let job = ledger.nextJob(except: Set(blocked.keys)) { actions.append(.merge(job)) }
        noteObstacles(&shared)
        if let files = seen.files { note(files, seen.clocks, &shared) }
        beat(now, &shared.store)
        metrics.note(seen.retention, &shared)
        metrics.note(seen.uploads, seen.clocks)
        metrics.note(seen, ledger)
        metrics.note(peers.expected, shared.store, now: now)
        metrics.note(seen.http, now: now)
        metrics.publish(as: identity, &shared)
        return takeActions()
    }

    private mutating func note(_ event: ActivityEvent, _ shared: inout SharedState.Content) {
        switch event {
        case .late(let member, let seconds):
            actions.append(.report(.silent(member, seconds: seconds)))
            guard shared.store.declareDown("\(member)") else { return }
            shared.silences += 1
            if member != .router { shared.count(.workerHung) }
        case .recovered(let member, let seconds):
            actions.append(.report(.heardAgain(member, seconds: seconds)))
        case .paused, .inactive: return
        }
    }

    /// Reports overlapping announcements, once each: they are caused by a bug and need an operator.
    private mutating func noteObstacles(_ shared: inout SharedState.Content) {
        for resource in Resource.allCases {
            guard let (window, coverage) = ledger.obstacle(of: resource),
                case .overlap(let slot, let lsn) = coverage
            else {
                obstacles[resource] = nil
                continue
            }
            let place = "window \(window), slot \(slot), LSN \(lsn)"
            guard obstacles[resource] != place else { continue }
            obstacles[resource] = place
            shared.count(.mergeFailed)
            actions.append(.report(.overlap(resource, place: place)))
        }
    }

    /// Takes over which workers are lost, and reports processes that do not stay up.
    private mutating func note(
        _ files: ProcessFiles,
        _ clocks: Clocks,
        _ shared: inout SharedState.Content
    ) {
        filesReadAt = clocks.monotonic
        shared.store.lost = files.lost
        if let edge = files.edge, edge != shared.edge {
            shared.edge = edge
            shared.silences += 1
            actions.append(.report(.edge(edge)))
        }
        if let console = files.console, console != shared.console {
            shared.console = console
            shared.silences += 1
            actions.append(.report(.console(console)))
        }
        let before = shared.store.recentEnds
        let recent = peers.recentEnds(files, at: clocks.epochSeconds)
        shared.store.recentEnds = recent
        for (process, ends) in recent
        where ends.problem != nil && before[process]?.problem == nil {
            actions.append(.report(.unstable(process: process, ends)))
        }
    }

    /// Sends a heartbeat to the router, which monitors this process as this one monitors all others.
    private mutating func beat(_ now: Int64, _ store: inout MetricStore) {
        guard now - beatAt >= Int64(Limits.heartbeatSeconds) * Self.second,
            let router = peers.router
        else { return }
        beatAt = now
        var heartbeat = identity
        let reading = store.statusReading()
        let finding = account.read(
            reading.router,
            written: reading.writtenEvents,
            isUp: reading.routerPID != nil && !reading.workers.isEmpty
                && reading.workers.allSatisfy(\.isUp),
            now: now
        )
        switch finding {
        case .unknown: break
        case .needsReports:
            for peer in peers.peers.values where peer.worker != nil { askForAll(peer, now) }
        case .unaccounted(let events): heartbeat.unaccountedEvents = events
        }
        actions.append(.send(.heartbeat(heartbeat), to: router))
    }
}
