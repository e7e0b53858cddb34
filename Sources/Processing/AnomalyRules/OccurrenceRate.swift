package import SystemIO
package import TraceModel

/// How often something happens: in the second that is running, and in the mean of the minute before it.
package struct OccurrenceRate: BitwiseCopyable {
    private static let second: Int64 = 1_000_000_000

    private var counts = InlineArray<60, UInt32>(repeating: 0)
    private var sum: UInt64 = 0
    private var running: Int64 = .min
    /// In the running second.
    package private(set) var count: UInt32 = 0

    package init() {}

    /// By second, in the 60 seconds before the running one.
    package var minuteMean: Double { Double(sum) / 60 }

    /// It happened once more. What is older than the running second counts into that.
    package mutating func note(at time: Int64) {
        let second = time / Self.second
        if running == .min { running = second }
        if second > running { advance(to: second) }
        if count < .max { count += 1 }
    }

    private mutating func advance(to second: Int64) {
        put(count, second: running)
        for silent in 1..<max(1, min(61, second - running)) { put(0, second: running + silent) }
        running = second
        count = 0
    }

    private mutating func put(_ count: UInt32, second: Int64) {
        let cell = Int((second % 60 + 60) % 60)
        sum = sum - UInt64(counts[cell]) + UInt64(count)
        counts[cell] = count
    }

    package func encode(into buffer: inout RawBuffer) {
        for index in counts.indices { buffer.append(integer: counts[index]) }
        buffer.append(integer: running)
        buffer.append(integer: count)
    }

    package init(decoding reader: inout StateReader) throws(TraceError) {
        for index in counts.indices {
            counts[index] = try reader.integer(UInt32.self)
            sum += UInt64(counts[index])
        }
        running = try reader.integer(Int64.self)
        count = try reader.integer(UInt32.self)
    }
}
