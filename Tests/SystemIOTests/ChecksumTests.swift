import CChecksum
import Testing

@testable import SystemIO

/// CRC-32C of bytes of any length, in any number of pieces.
@Suite struct ChecksumTests {
    /// Bit by bit, as RFC 3720 defines it.
    private func expected(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(UInt32.max) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in
                sum & 1 == 1 ? sum >> 1 ^ 0x82F6_3B78 : sum >> 1
            }
        }
    }

    private func found(_ bytes: [UInt8], after before: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { Checksum.crc32c($0, after: before) }
    }

    @Test func theKnownValue() {
        #expect(found(Array("123456789".utf8)) == 0xE306_9283)
        #expect(found([]) == 0)
    }

    @Test(arguments: [1, 7, 8, 3_071, 3_072, 3_073, 6_143, 6_144, 10_001])
    func anyLengthInAnyPieces(_ count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 ^ $0 >> 5) }
        let sum = expected(bytes)
        #expect(found(bytes) == sum)
        #expect(bytes.withUnsafeBytes { trace_crc32c_portable(0, $0.baseAddress, $0.count) } == sum)
        for cut in [0, 1, count / 3, count / 2, count - 1] {
            let (first, second) = (Array(bytes[..<cut]), Array(bytes[cut...]))
            #expect(found(second, after: found(first)) == sum)
            #expect(trace_crc32c_joined(found(first), found(second), second.count) == sum)
        }
    }
}
