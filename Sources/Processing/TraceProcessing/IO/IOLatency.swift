import SystemIO
import TraceModel

/// A histogram of latencies. Sums are integers, so that they do not depend on the order of addition.
struct IOLatency: BitwiseCopyable {
    /// One count for each bound of `MetricBounds.latencySeconds`, and one for what exceeds them.
    private(set) var buckets = InlineArray<15, UInt64>(repeating: 0)
    private(set) var nanoseconds = CounterTotal()

    init() {}

    /// Records a latency; invalid durations (negative, infinite, NaN) are ignored.
    @inline(__always) mutating func record(milliseconds: Double) {
        guard milliseconds >= 0, milliseconds.isFinite else { return }
        let duration = Int64(min((milliseconds * 1e6).rounded(), 1e18))
        buckets[Self.bucket(duration)] += 1
        nanoseconds.add(UInt64(duration))
    }

    /// Returns the bucket of a duration; the bounds are those of `MetricBounds.latencySeconds`.
    @inline(__always) static func bucket(_ nanoseconds: Int64) -> Int {
        switch nanoseconds {
        case ...10_000: 0
        case ...100_000: 1
        case ...500_000: 2
        case ...1_000_000: 3
        case ...2_000_000: 4
        case ...5_000_000: 5
        case ...10_000_000: 6
        case ...25_000_000: 7
        case ...50_000_000: 8
        case ...100_000_000: 9
        case ...250_000_000: 10
        case ...500_000_000: 11
        case ...1_000_000_000: 12
        case ...5_000_000_000: 13
        default: 14
        }
    }

    mutating func add(_ other: IOLatency) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        nanoseconds.add(other.nanoseconds.value)
    }

    var isEmpty: Bool { buckets.indices.allSatisfy { buckets[$0] == 0 } }

    var seconds: Double { Double(nanoseconds.value) / 1e9 }

    func encode(into buffer: inout RawBuffer) {
        for index in buckets.indices { buffer.append(integer: buckets[index]) }
        buffer.append(integer: nanoseconds.value)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for index in buckets.indices { buckets[index] = try reader.integer(UInt64.self) }
        nanoseconds = CounterTotal(try reader.integer(UInt64.self))
    }
}
