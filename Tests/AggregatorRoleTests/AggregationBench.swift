import ClusterMessages
import TraceFiles
import TraceModel
import ZeroMQ

@testable import AggregatorRole
@testable import TraceMetrics

/// An aggregator's state with what its pages show and a clock, in a class, because expectations cannot call mutating
/// functions of a struct.
final class AggregationBench {
    typealias Action = AggregationState.Action

    static let second: Int64 = 1_000_000_000

    private var state: AggregationState
    private(set) var shared: SharedState.Content
    /// The monotonic clock.
    private(set) var now: Int64 = 1_000 * AggregationBench.second
    /// Seconds since the epoch.
    private(set) var epochSeconds: Int64 = 1_700_000_000

    init(marks: [Resource: MergedMark] = [:]) {
        state = AggregationState(marks: marks, incarnation: 3, pid: 77, now: now)
        shared = SharedState.Content(store: MetricStore(), marks: marks)
    }

    private var clocks: AggregationState.Clocks {
        AggregationState.Clocks(monotonic: now, epochSeconds: epochSeconds)
    }

    func pass(seconds: Int64) {
        now += seconds * Self.second
        epochSeconds += seconds
    }

    func losses(_ kind: LossKind) -> UInt64 { shared.store.losses[kind] ?? 0 }

    /// Passes a message of the process with this name, for example `io.0.e1`.
    func receive(_ message: ClusterMessage, from name: String) throws -> [Action] {
        guard let peer = RoutingID(name).flatMap(Peer.init) else {
            throw TraceError(.invalidArgument, "no peer: \(name)")
        }
        return try message.encode().withUnsafeBytes {
            state.receive(message, encoded: $0, from: peer, at: clocks, &shared)
        }
    }

    func refuse(_ error: TraceError, from sender: String?) -> [Action] {
        state.refuse(error, from: sender, &shared)
    }

    func announce(_ segments: SegmentsClosed) throws -> [Action] {
        try receive(.segmentsClosed(segments), from: "\(segments.worker).e1")
    }

    func tick(
        merging: MergeState.Current? = nil,
        retention: RetentionCounts = RetentionCounts(),
        files: ProcessFiles? = nil
    ) -> [Action] {
        var seen = AggregationState.Surroundings(clocks: clocks)
        seen.merging = merging
        seen.retention = retention
        seen.files = files
        return state.tick(seen, &shared)
    }

    func needsFiles() -> Bool { state.needsFiles(now: now) }

    func merged(_ outcome: MergeThread.Outcome) -> [Action] {
        state.merged(outcome, now: now, &shared)
    }

    func saved(_ outcome: MergeThread.Outcome) -> [Action] { state.saved(outcome, &shared) }

    func failed(_ job: MergeJob, _ error: any Error) -> [Action] {
        state.failed(job, error, now: now, &shared)
    }
}

extension MergeThread.Outcome {
    /// Makes the outcome of a merge that took a second.
    init(
        _ job: MergeJob,
        _ result: Result<[String], TraceError> = .success(["f"]),
        losses: [SegmentLoss] = [],
        damaged: [String] = []
    ) {
        self.init(
            job: job,
            result: result,
            seconds: 1,
            segmentBytes: 10,
            bytes: 20,
            losses: losses,
            damaged: damaged
        )
    }
}

extension [AggregationState.Action] {
    /// A message and the process that it goes to.
    struct Sent: Equatable {
        let message: ClusterMessage
        let to: String

        init(_ message: ClusterMessage, to: String) {
            self.message = message
            self.to = to
        }
    }

    var sent: [Sent] {
        compactMap {
            if case .send(let message, let peer) = $0 { Sent(message, to: "\(peer)") } else { nil }
        }
    }

    var jobs: [MergeJob] { compactMap { if case .merge(let job) = $0 { job } else { nil } } }

    var settled: [MergeJob] { compactMap { if case .settle(let job) = $0 { job } else { nil } } }

    var rebuilds: [MergeJob] {
        compactMap { if case .rebuild(let job, _) = $0 { job } else { nil } }
    }

    var saves: [[Resource: MergedMark]] {
        compactMap { if case .save(let marks, _) = $0 { marks } else { nil } }
    }

    /// The kinds of the notices.
    var notices: [String] {
        compactMap {
            guard case .report(let notice) = $0 else { return nil }
            return String("\(notice)".prefix { $0 != "(" })
        }
    }
}
