import SystemIO
import TraceMetrics
import TraceModel
import TraceProcessing

/// Tells the aggregator, round after round, of the slots that changed: a few slots at a time, so that a round
/// of a million series keeps no event waiting, and seldom enough to take a fiftieth of the loop's time at most.
/// Each slot is told as of the position that is applied when its turn comes.
struct MetricRounds: ~Copyable {
    /// What there is for the loop to do besides.
    enum Load {
        case loaded
        case idle
        /// The loop ends: everything goes at once.
        case all
    }

    struct Message {
        let begins: Bool
        let sections: [UInt8]
    }

    private var series: SeriesWriter
    /// Slots of the round under way, the next one last.
    private var pending: [UInt8] = []
    /// The round names everything.
    private var isWhole = false
    private var needsWhole = true
    private var isFirstMessage = true

    private var began: Int64 = 0
    private var cost: Int64 = 0
    private var beganLSN: LSN = .max
    /// A slot's section was not complete.
    private var hasMore = false

    /// When ids were begun anew: how many were then in use, and how many processes had gone.
    private var idsInUse = 0
    private var processesGone = 0
    private var leftOutMax = 0

    /// One message, and so what is collected between two looks at the fabric.
    private static let messageBytes = 256 << 10
    private static let stepNanoseconds: Int64 = 2_000_000
    private static let second: Int64 = 1_000_000_000

    /// `idsMax`: as `Limits.seriesIDsMax`, for tests.
    init(idsMax: Int = Limits.seriesIDsMax) { series = SeriesWriter(idsMax: idsMax) }

    var isUnderWay: Bool { !pending.isEmpty }

    /// The aggregator knows nothing, or not the same as this worker thinks.
    mutating func beginAnew() {
        needsWhole = true
        pending = []
    }

    /// The next message of the round under way, or of one that is due; nil where there is nothing to say now.
    /// `now` is monotonic nanoseconds.
    mutating func next(
        of processor: any TraceProcessor,
        at lsn: LSN,
        load: Load,
        now: Int64
    ) -> Message? {
        if pending.isEmpty {
            guard isDue(at: lsn, load: load, now: now) else { return nil }
            begin(processor, at: lsn, now: now)
        }
        let deadline = load == .all ? .max : now + Self.stepNanoseconds
        while let slot = pending.popLast() {
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

    /// Time that the message took, nanoseconds.
    mutating func count(cost nanoseconds: Int64) { cost += nanoseconds }

    /// Series that are not told, as this worker has more than ids.
    func ownSamples() -> [MetricSample] {
        [
            MetricSample(
                family: .errorsTotal,
                labels: [LossKind.seriesDropped.rawValue],
                value: .counter(Double(leftOutMax))
            )
        ]
    }

    private func isDue(at lsn: LSN, load: Load, now: Int64) -> Bool {
        if needsWhole || load == .all { return true }
        guard lsn != beganLSN || hasMore else { return false }
        let passed = now - began
        guard load != .idle else { return passed >= Self.second / 5 }
        // What costs little goes soon; what costs more takes no larger part of the time, as each of many workers does it.
        return passed >= max(Self.second / 5, min(2 * Self.second, 500 * cost), 50 * cost)
    }

    private mutating func begin(_ processor: any TraceProcessor, at lsn: LSN, now: Int64) {
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
        began = now
        beganLSN = lsn
        hasMore = false
        cost = 0
    }

    private mutating func end() {
        leftOutMax = max(leftOutMax, series.leftOut)
        if isWhole { idsInUse = series.idCount }
        isWhole = false
    }
}
