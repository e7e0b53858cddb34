import Synchronization
import SystemIO
import TraceMetrics
import TraceModel

/// State that the router's threads share, besides the queues between them.
final class RouterContext: Sendable {
    /// The number of this start; unique among the processes of this data directory.
    let incarnation: UInt64
    let logSalt: UInt32
    /// Damaged ranges that recovery found; readers skip them.
    let damaged: [Range<LSN>]
    /// What recovery found wrong with the log, for `trace_errors_total`.
    let logFaults: [(kind: LossKind, count: Int)]
    let waiters = WindowWaiters()
    let refusals = ReasonCounts(.batchesRefusedTotal)
    let closings = ReasonCounts(.grpcConnectionsClosedTotal)
    let clients = ActiveClients()
    let commitLatency = LatencyHistogram(.routerFsyncSeconds)
    let ackLatency = LatencyHistogram(.routerAckSeconds)
    let slotMoves = LatencyHistogram(.routerSlotMoveSeconds)

    /// Size of the log in bytes at which no batch is taken any more.
    let logBudgetBytes: Int

    private let holdings = Mutex<[SlotHolding]>([])
    private let stopping = Atomic<Bool>(false)
    private let draining = Atomic<Bool>(false)
    private let activity = Atomic<Int64>(0)
    private let accepted: Atomic<UInt64>
    private let begin = Atomic<UInt64>(0)
    private let admission = Mutex(Admission())

    /// What metrics and status show of admission; protected by a mutex.
    private struct Admission {
        var obstacle: AdmissionGate.Obstacle?
        var slowest: (worker: WorkerName, lsn: LSN)?
    }
    private let waiting = Atomic<Int>(0)
    private let headBytes = Atomic<Int>(0)
    private let freeMin = Atomic<Int>(.max)
    private let uncertain = Atomic<UInt64>(0)
    private let settlement = Mutex<UInt64?>(nil)
    private let reports = Mutex(OutputReports())

    init(
        incarnation: UInt64,
        logSalt: UInt32,
        damaged: [Range<LSN>],
        accepted: UInt64,
        logFaults: [(kind: LossKind, count: Int)] = [],
        logBudgetBytes: Int = .max
    ) {
        self.incarnation = incarnation
        self.logSalt = logSalt
        self.damaged = damaged
        self.logFaults = logFaults
        self.logBudgetBytes = logBudgetBytes
        self.accepted = Atomic(accepted)
    }

    /// The current owners of slots, as of the last barrier that the fabric has processed.
    var slotHoldings: [SlotHolding] {
        get { holdings.withLock { $0 } }
        set { holdings.withLock { $0 = newValue } }
    }

    /// Whether the fabric's loop has to end.
    var isStopping: Bool {
        get { stopping.load(ordering: .relaxed) }
        set { stopping.store(newValue, ordering: .relaxed) }
    }

    /// Whether no batch is taken any more; calls are held.
    var isDraining: Bool {
        get { draining.load(ordering: .relaxed) }
        set { draining.store(newValue, ordering: .relaxed) }
    }

    /// Events in the log, over the life of the data directory.
    var acceptedEvents: UInt64 {
        get { accepted.load(ordering: .relaxed) }
        set { accepted.store(newValue, ordering: .relaxed) }
    }

    /// Events of damaged ranges, some of which may have been applied before.
    var uncertainEvents: UInt64 {
        get { uncertain.load(ordering: .relaxed) }
        set { uncertain.store(newValue, ordering: .relaxed) }
    }

    /// Sets the number of uncertain events that were not applied, as reported by the aggregator.
    func settle(_ events: UInt64) {
        guard uncertainEvents > 0 else { return }
        settlement.withLock { $0 = events }
    }

    /// Takes the number that `settle` has set last; nil if there is none.
    func takeSettlement() -> UInt64? {
        settlement.withLock { events in
            defer { events = nil }
            return events
        }
    }

    /// The oldest readable LSN.
    var logBegin: LSN {
        get { begin.load(ordering: .relaxed) }
        set { begin.store(newValue, ordering: .relaxed) }
    }

    /// Size of the latest log file's head in bytes.
    var logHeadBytes: Int {
        get { headBytes.load(ordering: .relaxed) }
        set { headBytes.store(newValue, ordering: .relaxed) }
    }

    /// Free bytes that the disk needed for the last group to be taken; `Int.max` before the first one.
    var freeBytesMin: Int {
        get { freeMin.load(ordering: .relaxed) }
        set { freeMin.store(newValue, ordering: .relaxed) }
    }

    /// Adds to the bytes of messages that are taken but not answered yet.
    func waitingChanged(by bytes: Int) { waiting.wrappingAdd(bytes, ordering: .relaxed) }

