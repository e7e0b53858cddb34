import CChecksum

/// CRC-32C of some bytes.
package enum Checksum {
    /// `before`: the checksum of what stands in front of these bytes.
    package static func crc32c(_ bytes: UnsafeRawBufferPointer, after before: UInt32 = 0) -> UInt32
    {
        unsafe trace_crc32c(before, bytes.baseAddress, bytes.count)
    }
}
