import ClusterMessages
import HTTPServing
import TraceMetrics
import TraceModel

/// Gathers the aggregator's metrics of its own, and publishes them when they have changed. Pure: no clock, no I/O.
struct OwnMetrics: Sendable {
    private var counts = MergeCounts()
    private var skew = WorkerSkew()
    private var isChanged = true
    // When progress of merges and counts of the HTTP server were taken over (monotonic nanoseconds).
    private var mergingNotedAt: Int64 = .min / 2
    private var httpNotedAt: Int64 = .min / 2
    private var uploadsNotedAt: Int64 = .min / 2

    private static let second: Int64 = 1_000_000_000

    /// Counts a published window.
    mutating func merged(_ outcome: MergeThread.Outcome, files: Int) {
        counts.merged(outcome, files: files)
        isChanged = true
    }

    /// Takes over the retention's counts.
    mutating func note(_ retention: RetentionCounts, _ shared: inout SharedState.Content) {
        guard retention != counts.retention else { return }
        for _ in counts.retention.recordsDamaged..<retention.recordsDamaged {
            shared.count(.aggregatorStateDamaged)
        }
        counts.retention = retention
        isChanged = true
    }

    /// Takes over the state of uploads, at most once a second.
    mutating func note(_ uploads: UploadState?, _ clocks: AggregationState.Clocks) {
        guard var state = uploads, clocks.monotonic - uploadsNotedAt >= Self.second else { return }
        state.oldestWaitingSeconds =
            state.oldestWaitingAt.map { max(clocks.epochSeconds - $0, 0) } ?? 0
        guard state != counts.uploads else { return }
        uploadsNotedAt = clocks.monotonic
        counts.uploads = state
        isChanged = true
    }

    /// Takes over the state of merges, at most once a second.
    mutating func note(_ seen: AggregationState.Surroundings, _ ledger: WindowLedger) {
        let now = seen.clocks.monotonic
        guard now - mergingNotedAt >= Self.second else { return }
        var state = MergeState(current: seen.merging, rebuilding: seen.rebuilding)
        for resource in Resource.allCases {
            let isCurrent = state.current?.resource == resource
            state.waiting[resource] = max(ledger.unmerged(of: resource) - (isCurrent ? 1 : 0), 0)
        }
        guard state != counts.merging else { return }
        mergingNotedAt = now
        counts.merging = state
        isChanged = true
    }

    /// Takes a sample of how many events the workers have applied, where one is due.
    mutating func note(_ workers: Set<WorkerName>, _ store: MetricStore, now: Int64) {
        guard skew.isDue(now: now) else { return }
        var applied: [WorkerName: Double] = [:]
        for worker in workers { applied[worker] = store.appliedEvents(of: worker) }
        skew.note(applied, now: now)
        guard skew.ratios != counts.skew else { return }
        counts.skew = skew.ratios
        isChanged = true
    }

    /// Takes over the HTTP server's counts, at most once a second.
    mutating func note(_ http: HTTPCounts, now: Int64) {
        guard now - httpNotedAt >= Self.second, http != counts.http else { return }
        httpNotedAt = now
        counts.http = http
        isChanged = true
    }

    /// Puts the metrics into the shared state if they have changed.
    mutating func publish(as process: Heartbeat, _ shared: inout SharedState.Content) {
        guard isChanged else { return }
        isChanged = false
        let snapshot = MetricSnapshot(
            process: process.process,
            incarnation: process.incarnation,
            pid: process.pid,
            own: counts.samples()
        )
        shared.merging = counts.merging
        shared.uploads = counts.uploads
        shared.skew = counts.skew
        do throws(TraceError) {
            let message = try ClusterMessage.metricSnapshot(snapshot).encode()
            try shared.store.apply(snapshot)
            unsafe message.withUnsafeBytes { unsafe shared.journal.append(message: $0) }
        } catch { preconditionFailure("the aggregator's own metrics were refused: \(error)") }
    }
}
