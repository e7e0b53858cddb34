import ActivityMonitoring
import ClusterMessages
import Foundation
import Glibc
import HTTPServing
import Logging
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import ZeroMQ

/// Handles the fabric thread's messages and periodic work. Used by that thread only.
struct FabricCoordinator {
    private let socket: ZMQSocket
    private let shared: SharedState
    private let merges: MergeThread
    private let journal: WindowJournal
    private let http: HTTPTally
    private let incarnation: UInt64
    private let log: Logger

    private var ledger: WindowLedger
    private var monitor: ActivityMonitor
    /// The newest incarnation of each process.
    private var peers: [String: Peer] = [:]
    private var expected: Set<WorkerName> = []
    /// When each peer was asked to send its complete state (monotonic nanoseconds).
    private var asked: [Peer: Int64] = [:]
    private var rebuilds: SegmentRebuilds
    private var counts = MergeCounts()
    private var skew = WorkerSkew()
    private var account = QuietAccount()
    private var isCountingChanged = true
    /// When the last heartbeat was sent to the router (monotonic nanoseconds).
    private var beatAt: Int64 = .min / 2
    /// When the progress of merges was last published (monotonic nanoseconds).
    private var mergingReportedAt: Int64 = .min / 2
    /// When the HTTP server's counts were last published (monotonic nanoseconds).
    private var httpReportedAt: Int64 = .min / 2
    /// Resources whose merge failed, with the time of the next attempt (monotonic nanoseconds).
    private var blocked: [Resource: Int64] = [:]
    private var obstacles: [Resource: String] = [:]
    private var mergeFailures: [Resource: Recurrence] = [:]
    private var refusedMessage = Recurrence()
    /// When the files of workers and the supervisor were last read (monotonic nanoseconds).
    private var filesSeen: Int64 = 0
    /// Ends of processes that this thread noticed, by process name. Used for processes whose ends no supervisor
    /// records.
    private var ends: [String: ProcessEnds] = [:]

    init(
        socket: ZMQSocket,
        shared: SharedState,
        merges: MergeThread,
        journal: WindowJournal,
        ledger: WindowLedger,
        rebuilds: SegmentRebuilds,
        http: HTTPTally,
        incarnation: UInt64,
        log: Logger
    ) {
        self.socket = socket
        self.shared = shared
        self.merges = merges
        self.journal = journal
        self.http = http
        self.ledger = ledger
        self.rebuilds = rebuilds
        self.incarnation = incarnation
        self.log = log
        let now = WallClock.monotonic()
        monitor = ActivityMonitor(now: now, inactivitySeconds: nil)
        monitor.expect(.router, now: now)
    }

    // MARK: Messages

    /// Handles the messages that have arrived, at most 256 per call, so that ticks are not delayed.
    mutating func receive() {
        for _ in 0..<256 {
            guard let message = socket.receive() else { return }
            do { try take(message) } catch {
                shared.withLock { $0.count(.fabricMessageRefused) }
                let sender = message.sender.map { "\($0)" } ?? "nobody"
                guard refusedMessage.isNew("\(sender): \(error)") else { continue }
                log.warning(
                    "a message was refused",
                    metadata: ["from": "\(sender)", "why": "\(error)"]
                )
            }
        }
    }

