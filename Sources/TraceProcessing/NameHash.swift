import TraceModel

/// A hash of short byte strings for tables inside one process. Checkpoints hold some (`ScanWatch`), so it stays as it is.
enum NameHash {
    /// Eight bytes a step, mixed by a wide multiplication.
    @inline(__always)
    static func of(_ name: ByteView) -> UInt64 {
        // Wherever no bytes are, they are the same: a name that is loaded again has an address.
        guard let start = name.start, name.count > 0 else { return 0x9E37_79B9_7F4A_7C15 }
        var hash = UInt64(truncatingIfNeeded: name.count) &* 0x9E37_79B9_7F4A_7C15
        var at = 0
        while name.count &- at >= 8 {
            hash = mix(hash ^ start.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            at &+= 8
        }
        let rest = tail(start, name.count)
        return mix(hash ^ rest ^ 0xD6E8_FEB8_6659_FD93)
    }

    /// The bytes behind the last whole eight, the first one highest.
    @inline(__always)
    private static func tail(_ start: UnsafeRawPointer, _ count: Int) -> UInt64 {
        let left = count & 7
        if count >= 8 {
            let last = start.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            return UInt64(bigEndian: last) & ((1 &<< UInt64(8 &* left)) &- 1)
        }
        if left >= 4 {
            // The two overlap.
            let first = UInt32(bigEndian: start.loadUnaligned(as: UInt32.self))
            let last = start.loadUnaligned(fromByteOffset: left &- 4, as: UInt32.self)
            return UInt64(first) &<< UInt64(8 &* (left &- 4)) | UInt64(UInt32(bigEndian: last))
        }
        var tail: UInt64 = 0
        for at in 0..<left {
            tail = tail << 8 | UInt64(start.load(fromByteOffset: at, as: UInt8.self))
        }
        return tail
    }

    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        let (high, low) = value.multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        return high ^ low
    }
}
