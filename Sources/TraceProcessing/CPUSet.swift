import SystemIO
import TraceModel

/// CPUs by number; those from 1,024 on are not told apart.
struct CPUSet: BitwiseCopyable {
    private var words: InlineArray<16, UInt64> = InlineArray(repeating: 0)

    init() {}

    @inline(__always)
    mutating func insert(_ cpu: UInt32) {
        let bit = Int(min(cpu, 1_023))
        words[bit >> 6] |= 1 << UInt64(bit & 63)
    }

    var count: Int {
        var count = 0
        for index in words.indices { count += words[index].nonzeroBitCount }
        return count
    }

    func encode(into buffer: inout RawBuffer) {
        for index in words.indices { buffer.append(integer: words[index]) }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for index in words.indices { words[index] = try reader.integer(UInt64.self) }
    }
}