    private mutating func take(_ message: borrowing ZMQMessage) throws(TraceError) {
        guard let sender = message.sender, let peer = Peer(sender), message.frameCount == 1 else {
            throw TraceError(.invalidArgument, "not a worker or the router, or not one frame")
        }
        let content = try unsafe ClusterMessage(decoding: message.frame(0))
        switch content {
        case .metricSnapshot(let snapshot):
            guard snapshot.process == peer.process, snapshot.incarnation == peer.incarnation else {
                throw TraceError(.invalidArgument, "a snapshot of another: \(snapshot.process)")
            }
            try shared.withLock { content throws(TraceError) in
                try content.store.apply(snapshot)
                unsafe content.journal.append(message: message.frame(0))
            }
            greet(peer)
            if let status = snapshot.router { expect(status.workers.map(\.worker)) }
        case .metricSeries(let series):
            guard series.process == peer.process, series.incarnation == peer.incarnation else {
                throw TraceError(.invalidArgument, "series of another: \(series.process)")
            }
            greet(peer)
            if try unsafe !take(series, message.frame(0)) { askForAll(peer) }
        case .segmentsClosed(let segments):
            guard segments.worker == peer.worker else {
                throw TraceError(.invalidArgument, "segments of another: \(segments.worker)")
            }
            greet(peer)
            try take(segments, from: peer)
        case .heartbeat: greet(peer)
        case .workerHello, .workerProgress, .workerFenced, .workerWelcome, .shareHeader,
            .windowMerged, .routerStatus:
            throw TraceError(.invalidArgument, "not a message for the aggregator")
        }
    }

    /// Applies a worker's series; returns false if the worker has to send all of its series again.
    private func take(
        _ series: MetricSeries,
        _ frame: UnsafeRawBufferPointer
    ) throws(TraceError) -> Bool {
        try shared.withLock { content throws(TraceError) in
            let isJoined = try content.store.apply(series)
            unsafe content.journal.append(message: frame)
            return isJoined
        }
    }

    /// Asks a peer for its complete state, at most once a second. A worker that receives the aggregator's heartbeat
    /// starts to send all series again; messages it sent before still arrive.
    private mutating func askForAll(_ peer: Peer) {
        let now = WallClock.monotonic()
        guard now - asked[peer, default: .min / 2] >= 1_000_000_000 else { return }
        asked = [peer: now].merging(asked.filter { now - $0.value < 1_000_000_000 }) { $1 }
        sayHello(to: peer)
    }

    private func sayHello(to peer: Peer, unaccounted: UInt64? = nil) {
        send(
            .heartbeat(
                Heartbeat(
                    process: MetricSnapshot.aggregator,
                    incarnation: incarnation,
                    pid: UInt32(getpid()),
                    unaccountedEvents: unaccounted
                )
            ),
            to: peer
        )
    }

    /// Records that a peer is alive, and introduces the aggregator to a new peer. A worker then sends all its
    /// metrics, because earlier changes may be lost. The router also receives the last merged windows, because it
    /// may have missed those messages.
    private mutating func greet(_ peer: Peer) {
        monitor.heard(from: peer.member, now: WallClock.monotonic())
        shared.withLock { $0.store.heard(peer.process, incarnation: peer.incarnation) }
        if let known = peers[peer.process] {
            guard known.incarnation < peer.incarnation else { return }
            let end = ProcessEnds.End(at: Self.seconds(), cause: .unknown)
            ends[peer.process, default: ProcessEnds()].add(end)
        }
        peers[peer.process] = peer
        log.info("connected", metadata: ["process": "\(peer.process)"])
        askForAll(peer)
        guard peer.process == MetricSnapshot.router else { return }
        for (resource, mark) in ledger.marks {
            send(
                .windowMerged(
                    WindowMerged(resource: resource, window: mark.window, files: mark.files)
                ),
                to: peer
            )
        }
    }

    private mutating func expect(_ workers: [WorkerName]) {
        let now = WallClock.monotonic()
        let next = Set(workers)
        for worker in expected.subtracting(next) {
            monitor.forget(.worker(worker))
            peers[worker.description] = nil
            ends[worker.description] = nil
            shared.withLock { _ = $0.store.declareDown(worker.description) }
        }
        for worker in next.subtracting(expected) { monitor.expect(.worker(worker), now: now) }
        expected = next
    }

    private mutating func take(_ segments: SegmentsClosed, from peer: Peer) throws(TraceError) {
        switch ledger.announce(segments) {
        case .accepted: return
        case .merged(let files):
            send(
                .windowMerged(
                    WindowMerged(
                        resource: segments.worker.resource,
                        window: segments.window,
                        files: files
                    )
                ),
                to: peer
            )
        case .refused(let reason): throw TraceError(.invalidArgument, reason)
        }
    }

