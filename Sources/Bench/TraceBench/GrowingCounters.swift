/// The cumulative counters of traced processes, which grow from event to event. In a template a mark stands
/// for each value; over and over again the templates are sent with what a whole pass adds.
struct GrowingCounters {
    /// A value in a template: what it is in the first pass.
    struct Mark {
        let key: Int
        let base: UInt64
        let width: Int
    }

    /// Values keep their width on the wire for so many passes that no run sees the end of it.
    enum Width: Int {
        /// For uint32: 2^28 up to 2^32.
        case five = 5
        /// 2^35 up to 2^42.
        case six = 6

        var start: UInt64 { 1 << UInt64(7 * (rawValue - 1)) }
    }

    /// What a pass adds, by key.
    private(set) var growth: [UInt64]
    private var marks: [Mark] = []

    init(count: Int) { growth = Array(repeating: 0, count: count) }

    /// Adds to a counter; returns the mark for its value, which no other value of the batch looks like.
    mutating func grow(_ key: Int, by amount: UInt64, _ width: Width) -> UInt64 {
        growth[key] += amount
        marks.append(Mark(key: key, base: width.start + growth[key], width: width.rawValue))
        return Self.mark(marks.count - 1, width)
    }

    /// The marks since the last call, in their order.
    mutating func takeMarks() -> [Mark] {
        defer { marks.removeAll() }
        return marks
    }

    /// Stands for the mark at `index` of its batch.
    static func mark(_ index: Int, _ width: Width) -> UInt64 {
        width.start * 8 + UInt64(index)
    }

    /// A varint of exactly `width` bytes.
    @inline(__always)
    static func write(_ value: UInt64, width: Int, to target: UnsafeMutableRawPointer) {
        for index in 0..<(width - 1) {
            target.storeBytes(
                of: UInt8(truncatingIfNeeded: value >> UInt64(7 * index)) | 0x80,
                toByteOffset: index,
                as: UInt8.self
            )
        }
        target.storeBytes(
            of: UInt8(truncatingIfNeeded: value >> UInt64(7 * (width - 1))) & 0x7F,
            toByteOffset: width - 1,
            as: UInt8.self
        )
    }
}
