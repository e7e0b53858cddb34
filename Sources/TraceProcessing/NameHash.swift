import TraceModel

/// A hash of short byte strings for tables inside one process: never stored, never sent.
enum NameHash {
    /// Eight bytes a step, mixed by a wide multiplication.
    @inline(__always)
    static func of(_ name: ByteView) -> UInt64 {
        guard let start = name.start else { return 0x9E37_79B9_7F4A_7C15 }
        var hash = UInt64(truncatingIfNeeded: name.count) &* 0x9E37_79B9_7F4A_7C15
        var at = 0
        while name.count - at >= 8 {
            hash = mix(hash ^ start.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            at += 8
        }
        var rest: UInt64 = 0
        while at < name.count {
            rest = rest << 8 | UInt64(start.load(fromByteOffset: at, as: UInt8.self))
            at += 1
        }
        return mix(hash ^ rest ^ 0xD6E8_FEB8_6659_FD93)
    }

    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        let (high, low) = value.multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        return high ^ low
    }
}
