package import SystemIO
package import TraceModel

// The log's end
// =============
//
// `checkpoints/router.end` contains the log's end as of the router's last write, so that a log that was cut, emptied or
// removed since is not mistaken for one that ends earlier. Written at each commit, after the sync and before the
// answers, without a sync of its own: it is exact if processes are killed, and may be outdated after a power failure.
//
// Two slots of 8,192 bytes are written alternately; the one with the greater end is valid. Each, little-endian: magic
// "TREN" u32, CRC-32C of all that follows u32, bytes that follow the next field u32, salt of the log u32, end u64,
// counts (accepted 6 × u64, deduplicated, rejected, dead-lettered u64), the machine's boot id as counted text, and the
// router's state (`RouterState.encodeEnd`) as counted bytes. It does not depend on other files, and may be missing.

/// The end of a log, as its writer recorded it in a separate file.
package struct LogEnd: Sendable {
    package let end: LSN
    package let counts: LogCounts
    /// The router's state of windows and slots at that point.
    package let state: [UInt8]
    /// Whether it is exact: the machine has not rebooted since it was written.
    package let isOfThisBoot: Bool

    static let magic: UInt32 = 0x4E45_5254  // "TREN"
    static let placeBytes = 8_192
    static let headBytes = 12

    /// Returns the newest valid end that belongs to this log; nil if there is none. Blocks.
    package static func read(salt: UInt32) -> LogEnd? {
        guard let bytes = try? FileSystem.contents(ClusterPaths.logEnd) else { return nil }
        let boot = currentBoot()
        return unsafe bytes.withUnsafeBytes { whole in
            stride(from: 0, to: whole.count, by: placeBytes).compactMap { start -> LogEnd? in
                let place = unsafe UnsafeRawBufferPointer(
                    rebasing: whole[start...].prefix(placeBytes)
                )
                return try? unsafe LogEnd(decoding: place, salt: salt, boot: boot)
            }.max { $0.end < $1.end }
        }
    }

    private init(
        decoding place: UnsafeRawBufferPointer,
        salt: UInt32,
        boot: [UInt8]
    ) throws(TraceError) {
        var reader = unsafe StateReader(place)
        let damaged = TraceError(.corrupt, "\(ClusterPaths.logEnd) is damaged")
        guard try reader.integer(UInt32.self) == Self.magic else { throw damaged }
        let checksum = try reader.integer(UInt32.self)
        let count = Int(try reader.integer(UInt32.self))
        guard count <= reader.remaining,
            unsafe Checksum.crc32c(
                UnsafeRawBufferPointer(rebasing: place[8..<Self.headBytes + count])
            )
                == checksum,
            try reader.integer(UInt32.self) == salt
        else { throw damaged }
        end = try reader.integer(UInt64.self)
        var counts = LogCounts()
        for index in counts.accepted.indices {
            counts.accepted[index] = try reader.integer(UInt64.self)
        }
        counts.deduplicated = try reader.integer(UInt64.self)
        counts.rejected = try reader.integer(UInt64.self)
        counts.deadLettered = try reader.integer(UInt64.self)
        self.counts = counts
        let written = try unsafe reader.counted()
        isOfThisBoot = unsafe !boot.isEmpty && written.elementsEqual(boot)
        state = unsafe Array(try reader.counted())
    }

    /// Returns the machine's boot id; empty if the kernel does not provide it.
    fileprivate static func currentBoot() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 36)
        guard let file = try? File("/proc/sys/kernel/random/boot_id", .read),
            let count = try? unsafe bytes.withUnsafeMutableBytes({
                try unsafe file.read(into: $0, at: 0)
            }),
            count == bytes.count
        else { return [] }
        return bytes
    }
}

/// Writes the log's end. Belongs to the thread that writes the log.
package struct LogEndFile: ~Copyable {
    private let file: File
    private let salt: UInt32
    private let boot: [UInt8]
    private var isSecond = false
    private var place = RawBuffer(capacity: LogEnd.placeBytes)

    /// - Throws: `SystemError`, also if the disk has no room for its few blocks.
    package init(salt: UInt32) throws(SystemError) {
        self.salt = salt
        boot = LogEnd.currentBoot()
        let opened = try File(ClusterPaths.logEnd, .readWrite)
        // Preallocated, because the repeated writes must not fail for lack of space.
        try opened.preallocate(2 * LogEnd.placeBytes)
        file = opened
    }

    /// Records that the log reaches to `end`, with the totals there. Costs about two system calls.
    /// - Throws: `SystemError`; the file then keeps its previous content.
    package mutating func note(
        _ end: LSN,
        _ counts: LogCounts,
        state: UnsafeRawBufferPointer
    ) throws(SystemError) {
        place.removeAll()
        place.append(integer: LogEnd.magic)
        place.append(integer: UInt32(0))
        let bytes = 4 + 8 + 8 * (Resource.count + 3) + 4 + boot.count + 4 + state.count
        precondition(LogEnd.headBytes + bytes <= LogEnd.placeBytes, "the router's state is small")
        place.append(integer: UInt32(bytes))
        place.append(integer: salt)
        place.append(integer: end)
        for index in counts.accepted.indices { place.append(integer: counts.accepted[index]) }
        place.append(integer: counts.deduplicated)
        place.append(integer: counts.rejected)
        place.append(integer: counts.deadLettered)
        place.append(integer: UInt32(boot.count))
        for byte in boot { place.append(byte: byte) }
        place.append(integer: UInt32(state.count))
        unsafe place.append(state)
        let checksum = unsafe Checksum.crc32c(UnsafeRawBufferPointer(rebasing: place.bytes[8...]))
        unsafe place.mutableBytes.storeBytes(
            of: checksum.littleEndian,
            toByteOffset: 4,
            as: UInt32.self
        )
        try unsafe file.write(place.bytes, at: isSecond ? LogEnd.placeBytes : 0)
        isSecond.toggle()
    }
}
