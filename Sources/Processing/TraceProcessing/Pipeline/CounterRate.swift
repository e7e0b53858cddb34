import SystemIO
import TraceModel

/// Growth per second of one of the agent's cumulative counters, measured over at least one second of event time.
struct CounterRate: BitwiseCopyable {
    private static let spanNanoseconds: Int64 = 1_000_000_000

    private var isStarted = false
    private var since: EpochNanoseconds = 0
    private var base: UInt64 = 0
    /// The most recently measured rate.
    private(set) var perSecond = 0.0

    init() {}

    /// Takes a sample that is neither lower nor earlier than the previous one. Returns whether it gave a new rate.
    @inline(__always) @discardableResult mutating func note(
        _ sample: UInt64,
        at time: EpochNanoseconds
    ) -> Bool {
        guard isStarted else {
            isStarted = true
            since = time
            base = sample
            return false
        }
        let (span, overflow) = time.subtractingReportingOverflow(since)
        guard overflow || span >= Self.spanNanoseconds else { return false }
        perSecond = overflow ? 0 : Double(sample - base) / (Double(span) / 1e9)
        since = time
        base = sample
        return !overflow
    }

    func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt8(isStarted ? 1 : 0))
        buffer.append(integer: since)
        buffer.append(integer: base)
        buffer.append(integer: perSecond.bitPattern)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        isStarted = try reader.integer(UInt8.self) == 1
        since = try reader.integer(Int64.self)
        base = try reader.integer(UInt64.self)
        perSecond = Double(bitPattern: try reader.integer(UInt64.self))
    }
}
