import TraceModel

/// Hashes for tables in memory, keyed by the data directory's secret (`HashSecret`). The key keeps clients from
/// choosing names, thread ids or addresses that collide. Hashes differ between data directories, so nothing written
/// may contain one or depend on their order; see `StableHash`.
package enum NameHash {
    /// Sets the key, from 16 bytes. Call it on the process's only thread before any table exists: older tables become
    /// unusable.
    package static func key(with secret: [UInt8]) {
        let (first, second) = (word(secret.prefix(8)), word(secret.dropFirst(8)))
        seed = WordHash.fold(first ^ 0xE703_7ED1_A0B4_28DB, 0x8EBC_6AF0_9C88_C6E3)
        // An odd multiplier loses no bits.
        multiplier = WordHash.fold(second ^ 0x5899_65CC_7537_4CC3, 0x1D8E_4E27_C47D_124F) | 1
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Defaults for tests and benchmarks that set no secret.
    @exclusivity(unchecked) nonisolated(unsafe) private static var seed: UInt64 =
        0x2D35_8DCC_AA6C_78A5
    @exclusivity(unchecked) nonisolated(unsafe) private static var multiplier: UInt64 =
        0x8BB8_4B93_962E_ACC9

    @inline(__always) static func of(_ name: ByteView) -> UInt64 {
        if name.count >= longBytesMin { return ofLong(name) }
        return WordHash.of(name, seed: seed, multiplier: multiplier)
    }

    private static var longBytesMin: Int { 128 }

    /// Hashes four words per step, in lanes that do not depend on each other's multiplication.
    @inline(never) private static func ofLong(_ name: ByteView) -> UInt64 {
        guard let start = name.start else { return seed }
        let (seed, multiplier) = (seed, multiplier)
        var lanes = InlineArray<4, UInt64> { seed &+ UInt64($0) &* 0x9E37_79B9_7F4A_7C15 }
        var at = 0
        // The remainder of at most 32 bytes is hashed like a short name.
        while name.count &- at > 32 {
            for lane in 0..<4 {
                let word = start.loadUnaligned(fromByteOffset: at &+ 8 &* lane, as: UInt64.self)
                lanes[lane] = WordHash.fold(lanes[lane] ^ word, multiplier)
            }
            at &+= 32
        }
        let rest = ByteView(start: start + at, count: name.count &- at)
        var hash = WordHash.of(rest, seed: seed ^ UInt64(name.count), multiplier: multiplier)
        for lane in 0..<4 { hash = WordHash.fold(hash ^ lanes[lane], multiplier) }
        return hash
    }

    @inline(__always) static func mix(_ value: UInt64) -> UInt64 {
        WordHash.fold(value ^ seed, multiplier)
    }
}

/// Hashes that are the same for every data directory and never change: for checkpoints, and for tables with one cell
/// per key, where collisions cost nothing.
enum StableHash {
    private static var multiplier: UInt64 { 0xA076_1D64_78BD_642F }

    @inline(__always) static func of(_ name: ByteView) -> UInt64 {
        WordHash.of(name, seed: 0, multiplier: multiplier)
    }

    @inline(__always) static func mix(_ value: UInt64) -> UInt64 {
        WordHash.fold(value, multiplier)
    }
}

/// Hashes eight bytes per step, mixed by a 128-bit multiplication.
enum WordHash {
    @inline(__always) static func fold(_ value: UInt64, _ multiplier: UInt64) -> UInt64 {
        let (high, low) = value.multipliedFullWidth(by: multiplier)
        return high ^ low
    }

    @inline(__always) static func of(_ name: ByteView, seed: UInt64, multiplier: UInt64) -> UInt64 {
        // All empty views hash alike: a name that was loaded from a checkpoint has an address, others have none.
        guard let start = name.start, name.count > 0 else { return 0x9E37_79B9_7F4A_7C15 }
        var hash = UInt64(truncatingIfNeeded: name.count) &* 0x9E37_79B9_7F4A_7C15 ^ seed
        var at = 0
        while name.count &- at >= 8 {
            let word = start.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            hash = fold(hash ^ word, multiplier)
            at &+= 8
        }
        let rest = tail(start, name.count)
        return fold(hash ^ rest ^ 0xD6E8_FEB8_6659_FD93, multiplier)
    }

    /// Returns the bytes after the last whole eight, the first one most significant.
    @inline(__always) private static func tail(_ start: UnsafeRawPointer, _ count: Int) -> UInt64 {
        let left = count & 7
        if count >= 8 {
            let last = start.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            return UInt64(bigEndian: last) & ((1 &<< UInt64(8 &* left)) &- 1)
        }
        if left >= 4 {
            // The two loads overlap.
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
}
