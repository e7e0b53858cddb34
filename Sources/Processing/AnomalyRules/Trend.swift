package import SystemIO
package import TraceModel

/// The development of an amount: its values at the ends of the last 40 windows and before them.
package struct Trend: BitwiseCopyable {
    /// The growth over the windows.
    package struct Growth {
        /// The slope by least squares, as a fraction of the mean.
        package let perHour: Double
        /// The share (0 to 1) of windows that end higher than they begin.
        package let rising: Double
        package let mean: Double
    }

    /// With this many windows, a random walk rises in four fifths of them only once in ten thousand times.
    private static let windows = 40

    private var points = InlineArray<41, Double>(repeating: 0)
    private var count = 0
    /// Nanoseconds of one window; 0 before the first event.
    private var length: Int64 = 0
    private var windowEnd: Int64 = 0

    package init() {}

    /// Advances to `time`; `value` returns the amount as it was until then. Returns the growth where a window has ended
    /// and there are enough of them. Another span starts anew.
    package mutating func advance(
        to time: Int64,
        span: Int64,
        value: (_ windowEnd: Int64) -> Double
    ) -> Growth? {
        let length = max(span / Int64(Self.windows), 1)
        if length != self.length {
            self = Trend()
            self.length = length
            windowEnd = time &+ length
            return nil
        }
        guard time >= windowEnd else { return nil }
        let (distance, overflow) = time.subtractingReportingOverflow(windowEnd)
        // After a gap longer than all windows, the amount was the same in each.
        let ended = overflow ? Int64(points.count) : min(distance / length + 1, Int64(points.count))
        let amount = value(windowEnd)
        for _ in 0..<ended { append(amount) }
        windowEnd = time &+ (length - (overflow ? 0 : distance % length))
        return count == points.count ? growth : nil
    }

    private mutating func append(_ value: Double) {
        if count == points.count {
            for index in 1..<count { points[index - 1] = points[index] }
            count -= 1
        }
        points[count] = value
        count += 1
    }

    private var growth: Growth? {
        var sum = 0.0
        var weighted = 0.0
        var risen = 0
        let middle = Double(Self.windows) / 2
        var squares = 0.0
        for index in points.indices {
            let offset = Double(index) - middle
            sum += points[index]
            weighted += offset * points[index]
            squares += offset * offset
            if index > 0, points[index] > points[index - 1] { risen += 1 }
        }
        let mean = sum / Double(points.count)
        guard mean > 0 else { return nil }
        return Growth(
            perHour: weighted / squares / mean * (3_600e9 / Double(length)),
            rising: Double(risen) / Double(Self.windows),
            mean: mean
        )
    }

    /// Appends the state as `init(decoding:)` reads it.
    package func encode(into buffer: inout RawBuffer) {
        for index in points.indices { buffer.append(integer: points[index].bitPattern) }
        buffer.append(byte: UInt8(count))
        buffer.append(integer: length)
        buffer.append(integer: windowEnd)
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        for index in points.indices {
            points[index] = Double(bitPattern: try reader.integer(UInt64.self))
        }
        count = Int(try reader.integer(UInt8.self))
        length = try reader.integer(Int64.self)
        windowEnd = try reader.integer(Int64.self)
        guard count <= points.count, length >= 0 else {
            throw TraceError(.corrupt, "Stored state has a trend of \(count) points")
        }
    }
}
