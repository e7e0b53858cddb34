import SystemIO
import TraceModel

/// CPUs by number; those from 1,024 on are not told apart.
struct CPUSet: BitwiseCopyable {
    private var words: InlineArray<16, UInt64> = InlineArray(repeating: 0)
    private(set) var count = 0

    init() {}

    @inline(__always)
    mutating func insert(_ cpu: UInt32) {
        let bit = Int(min(cpu, 1_023))
        let mask = UInt64(1) << UInt64(bit & 63)
        guard words[bit >> 6] & mask == 0 else { return }
        words[bit >> 6] |= mask
        count += 1
    }

    func encode(into buffer: inout RawBuffer) {
        for index in words.indices { buffer.append(integer: words[index]) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for index in words.indices {
            words[index] = try reader.integer(UInt64.self)
            count += words[index].nonzeroBitCount
        }
    }
}