    private func send(_ message: ClusterMessage, to peer: Peer) {
        // A message that cannot be sent now is requested again: workers repeat announcements until they are
        // answered, and a router that reconnects is sent the last windows.
        guard let bytes = try? message.encode() else { return }
        _ = socket.send(to: peer.routingID, head: bytes)
    }

    // MARK: Ticks

    /// Does everything that is not a response to a message. `now` is in monotonic nanoseconds.
    mutating func tick(now: Int64) {
        for event in monitor.tick(now: now) { notice(event) }
        for outcome in merges.takeOutcomes() { settle(outcome, now: now) }
        for result in rebuilds.poll() {
            switch result {
            case .merge(let job): merges.submit(job)
            case .failed(let job, let error): fail(job, error, now: now)
            }
        }
        blocked = blocked.filter { $0.value > now }
        while let job = ledger.nextJob(except: Set(blocked.keys)) { merges.submit(job) }
        tellObstacles()
        noteFiles(now: now)
        beat(now: now)
        countRetention()
        noteMerging(now: now)
        noteSkew(now: now)
        noteHTTP(now: now)
        publishCounts()
    }

    /// Sends a heartbeat to the router, which monitors this process as this one monitors all others.
    private mutating func beat(now: Int64) {
        let interval = Int64(Limits.heartbeatSeconds) * 1_000_000_000
        guard now - beatAt >= interval, let router = peers[MetricSnapshot.router] else { return }
        beatAt = now
        let unaccounted = shared.withLock { content -> UInt64? in
            guard content.store.router.uncertainEvents > 0 else { return nil }
            let reading = content.store.statusReading()
            return account.unaccounted(
                by: reading.router,
                written: reading.writtenEvents,
                isUp: reading.routerPID != nil && !reading.workers.isEmpty
                    && reading.workers.allSatisfy(\.isUp),
                now: now
            )
        }
        sayHello(to: router, unaccounted: unaccounted)
    }

    private func notice(_ event: ActivityEvent) {
        switch event {
        case .late(let member, let seconds):
            log.warning("silent", metadata: ["process": "\(member)", "seconds": "\(seconds)"])
            shared.withLock { content in
                guard content.store.declareDown("\(member)") else { return }
                content.silences += 1
                if member != .router { content.count(.workerHung) }
            }
        case .recovered(let member, let seconds):
            log.info("heard again", metadata: ["process": "\(member)", "seconds": "\(seconds)"])
        case .paused, .inactive: return
        }
    }

    private mutating func settle(_ outcome: MergeThread.Outcome, now: Int64) {
        let job = outcome.job
        do {
            // The window stays marked as being merged until its segments are rebuilt.
            if !outcome.damaged.isEmpty { return try rebuilds.begin(job, damaged: outcome.damaged) }
            let files = try outcome.result.get()
            var marked = ledger
            marked.finish(job, files: files)
            try journal.save(marked.marks)
            ledger = marked
            merges.settle(job)
            mergeFailures[job.resource] = nil
            announce(WindowMerged(resource: job.resource, window: job.window, files: files))
            counts.merged(outcome, files: files.count)
            for loss in outcome.losses { report(loss, of: job) }
            for rebuilt in job.repair?.rebuilt ?? [] { report(rebuilt, of: job) }
            isCountingChanged = true
            let marks = ledger.marks
            shared.withLock { $0.marks = marks }
            log.info(
                "merged",
                metadata: [
                    "resource": "\(job.resource.name)", "window": "\(job.window)",
                    "files": "\(files.count)",
                    "seconds": "\(outcome.seconds)",
                ]
            )
        } catch { fail(job, error, now: now) }
    }

