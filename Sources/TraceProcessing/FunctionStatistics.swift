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
    var totalNanoseconds: UInt64 = 0
    var maxNanoseconds: Int64 = 0
    /// As the agent last sent them.
    var callCount: UInt64 = 0
    var averageMicroseconds: UInt64 = 0
    /// One count a bound of `MetricBounds.functionSeconds`, and one beyond.
    var buckets: InlineArray<11, UInt64> = InlineArray(repeating: 0)
    var isDirty = false

    init(name: ByteView) { self.name = OwnedName(name) }

    @inline(__always)
    mutating func complete(nanoseconds: Int64, isSlow: Bool) {
        completed += 1
        totalNanoseconds &+= UInt64(nanoseconds)
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
        let function = name.view.cut(at: Limits.labelBytesMax).string
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
                sum: Double(totalNanoseconds) / 1e9
            ),
            function
        )
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        name.encode(into: &buffer)
        for count in [
            entries, completed, slow, unmatchedExits, totalNanoseconds,
            UInt64(bitPattern: maxNanoseconds), callCount, averageMicroseconds,
        ] {
            buffer.append(integer: count)
        }
        for index in buckets.indices { buffer.append(integer: buckets[index]) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        name = try OwnedName(decoding: &reader)
        entries = try reader.integer(UInt64.self)
        completed = try reader.integer(UInt64.self)
        slow = try reader.integer(UInt64.self)
        unmatchedExits = try reader.integer(UInt64.self)
        totalNanoseconds = try reader.integer(UInt64.self)
        maxNanoseconds = try reader.integer(Int64.self)
        callCount = try reader.integer(UInt64.self)
        averageMicroseconds = try reader.integer(UInt64.self)
        for index in buckets.indices { buckets[index] = try reader.integer(UInt64.self) }
    }
}
