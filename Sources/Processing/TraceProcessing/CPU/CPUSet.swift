import SystemIO
import TraceModel

/// A set of CPU numbers. Numbers from `numberMax` on share one bit. Numbers up to 63 are stored inline: most machines
/// have no others, and every process has a set.
struct CPUSet {
    private static var wordCount: Int { 16 }

    private var first: UInt64 = 0
    /// The words of the CPUs from 64 on; empty if none of them is in the set.
    private var others: [UInt64] = []
    private(set) var count = 0

    /// The bytes that the set takes beyond its inline size.
    @inline(__always) var memoryBytes: Int {
        others.isEmpty ? 0 : Self.wordCount * 8 + 2 * StateCost.allocation
    }

    static var numberMax: Int { wordCount * 64 - 1 }

    init() {}

    /// Returns the number that represents a CPU in the set.
    @inline(__always) static func number(of cpu: UInt32) -> Int { Int(min(cpu, UInt32(numberMax))) }

    @inline(__always) mutating func insert(_ cpu: UInt32) {
        guard cpu < 64 else { return insertOther(Self.number(of: cpu)) }
        let mask = UInt64(1) << UInt64(cpu)
        guard first & mask == 0 else { return }
        first |= mask
        count += 1
    }

    @inline(never) private mutating func insertOther(_ number: Int) {
        guard !contains(number) else { return }
        if others.isEmpty { others = Array(repeating: 0, count: Self.wordCount - 1) }
        others[(number >> 6) - 1] |= 1 << UInt64(number & 63)
        count += 1
    }

    private func word(_ index: Int) -> UInt64 {
        if index == 0 { return first }
        return others.isEmpty ? 0 : others[index - 1]
    }

    func contains(_ number: Int) -> Bool { word(number >> 6) >> UInt64(number & 63) & 1 == 1 }

    /// Returns how many members have a lower number.
    func rank(of number: Int) -> Int {
        var rank = 0
        for index in 0..<(number >> 6) { rank += word(index).nonzeroBitCount }
        let lower = word(number >> 6) & (1 << UInt64(number & 63) - 1)
        return rank + lower.nonzeroBitCount
    }

    /// Visits the members in ascending order.
    func visit(_ body: (_ number: Int) -> Void) {
        for index in 0..<Self.wordCount {
            var rest = word(index)
            while rest != 0 {
                body((index << 6) + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
    }

    func encode(into buffer: inout RawBuffer) {
        for index in 0..<Self.wordCount { buffer.append(integer: word(index)) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        first = try reader.integer(UInt64.self)
        count = first.nonzeroBitCount
        var words: [UInt64] = []
        for _ in 1..<Self.wordCount { words.append(try reader.integer(UInt64.self)) }
        guard words.contains(where: { $0 != 0 }) else { return }
        others = words
        count += words.reduce(0) { $0 + $1.nonzeroBitCount }
    }
}
