import CChecksum

/// CRC-32C of some bytes.
package enum Checksum {
    package static func crc32c(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        trace_crc32c(0, bytes.baseAddress, bytes.count)
    }
}
