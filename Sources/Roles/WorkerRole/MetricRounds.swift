import SystemIO
import TraceMetrics
import TraceModel
import TraceProcessing

/// Sends the series of changed slots to the aggregator in rounds. A message contains a few slots, so that a round of a
/// million series does not delay events, and rounds are rare enough to take at most a fiftieth of the loop's time. Each
/// slot's section is as of the LSN that is applied when its turn comes.
struct MetricRounds: ~Copyable {
    /// The other work of the loop.
    enum Load {
        case loaded
        case idle
        /// The loop is ending: all series are sent at once.
        case all
    }

    /// A message of a round: `begins` marks the first one of a round that sends all series anew.
    struct Message {
        let begins: Bool
        let sections: [UInt8]
    }

    private var series: SeriesWriter
    /// Slots that this round still has to send, the next one last.
    private var pending: [UInt8] = []
    /// Whether this round sends all series.
    private var isWhole = false
    private var needsWhole = true
    private var isFirstMessage = true

    private var began: Int64 = 0
    private var cost: Int64 = 0
    private var beganLSN: LSN = .max
    /// Whether a slot's section was incomplete.
    private var hasMore = false

    /// As of the last full round: the number of ids in use, and the number of evicted processes.
    private var idsInUse = 0
    private var processesGone = 0
    private var leftOutMax = 0

    /// Size at which a message is complete; it bounds the work between two polls of the fabric.
    private static let messageBytes = 256 << 10
    private static let stepNanoseconds: Int64 = 2_000_000
    private static let second: Int64 = 1_000_000_000

    /// `idsMax` is smaller than `Limits.seriesIDsMax` in tests.
    init(idsMax: Int = Limits.seriesIDsMax) { series = SeriesWriter(idsMax: idsMax) }

    var isUnderWay: Bool { !pending.isEmpty }

    /// Starts over with a full round, because the aggregator knows no series, or others than this worker assumes.
    mutating func beginAnew() {
        needsWhole = true
        pending = []
    }

    /// Returns the next message of the current round, or of a new one if it is due; nil if there is nothing to send
    /// now. `holding` returns the slots whose state the worker has; it is called if there is something to send. `now` is
    /// monotonic nanoseconds.
    mutating func next(
        of processor: any TraceProcessor,
        holding: () -> Set<UInt8>,
        at lsn: LSN,
        load: Load,
        now: Int64
    ) -> Message? {
        let isDue = pending.isEmpty && isDue(at: lsn, load: load, now: now)
        guard isDue || !pending.isEmpty else { return nil }
        let held = holding()
        if isDue { begin(processor, holding: held, at: lsn, now: now) }
        let deadline = load == .all ? .max : now + Self.stepNanoseconds
        while let slot = pending.popLast() {
            // A slot that was handed over since the round began is reported by its new owner.
            guard held.contains(slot) else { continue }
            let isComplete = processor.collectStats(
                slot: slot,
                isFull: isWhole,
                lsn: lsn,
                into: &series
            )
            if !isComplete { hasMore = true }
            guard series.byteCount < Self.messageBytes, WallClock.monotonic() < deadline else {
                break
            }
        }
        if pending.isEmpty { end() }
        guard series.byteCount > 0 else { return nil }
        defer { isFirstMessage = false }
        return Message(begins: isFirstMessage, sections: series.take())
    }

    /// Adds the time that a message took, in nanoseconds.
    mutating func count(cost nanoseconds: Int64) { cost += nanoseconds }

    /// Returns the counts of series that are not sent because the worker has no ids left, and of cut labels.
    func ownSamples() -> [MetricSample] {
        [(LossKind.seriesDropped, leftOutMax), (.labelCut, series.labelsCut)].map { kind, count in
            MetricSample(
                family: .errorsTotal,
                labels: [kind.rawValue],
                value: .counter(Double(count))
            )
        }
    }

    private func isDue(at lsn: LSN, load: Load, now: Int64) -> Bool {
        if needsWhole || load == .all { return true }
        guard lsn != beganLSN || hasMore else { return false }
        let passed = now - began
        guard load != .idle else { return passed >= Self.second / 5 }
        // A cheap round is repeated soon. An expensive one takes no larger share of the time, because each of many
        // workers has the same cost.
        return passed >= max(Self.second / 5, min(2 * Self.second, 500 * cost), 50 * cost)
    }

    private mutating func begin(
        _ processor: any TraceProcessor,
        holding held: Set<UInt8>,
        at lsn: LSN,
        now: Int64
    ) {
        let isOutgrown =
            series.idCount > 2 * idsInUse + 65_536
            || (series.leftOut > 0 && processor.processesGone != processesGone)
            || series.isOutOfIDs
        isWhole = needsWhole || isOutgrown
        if isWhole {
            series.begin()
            isFirstMessage = true
            needsWhole = false
            processesGone = processor.processesGone
        }
        pending = processor.slotsToCollect(all: isWhole).reversed()
        if isWhole { reportEmpty(held.subtracting(pending), at: lsn) }
        began = now
        beganLSN = lsn
        hasMore = false
        cost = 0
    }

    /// Reports that slots have counted nothing. An earlier process of this worker may have reported events of them that
    /// were lost with a part of the log.
    private mutating func reportEmpty(_ slots: Set<UInt8>, at lsn: LSN) {
        for slot in slots.sorted() {
            series.beginSection(slot: slot, lsn: lsn, isFull: true)
            _ = series.endSection()
        }
    }

    private mutating func end() {
        leftOutMax = max(leftOutMax, series.leftOut)
        if isWhole { idsInUse = series.idCount }
        isWhole = false
    }
}
