import ClusterMessages
import IngestLog
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import ZeroMQ

@testable import AggregatorRole

/// An aggregator without sockets and threads: the real state, journal and merger, one step at a time. Merges and
/// rebuilds end at once.
final class SimulatedAggregator {
    private let journal = WindowJournal()
    private let merger: WindowMerger
    private let records = FinalWindowRecords()
    private let damage: SegmentDamage
    private let sendOut: (Message, Endpoint) -> Void
    private var state: AggregationState
    private var shared: SharedState.Content
    /// Why the last merge failed.
    private var failure: String?

    /// Starts like an aggregator. `send` receives the messages to workers.
    init(
        budget: FileBudget,
        damage: SegmentDamage,
        bugs: Set<PlantedBug>,
        send: @escaping (Message, Endpoint) -> Void
    ) throws {
        self.damage = damage
        sendOut = send
        let saved = try journal.load()
        if let lost = saved.lost { throw SimulationError("the window journal is lost: \(lost)") }
        let marks = saved.marks
        state = AggregationState(
            marks: marks,
            incarnation: 1,
            pid: 1,
            now: WallClock.monotonic(),
            faults: AggregatorFaults(bugs.compactMap(\.aggregatorFault))
        )
        shared = SharedState.Content(store: MetricStore(), marks: marks)
        try records.addMerged(upTo: marks.mapValues(\.window), at: 0)
        merger = WindowMerger(localHostName: "here", timeZoneName: "UTC", budget: budget)
    }

    /// Number of windows that have been merged.
    var merged: UInt64 { shared.marks[.io].map { $0.window + 1 } ?? 0 }

    /// What keeps the next window from being merged.
    var obstacle: String {
        failure ?? state.ledger.obstacle(of: .io).map { "\($0)" } ?? "no obstacle"
    }

    private var clocks: AggregationState.Clocks {
        AggregationState.Clocks(
            monotonic: WallClock.monotonic(),
            epochSeconds: WallClock.now() / 1_000_000_000
        )
    }

    func receive(_ message: Message, from endpoint: Endpoint) throws {
        guard case .segmentsClosed(let segments) = message,
            case .worker(let worker, let incarnation) = endpoint,
            let peer = RoutingID("\(worker).e\(incarnation)").flatMap(Peer.init)
        else { return }
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        try carryOut(
            state.receive(
                .segmentsClosed(segments),
                encoded: nothing,
                from: peer,
                at: clocks,
                &shared
            )
        )
    }

    /// Merges the windows that are complete.
    func tick() throws {
        try carryOut(state.tick(AggregationState.Surroundings(clocks: clocks), &shared))
    }

    private func carryOut(_ actions: [AggregationState.Action]) throws {
        for action in actions { try carryOut(action) }
    }

    private func carryOut(_ action: AggregationState.Action) throws {
        switch action {
        case .send(.windowMerged(let merged), let peer):
            guard let worker = peer.worker else { return }
            sendOut(.windowMerged(merged), .worker(worker, incarnation: peer.incarnation))
        case .send: break
        case .merge(let job):
            damage.strike(try job.announcedFiles())
            try merge(job)
        case .rebuild(let job, let paths): try rebuild(job, paths)
        case .save(let marks, let outcome):
            do { try journal.save(marks) } catch let error as SystemError {
                return try fail(outcome.job, error)
            }
            try carryOut(state.saved(outcome, &shared))
        case .settle(let job):
            let window = FinalWindow(resource: job.resource, window: job.window, finalAt: 0)
            try? records.add(window)
            damage.forget(isRebuilt: job.repair != nil)
            try? KeptCheckpoints.remove(of: job.resource, through: job.window)
        case .report(let notice):
            switch notice {
            case .refused, .lost, .overlap: throw SimulationError("\(notice)")
            case .mergeFailed(_, let reason): failure = reason
            case .merged: failure = nil
            case .connected, .silent, .heardAgain, .unstable, .console, .edge, .rebuilt: break
            }
        }
    }

    private func fail(_ job: MergeJob, _ error: SystemError) throws {
        try carryOut(state.failed(job, error, now: WallClock.monotonic(), &shared))
    }

    // MARK: Merging

    /// Merges a window like `MergeThread`.
    /// - Throws: `DamagedSegments` if none of its segments may be damaged and some are.
    private func merge(_ job: MergeJob, mayBeDamaged: Bool = true) throws {
        let result: Result<[String], TraceError>
        var damaged: [String] = []
        do {
            result = .success(try publish(job, try job.repair?.files ?? job.announcedFiles()))
        } catch let error as SystemError {
            result = .failure(TraceError(.system, "merging failed", cause: error))
        } catch let error as TraceError where error.code == .system {
            result = .failure(error)
        } catch let error as DamagedSegments where mayBeDamaged {
            damaged = error.paths
            result = .failure(TraceError(.corrupt, "segments are damaged"))
        }
        let outcome = MergeThread.Outcome(
            job: job,
            result: result,
            seconds: 0,
            segmentBytes: 0,
            bytes: 0,
            losses: [],
            damaged: damaged
        )
        try carryOut(state.merged(outcome, now: WallClock.monotonic(), &shared))
    }

    /// Rebuilds segments like `SegmentRebuilds`, and merges the window again. What cannot be rebuilt, or is damaged
    /// again since rows from before the kept checkpoint are copied, is merged undamaged.
    private func rebuild(_ job: MergeJob, _ paths: [String]) throws {
        var next = job
        next.repair = nil
        if job.repair == nil {
            do { next = try repaired(job, paths) } catch let error as SystemError {
                return try fail(job, error)
            }
        }
        if next.repair?.reasons.isEmpty == true { return try merge(next) }
        damage.undo()
        next.repair = nil
        try merge(next, mayBeDamaged: false)
    }

    private func repaired(_ job: MergeJob, _ paths: [String]) throws -> MergeJob {
        var plan = RebuildPlan(job, files: try job.announcedFiles(), damaged: paths)
        while true {
            switch plan.next(attempts: { _ in 0 }) {
            case .rebuild(let window): plan.ended(.done(try damage.rebuild(window)))
            case .merge(let repaired): return repaired
            }
        }
    }

    private func publish(_ job: MergeJob, _ files: [ClosedFile]) throws -> [String] {
        var losses: [SegmentLoss] = []
        let outputs = try merger.merge(
            resource: job.resource,
            window: job.window,
            stem: job.stem,
            files: files,
            replaced: job.repair?.replaced ?? [],
            document: try SummaryFile.document(
                job.resource,
                stem: job.stem,
                window: job.window,
                summaries: job.announcements.map(\.summary)
            ),
            damage: .report,
            onLoss: { losses.append($0) }
        )
        guard losses.isEmpty else { throw SimulationError("segments are lost: \(losses)") }
        return outputs
    }
}