    /// The reason why no batch is taken; nil if batches are taken.
    var obstacle: AdmissionGate.Obstacle? {
        get { admission.withLock { $0.obstacle } }
        set { admission.withLock { $0.obstacle = newValue } }
    }

    /// The worker whose checkpoint keeps the log from being trimmed, and its LSN.
    var slowest: (worker: WorkerName, lsn: LSN)? {
        get { admission.withLock { $0.slowest } }
        set { admission.withLock { $0.slowest = newValue } }
    }

    /// The workers' latest reports of their output.
    var outputs: OutputReports {
        get { reports.withLock { $0 } }
        set { reports.withLock { $0 = newValue } }
    }

    /// Notes that a batch was received at this time (nanoseconds since the epoch).
    func active(at time: EpochNanoseconds) { activity.store(time, ordering: .relaxed) }

    /// Time of the last batch; 0 if there was none yet.
    var lastActivity: EpochNanoseconds { activity.load(ordering: .relaxed) }

    /// Returns the router's own metrics, which do not follow from the log alone; the log ends at `head`.
    func ownSamples(head: LSN) -> [MetricSample] {
        var gauges: [(MetricFamily, Double)] = [
            (.activeClients, Double(clients.count(now: WallClock.monotonic()))),
            (.routerQueueBytes, Double(max(waiting.load(ordering: .relaxed), 0))),
            (.routerLogBudgetBytes, Double(logBudgetBytes)),
            (.routerLogBytes, Double(head - min(logBegin, head))),
        ]
        let free = FreeSpace.measure().bytes
        if free < .max { gauges.append((.routerDiskFreeBytes, Double(free))) }
        let last = lastActivity
        if last > 0 { gauges.append((.lastActivityTimestampSeconds, Double(last) / 1e9)) }
        return refusals.samples() + closings.samples() + [
            commitLatency.sample, ackLatency.sample, slotMoves.sample,
        ]
            + gauges.map { MetricSample(family: $0, labels: [], value: .gauge($1)) }
            + logFaults.map { kind, count in
                MetricSample(
                    family: .errorsTotal,
                    labels: [kind.rawValue],
                    value: .counter(Double(count))
                )
            }
    }
}

/// Tracks which peers have sent batches in the last minute, by address of their connection; for `trace_active_clients`.
final class ActiveClients: Sendable {
    private static let nanoseconds: Int64 = 60_000_000_000
    private let lastSeen = Mutex<[String: Int64]>([:])

    /// Notes a batch of this peer.
    func note(_ peer: String, now: Int64) {
        lastSeen.withLock { seen in
            if seen.count < Limits.activeClientsMax || seen[peer] != nil { seen[peer] = now }
        }
    }

    /// Returns the number of active peers, and removes the others.
    func count(now: Int64) -> Int {
        lastSeen.withLock { seen in
            seen = seen.filter { now - $0.value <= Self.nanoseconds }
            return seen.count
        }
    }
}

/// Counts events by reason, as a metric whose label is the reason. Thread-safe.
final class ReasonCounts: Sendable {
    private let family: MetricFamily
    private let counts = Mutex<[String: UInt64]>([:])

    init(_ family: MetricFamily) { self.family = family }

    func count(_ reason: String) { counts.withLock { $0[reason, default: 0] += 1 } }

    func samples() -> [MetricSample] {
        counts.withLock { counts in
            counts.sorted { $0.key < $1.key }.map { reason, count in
                MetricSample(family: family, labels: [reason], value: .counter(Double(count)))
            }
        }
    }
}

/// A histogram of durations, written by one thread and read by another.
final class LatencyHistogram: Sendable {
    /// The counts; protected by a mutex.
    private struct State {
        var buckets: [UInt64]
        var sum = 0.0
    }

    private let family: MetricFamily
    private let bounds: [Double]
    private let state: Mutex<State>

    init(_ family: MetricFamily) {
        self.family = family
        bounds = family.descriptor.bounds
        state = Mutex(State(buckets: [UInt64](repeating: 0, count: bounds.count + 1)))
    }

    func record(nanoseconds durations: some Sequence<Int64>) {
        state.withLock { state in
            for duration in durations {
                let seconds = Double(duration) / 1e9
                state.buckets[bounds.firstIndex { seconds <= $0 } ?? bounds.count] += 1
                state.sum += seconds
            }
        }
    }

    var sample: MetricSample {
        let now = state.withLock { $0 }
        return MetricSample(
            family: family,
            labels: [],
            value: .histogram(buckets: now.buckets, sum: now.sum)
        )
    }
}
