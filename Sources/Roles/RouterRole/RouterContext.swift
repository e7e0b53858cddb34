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
    let refusals = ReasonCounts(.batchesRefusedTotal)
    let closings = ReasonCounts(.grpcConnectionsClosedTotal)
    let clients = ActiveClients()
    let commitLatency = LatencyHistogram(.routerFsyncSeconds)
    let ackLatency = LatencyHistogram(.routerAckSeconds)
    let slotMoves = LatencyHistogram(.routerSlotMoveSeconds)

    /// Bytes of log at which no batch is taken any more.
    let logBudgetBytes: Int

    private let holdings = Mutex<[SlotHolding]>([])
    private let stopping = Atomic<Bool>(false)
    private let draining = Atomic<Bool>(false)
    private let activity = Atomic<Int64>(0)
    private let accepted: Atomic<UInt64>
    private let begin = Atomic<UInt64>(0)
    private let admission = Mutex(Admission())

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
        logBudgetBytes: Int = .max
    ) {
        self.incarnation = incarnation
        self.logSalt = logSalt
        self.damaged = damaged
        self.logBudgetBytes = logBudgetBytes
        self.accepted = Atomic(accepted)
    }

    /// Who holds which slots, as far as the fabric has come.
    var slotHoldings: [SlotHolding] {
        get { holdings.withLock { $0 } }
        set { holdings.withLock { $0 = newValue } }
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

    /// Events of damaged ranges, of which some may have been applied before.
    var uncertainEvents: UInt64 {
        get { uncertain.load(ordering: .relaxed) }
        set { uncertain.store(newValue, ordering: .relaxed) }
    }

    /// So many of the uncertain events have not been applied, as the aggregator says.
    func settle(_ events: UInt64) {
        guard uncertainEvents > 0 else { return }
        settlement.withLock { $0 = events }
    }

    /// What `settle` was last told.
    func takeSettlement() -> UInt64? {
        settlement.withLock { events in
            defer { events = nil }
            return events
        }
    }

    /// The oldest LSN that can still be read.
    var logBegin: LSN {
        get { begin.load(ordering: .relaxed) }
        set { begin.store(newValue, ordering: .relaxed) }
    }

    /// Bytes of the last head that a log file got.
    var logHeadBytes: Int {
        get { headBytes.load(ordering: .relaxed) }
        set { headBytes.store(newValue, ordering: .relaxed) }
    }

    /// Free bytes of the disk without which no batch was taken last; nothing is known at first.
    var freeBytesMin: Int {
        get { freeMin.load(ordering: .relaxed) }
        set { freeMin.store(newValue, ordering: .relaxed) }
    }

    /// Bytes of messages that are taken and not yet answered change by so much.
    func waitingChanged(by bytes: Int) { waiting.wrappingAdd(bytes, ordering: .relaxed) }

    /// Why no batch is taken, for as long as that is so.
    var obstacle: AdmissionGate.Obstacle? {
        get { admission.withLock { $0.obstacle } }
        set { admission.withLock { $0.obstacle = newValue } }
    }

    /// The worker whose checkpoint keeps the log from being trimmed, and where that stands.
    var slowest: (worker: WorkerName, lsn: LSN)? {
        get { admission.withLock { $0.slowest } }
        set { admission.withLock { $0.slowest = newValue } }
    }

    /// What the workers say of their outputs.
    var outputs: OutputReports {
        get { reports.withLock { $0 } }
        set { reports.withLock { $0 = newValue } }
    }

    /// A batch has come, at this time (ns since the epoch).
    func active(at time: EpochNanoseconds) { activity.store(time, ordering: .relaxed) }

    /// When the last batch came; 0: none yet.
    var lastActivity: EpochNanoseconds { activity.load(ordering: .relaxed) }

    /// What the router has to show that does not follow from the log alone, which ends at `head`.
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
    }
}

/// Who has sent batches in the last minute, by the address of its connection; for `trace_active_clients`.
final class ActiveClients: Sendable {
    private static let nanoseconds: Int64 = 60_000_000_000
    private let lastSeen = Mutex<[String: Int64]>([:])

    /// A batch came from this peer.
    func note(_ peer: String, now: Int64) {
        lastSeen.withLock { seen in
            if seen.count < Limits.activeClientsMax || seen[peer] != nil { seen[peer] = now }
        }
    }

    /// How many there are now; forgets the others.
    func count(now: Int64) -> Int {
        lastSeen.withLock { seen in
            seen = seen.filter { now - $0.value <= Self.nanoseconds }
            return seen.count
        }
    }
}

/// Counts of a metric whose label is a reason. Any thread.
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

/// How long something takes, as a histogram that one thread writes and another reads.
final class LatencyHistogram: Sendable {
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
