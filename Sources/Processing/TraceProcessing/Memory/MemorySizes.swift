import SystemIO
import TraceMetrics
import TraceModel

/// A histogram of the sizes of allocations.
struct MemorySizes: BitwiseCopyable {
    /// One count for each bound of `MetricBounds.allocationBytes`, and one for what exceeds them.
    private var buckets: InlineArray<10, UInt64> = InlineArray(repeating: 0)
    /// The sum in bytes; saturates instead of wrapping.
    private var sum: UInt64 = 0

    init() {}

    @inline(__always) mutating func note(_ bytes: UInt64) {
        buckets[Self.bucket(bytes)] += 1
        let (sum, overflow) = self.sum.addingReportingOverflow(bytes)
        self.sum = overflow ? .max : sum
    }

    /// Returns the bucket of a size; the bounds are those of `MetricBounds.allocationBytes`.
    @inline(__always) private static func bucket(_ bytes: UInt64) -> Int {
        switch bytes {
        case ...128: 0
        case ...512: 1
        case ...2_048: 2
        case ...8_192: 3
        case ...32_768: 4
        case ...131_072: 5
        case ...524_288: 6
        case ...2_097_152: 7
        case ...4_194_304: 8
        default: 9
        }
    }

    var value: MetricValue {
        .histogram(buckets: buckets.indices.map { buckets[$0] }, sum: Double(sum))
    }

    func encode(into buffer: inout RawBuffer) {
        for index in buckets.indices { buffer.append(integer: buckets[index]) }
        buffer.append(integer: sum)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for index in buckets.indices { buckets[index] = try reader.integer(UInt64.self) }
        sum = try reader.integer(UInt64.self)
    }
}
