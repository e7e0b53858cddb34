package import SystemIO
package import TraceModel

/// The mean of the samples of the last so many nanoseconds, in ten parts.
package struct SlidingMean: BitwiseCopyable {
    private static let samplesMin: UInt32 = 10

    private var sums = InlineArray<10, Double>(repeating: 0)
    private var counts = InlineArray<10, UInt32>(repeating: 0)
    /// Nanoseconds of one part; 0 before the first sample.
    private var length: Int64 = 0
    /// The number of the newest part since the epoch.
    private var newest: Int64 = 0
    private var first: Int64 = 0

    package init() {}

    /// Takes in a sample; the mean, nil as long as the samples don't span `window` or are too few. Another
    /// window begins anew. A sample older than the newest part is taken into that one.
    package mutating func note(_ value: Double, at time: Int64, window: Int64) -> Double? {
        let length = max(window / 10, 1)
        let part = time / length
        if length != self.length {
            self = SlidingMean()
            self.length = length
            newest = part
            first = time
        }
        if part > newest { advance(to: part) }
        let at = Self.cell(newest)
        sums[at] += value
        counts[at] += 1
        return mean(at: time, window: window)
    }

    private mutating func advance(to part: Int64) {
        let (distance, overflow) = part.subtractingReportingOverflow(newest)
        let steps = overflow ? 10 : min(distance, 10)
        for step in 0..<steps {
            sums[Self.cell(part - step)] = 0
            counts[Self.cell(part - step)] = 0
        }
        newest = part
    }

    private static func cell(_ part: Int64) -> Int { Int((part % 10 + 10) % 10) }

    private func mean(at time: Int64, window: Int64) -> Double? {
        let (span, overflow) = time.subtractingReportingOverflow(first)
        var sum = 0.0
        var count: UInt32 = 0
        for index in sums.indices {
            sum += sums[index]
            count += counts[index]
        }
        guard overflow || span >= window, count >= Self.samplesMin else { return nil }
        return sum / Double(count)
    }

    package func encode(into buffer: inout RawBuffer) {
        for index in sums.indices {
            buffer.append(integer: sums[index].bitPattern)
            buffer.append(integer: counts[index])
        }
        buffer.append(integer: length)
        buffer.append(integer: newest)
        buffer.append(integer: first)
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        for index in sums.indices {
            sums[index] = Double(bitPattern: try reader.integer(UInt64.self))
            counts[index] = try reader.integer(UInt32.self)
        }
        length = try reader.integer(Int64.self)
        newest = try reader.integer(Int64.self)
        first = try reader.integer(Int64.self)
    }
}
