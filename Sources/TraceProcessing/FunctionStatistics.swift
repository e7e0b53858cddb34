import SystemIO
import TraceMetrics
import TraceModel

/// Calls and durations of one function of one process. There are many, all over the memory: what every event needs stands
/// in the first cache line, what the end of a call needs behind it.
struct FunctionStatistics: ~Copyable {
    let name: OwnedName
    var entries: UInt64 = 0
    /// As the agent last sent them.
    var callCount: UInt64 = 0
    var averageMicroseconds: UInt64 = 0
    var completed: UInt64 = 0
    var slow: UInt64 = 0
    var isDirty = false
    private var total = CounterTotal()
    var maxNanoseconds: Int64 = 0
    var unmatchedExits: UInt64 = 0
    var rules = FunctionRules()
    /// One count a bound of `MetricBounds.functionSeconds`, and one beyond.
    var buckets: InlineArray<11, UInt64> = InlineArray(repeating: 0)
    private var told = SeriesSet()

    /// Of what an event needs, and of what the end of a call needs too: that no bucket but those of very long calls
    /// lies behind it.
    static var eventBytes: Int { 64 }
    static var exitBytes: Int { 192 }

    init(name: ByteView) { self.name = OwnedName(name) }

    @inline(__always)
    mutating func complete(nanoseconds: Int64, isSlow: Bool) {
        completed += 1
        total.add(UInt64(nanoseconds))
        maxNanoseconds = max(maxNanoseconds, nanoseconds)
        if isSlow { slow += 1 }
        buckets[Self.bucket(nanoseconds)] += 1
    }

    /// The bucket of a duration; the bounds are those of `MetricBounds.functionSeconds`.
    @inline(__always)
    private static func bucket(_ nanoseconds: Int64) -> Int {
        switch nanoseconds {
        case ...100_000: 0
        case ...500_000: 1
        case ...1_000_000: 2
        case ...5_000_000: 3
        case ...10_000_000: 4
        case ...50_000_000: 5
        case ...100_000_000: 6
        case ...500_000_000: 7
        case ...1_000_000_000: 8
        case ...5_000_000_000: 9
        default: 10
        }
    }

    mutating func collect(_ series: inout SeriesWriter) {
        let isTimed = completed > 0
        series.begin(told, count: 7, name: name.view)
        series.add(.functionCallsTotal, Double(entries))
        series.add(
            .functionUnmatchedExitsTotal,
            Double(unmatchedExits),
            if: unmatchedExits > 0
        )
        series.add(.neutracerFunctionCallsTotal, Double(callCount))
        series.add(.neutracerFunctionStats, Double(averageMicroseconds), ["avg_duration_us"])
        series.add(
            .neutracerFunctionStats,
            Double(maxNanoseconds) / 1e9,
            if: isTimed,
            ["max_duration_seconds"]
        )
        series.add(.functionSlowCallsTotal, Double(slow), if: isTimed)
        series.add(
            .functionDurationSeconds,
            buckets,
            sum: Double(total.value) / 1e9,
            if: isTimed
        )
        told = series.end()
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: entries)
        buffer.append(integer: completed)
        buffer.append(integer: slow)
        buffer.append(integer: unmatchedExits)
        buffer.append(integer: total.value)
        buffer.append(integer: maxNanoseconds)
        buffer.append(integer: callCount)
        buffer.append(integer: averageMicroseconds)
        for index in buckets.indices { buffer.append(integer: buckets[index]) }
        rules.encode(into: &buffer)
        name.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        var counts: [UInt64] = []
        for _ in 0..<8 { counts.append(try reader.integer(UInt64.self)) }
        var buckets = InlineArray<11, UInt64>(repeating: 0)
        for index in buckets.indices { buckets[index] = try reader.integer(UInt64.self) }
        let rules = try FunctionRules(decoding: &reader)
        name = try OwnedName(decoding: &reader)
        self.rules = rules
        entries = counts[0]
        completed = counts[1]
        slow = counts[2]
        unmatchedExits = counts[3]
        total = CounterTotal(counts[4])
        maxNanoseconds = Int64(bitPattern: counts[5])
        callCount = counts[6]
        averageMicroseconds = counts[7]
        self.buckets = buckets
    }
}
