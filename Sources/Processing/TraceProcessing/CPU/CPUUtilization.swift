import SystemIO
import TraceModel

/// A process's CPU utilization in percent: the last, mean and greatest sample. Non-finite samples are ignored.
struct CPUUtilization: BitwiseCopyable {
    private(set) var last = 0.0
    private(set) var max = 0.0
    private(set) var count: UInt64 = 0
    private var sum = 0.0

    var mean: Double { count == 0 ? 0 : sum / Double(count) }

    init() {}

    @inline(__always) mutating func note(_ percent: Double) {
        guard percent.isFinite else { return }
        last = percent
        max = count == 0 ? percent : Swift.max(max, percent)
        count += 1
        sum += percent
    }

    func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: last.bitPattern)
        buffer.append(integer: max.bitPattern)
        buffer.append(integer: sum.bitPattern)
        buffer.append(integer: count)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        last = Double(bitPattern: try reader.integer(UInt64.self))
        max = Double(bitPattern: try reader.integer(UInt64.self))
        sum = Double(bitPattern: try reader.integer(UInt64.self))
        count = try reader.integer(UInt64.self)
    }
}
