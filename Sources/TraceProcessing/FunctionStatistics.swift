import SystemIO
import TraceMetrics
import TraceModel

/// Calls and durations of one function of one process.
struct FunctionStatistics: ~Copyable {
    let name: OwnedName
    var entries: UInt64 = 0
    var completed: UInt64 = 0
    var slow: UInt64 = 0
    var unmatchedExits: UInt64 = 0
    private var total = CounterTotal()
    var maxNanoseconds: Int64 = 0
    /// As the agent last sent them.
    var callCount: UInt64 = 0
    var averageMicroseconds: UInt64 = 0
    /// One count a bound of `MetricBounds.functionSeconds`, and one beyond.
    var buckets: InlineArray<11, UInt64> = InlineArray(repeating: 0)
    var rules = FunctionRules()
    var isDirty = false

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

    mutating func collect(_ samples: inout ProcessSamples) {
        let function = MetricLabel.text(of: name.view)
        samples.add(.functionCallsTotal, .counter(Double(entries)), function)
        if unmatchedExits > 0 {
            samples.add(.functionUnmatchedExitsTotal, .counter(Double(unmatchedExits)), function)
        }
        samples.addOriginal(
            .neutracerFunctionCallsTotal,
            Double(callCount),
            function,
            samples.original
        )
        samples.addOriginal(
            .neutracerFunctionStats,
            Double(averageMicroseconds),
            function,
            samples.original,
            "avg_duration_us"
        )
        guard completed > 0 else { return }
        samples.addOriginal(
            .neutracerFunctionStats,
            Double(maxNanoseconds) / 1e9,
            function,
            samples.original,
            "max_duration_seconds"
        )
        samples.add(.functionSlowCallsTotal, .counter(Double(slow)), function)
        samples.add(
            .functionDurationSeconds,
            .histogram(
                buckets: buckets.indices.map { buckets[$0] },
                sum: Double(total.value) / 1e9
            ),
            function
        )
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        for count in [
            entries, completed, slow, unmatchedExits, total.value,
            UInt64(bitPattern: maxNanoseconds), callCount, averageMicroseconds,
        ] {
            buffer.append(integer: count)
        }
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