    /// Counts and logs a lost segment. Called once per loss, because a window is merged once.
    private func report(_ loss: SegmentLoss, of job: MergeJob) {
        shared.withLock { $0.count(.segmentDamaged) }
        let reason = job.repair?.reasons[loss.path] ?? "it was made again, and is damaged again"
        log.error(
            "a segment was damaged or gone; its window is published without its rows",
            metadata: [
                "file": "\(loss.path)", "resource": "\(job.resource.name)",
                "window": "\(job.window)",
                "lsn": "\(job.range)", "rows_lost": "\(loss.rows)", "bytes": "\(loss.bytes)",
                "kept_at": "\(loss.keptAt ?? "nowhere")", "not_rebuilt": "\(reason)",
            ]
        )
    }

    /// Logs rebuilt segments. Called once per rebuilt output, because a window is merged once.
    private func report(_ rebuilt: MergeJob.Repair.Rebuilt, of job: MergeJob) {
        log.warning(
            "damaged segments were made again from the log; nothing is lost",
            metadata: [
                "worker": "\(rebuilt.window.worker)", "window": "\(rebuilt.window.window)",
                "lsn": "\(job.range)",
                "segments": "\(rebuilt.segments)", "rows": "\(rebuilt.rows)",
            ]
        )
    }

    /// Schedules another attempt for a window whose merge failed. Only the router is notified, because a client may
    /// be waiting there.
    private mutating func fail(_ job: MergeJob, _ error: any Error, now: Int64) {
        ledger.giveBack(job)
        blocked[job.resource] = now + Int64(Limits.mergeRetrySeconds) * 1_000_000_000
        shared.withLock { $0.count(.mergeFailed) }
        if mergeFailures[job.resource, default: Recurrence()].isNew("\(job.window): \(error)") {
            log.error(
                "a window could not be merged; it is tried again until it is",
                metadata: [
                    "resource": "\(job.resource.name)", "window": "\(job.window)",
                    "why": "\(error)",
                ]
            )
        }
        guard let router = peers[MetricSnapshot.router] else { return }
        let message = WindowMerged(
            resource: job.resource,
            window: job.window,
            files: [],
            failure: "\(error)"
        )
        send(.windowMerged(message), to: router)
    }

    private func announce(_ merged: WindowMerged) {
        for peer in peers.values {
            guard peer.worker == nil || peer.worker?.resource == merged.resource else { continue }
            send(.windowMerged(merged), to: peer)
        }
    }

    /// Reports overlapping announcements, once each: they are caused by a bug and need an operator.
    private mutating func tellObstacles() {
        for resource in Resource.allCases {
            guard let (window, coverage) = ledger.obstacle(of: resource),
                case .overlap(let slot, let lsn) = coverage
            else {
                obstacles[resource] = nil
                continue
            }
            let text = "window \(window), slot \(slot), LSN \(lsn)"
            guard obstacles[resource] != text else { continue }
            obstacles[resource] = text
            shared.withLock { $0.count(.mergeFailed) }
            log.error(
                "two workers announced the same records; the window stays unmerged",
                metadata: ["resource": "\(resource.name)", "where": "\(text)"]
            )
        }
    }

    /// Reads, once a second, the files that workers and the supervisor write for others.
    private mutating func noteFiles(now: Int64) {
        guard now - filesSeen >= 1_000_000_000 else { return }
        filesSeen = now
        noteLost()
        noteEnds()
    }

    /// Finds workers that have recorded that restarting them does not help.
    private func noteLost() {
        var lost: [WorkerName: String] = [:]
        for worker in expected {
            guard let text = try? FileSystem.contents(ClusterPaths.lost(of: worker)) else {
                continue
            }
            lost[worker] = String(decoding: text, as: UTF8.self).trimmingCharacters(
                in: .whitespacesAndNewlines
            )
        }
        let seen = lost
        shared.withLock { $0.store.lost = seen }
    }

