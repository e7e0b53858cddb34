/// The unit of sharding: every process (host, process id) falls into one of 256 slots of a resource.
package enum Slot {
    package static let count = 256

    /// The slot of a process. Stable for ever: data directories depend on it.
    @inlinable
    package static func of(hostHash: UInt64, processID: UInt32) -> UInt8 {
        // Finalizer of SplitMix64 (public domain, Vigna): every input bit reaches the top byte.
        var x = hostHash ^ (UInt64(processID) &* 0x9E37_79B9_7F4A_7C15)
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        x ^= x >> 31
        return UInt8(truncatingIfNeeded: x >> 56)
    }

    /// FNV-1a of a host's name, once a batch.
    @inlinable
    package static func hash(host: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in host {
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        }
        return hash
    }
}
