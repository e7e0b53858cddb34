import Synchronization
import SystemIO
import TraceMetrics
import TraceModel

/// What the router's threads share beside the queues between them.
final class RouterContext: Sendable {
    /// Grows with each start: no two processes of this directory have the same.
    let incarnation: UInt64
    let logSalt: UInt32
    /// What recovery found damaged, to be passed over by readers.
    let damaged: [Range<LSN>]
    let waiters = WindowWaiters()
    let refusals = RefusalCounts()
    let clients = ActiveClients()
    let commitLatency = CommitLatency()

    private let stopping = Atomic<Bool>(false)
    private let draining = Atomic<Bool>(false)
    private let activity = Atomic<Int64>(0)
    private let accepted: Atomic<UInt64>
    private let begin = Atomic<UInt64>(0)

    init(incarnation: UInt64, logSalt: UInt32, damaged: [Range<LSN>], accepted: UInt64) {
        self.incarnation = incarnation
        self.logSalt = logSalt
        self.damaged = damaged
        self.accepted = Atomic(accepted)
    }

    /// Ends the fabric's loop.
    var isStopping: Bool {
        get { stopping.load(ordering: .relaxed) }
        set { stopping.store(newValue, ordering: .relaxed) }
    }

    /// No batch is taken any more; calls are held.
    var isDraining: Bool {
        get { draining.load(ordering: .relaxed) }
        set { draining.store(newValue, ordering: .relaxed) }
    }

    /// Events in the log so far, over the life of the data directory.
    var acceptedEvents: UInt64 {
        get { accepted.load(ordering: .relaxed) }
        set { accepted.store(newValue, ordering: .relaxed) }
    }

    /// The oldest LSN that can still be read.
    var logBegin: LSN {
        get { begin.load(ordering: .relaxed) }
        set { begin.store(newValue, ordering: .relaxed) }
    }

    /// A batch has come, at this time (ns since the epoch).
    func active(at time: EpochNanoseconds) {
        activity.store(time, ordering: .relaxed)
    }

    /// When the last batch came; 0: none yet.
    var lastActivity: EpochNanoseconds { activity.load(ordering: .relaxed) }

    /// What the router has to show that does not follow from the log.
    func ownSamples() -> [MetricSample] {
        var samples = refusals.samples()
        samples.append(commitLatency.sample)
        samples.append(
            MetricSample(
                family: .activeClients,
                labels: [],
                value: .gauge(Double(clients.count(now: WallClock.monotonic())))
            )
        )
        let last = lastActivity
        if last > 0 {
            samples.append(
                MetricSample(
                    family: .lastActivityTimestampSeconds,
                    labels: [],
                    value: .gauge(Double(last) / 1e9)
                )
            )
        }
        return samples
    }
}