    /// Reports processes that keep ending. A process that is killed right after its start may never send a message,
    /// so the supervisor's record is used if there is one.
    private func noteEnds() {
        let now = Self.seconds()
        var recent: [String: RecentEnds] = [:]
        let processes =
            [MetricSnapshot.router, MetricSnapshot.aggregator] + expected.map(\.description)
        for process in processes {
            let noted = (try? FileSystem.contents(ClusterPaths.ends(of: process))).map {
                ProcessEnds(parsing: String(decoding: $0, as: UTF8.self))
            }
            guard let ends = noted ?? self.ends[process], ends.recent(at: now) > 0 else { continue }
            recent[process] = RecentEnds(
                count: ends.recent(at: now),
                last: ends.last.map { "\($0.cause)" },
                problem: ends.problem(of: process, at: now)
            )
        }
        // A router that waits for an operator has recorded the reason in a file.
        if let text = try? FileSystem.contents(ClusterPaths.routerLost) {
            let ends = recent[MetricSnapshot.router] ?? .none
            recent[MetricSnapshot.router] = RecentEnds(
                count: ends.count,
                last: ends.last,
                problem: String(decoding: text, as: UTF8.self).trimmingCharacters(
                    in: .whitespacesAndNewlines
                )
            )
        }
        let seen = recent
        let before = shared.withLock { content in
            defer { content.store.recentEnds = seen }
            return content.store.recentEnds
        }
        for (process, ends) in seen where ends.problem != nil && before[process]?.problem == nil {
            log.error(
                "a process does not stay up",
                metadata: [
                    "process": "\(process)", "times": "\(ends.count)", "last": "\(ends.last ?? "")",
                ]
            )
        }
    }

    private static func seconds() -> Int64 { WallClock.now() / 1_000_000_000 }

    private mutating func countRetention() {
        let retention = merges.retentionCounts
        guard retention != counts.retention else { return }
        for _ in counts.retention.recordsDamaged..<retention.recordsDamaged {
            shared.withLock { $0.count(.aggregatorStateDamaged) }
        }
        counts.retention = retention
        isCountingChanged = true
    }

    /// Publishes the state of merges, at most once a second.
    private mutating func noteMerging(now: Int64) {
        guard now - mergingReportedAt >= 1_000_000_000 else { return }
        var state = MergeState(current: merges.current, rebuilding: rebuilds.current)
        for resource in Resource.allCases {
            let isCurrent = state.current?.resource == resource
            state.waiting[resource] = max(ledger.unmerged(of: resource) - (isCurrent ? 1 : 0), 0)
        }
        guard state != counts.merging else { return }
        mergingReportedAt = now
        counts.merging = state
        isCountingChanged = true
    }

    private mutating func noteSkew(now: Int64) {
        guard skew.isDue(now: now) else { return }
        let workers = expected
        let applied = shared.withLock { content in
            workers.map { ($0, content.store.appliedEvents(of: $0)) }
        }
        skew.note(Dictionary(uniqueKeysWithValues: applied), now: now)
        guard skew.ratios != counts.skew else { return }
        counts.skew = skew.ratios
        isCountingChanged = true
    }

    /// Publishes the HTTP server's counts, at most once a second.
    private mutating func noteHTTP(now: Int64) {
        guard now - httpReportedAt >= 1_000_000_000 else { return }
        let seen = http.counts
        guard seen != counts.http else { return }
        httpReportedAt = now
        counts.http = seen
        isCountingChanged = true
    }

    private mutating func publishCounts() {
        guard isCountingChanged else { return }
        isCountingChanged = false
        let snapshot = MetricSnapshot(
            process: MetricSnapshot.aggregator,
            incarnation: incarnation,
            pid: UInt32(getpid()),
            own: counts.samples()
        )
        let (merging, skew) = (counts.merging, counts.skew)
        shared.withLock { content in
            content.merging = merging
            content.skew = skew
            do throws(TraceError) {
                let message = try ClusterMessage.metricSnapshot(snapshot).encode()
                try content.store.apply(snapshot)
                unsafe message.withUnsafeBytes { unsafe content.journal.append(message: $0) }
            } catch { preconditionFailure("the aggregator's own metrics were refused: \(error)") }
        }
    }
}
