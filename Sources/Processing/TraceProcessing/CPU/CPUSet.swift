import SystemIO
import TraceModel

/// A set of CPU numbers. Numbers from `numberMax` on share one bit.
struct CPUSet: BitwiseCopyable {
    private var words: InlineArray<16, UInt64> = InlineArray(repeating: 0)
    private(set) var count = 0

    static var numberMax: Int { 1_023 }

    init() {}

    /// The number that a CPU goes by here.
    @inline(__always) static func number(of cpu: UInt32) -> Int { Int(min(cpu, UInt32(numberMax))) }

    @inline(__always) mutating func insert(_ cpu: UInt32) {
        let bit = Self.number(of: cpu)
        let mask = UInt64(1) << UInt64(bit & 63)
        guard words[bit >> 6] & mask == 0 else { return }
        words[bit >> 6] |= mask
        count += 1
    }

    func contains(_ number: Int) -> Bool { words[number >> 6] >> UInt64(number & 63) & 1 == 1 }

    /// How many of them have a lower number.
    func rank(of number: Int) -> Int {
        var rank = 0
        for index in 0..<(number >> 6) { rank += words[index].nonzeroBitCount }
        let lower = words[number >> 6] & (1 << UInt64(number & 63) - 1)
        return rank + lower.nonzeroBitCount
    }

    /// Visits their numbers, the lowest first.
    func visit(_ body: (_ number: Int) -> Void) {
        for index in words.indices {
            var rest = words[index]
            while rest != 0 {
                body(index << 6 + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
    }

    func encode(into buffer: inout RawBuffer) { for index in words.indices { buffer.append(integer: words[index]) } }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for index in words.indices {
            words[index] = try reader.integer(UInt64.self)
            count += words[index].nonzeroBitCount
        }
    }
}
