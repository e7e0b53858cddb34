package import SystemIO

/// What the disk itself can do: writes into a preallocated, zeroed file, each followed by `fdatasync`,
/// as the ingest log does.
package struct DiskProbe: Sendable, Codable {
    private static let fileBytes = 64 << 20
    private static let groupsMax = 300
    private static let alignment = 4_096

    package let groupBytes: Int
    package let p50Milliseconds: Double
    package let p99Milliseconds: Double
    /// One pass over the file with one `fdatasync` at its end.
    package let megabytesPerSecond: Double

    /// Measures in a temporary file of 64 MiB in `directory`. Blocks for some seconds.
    package init(directory: String, groupBytes: Int) throws(SystemError) {
        let path = "\(directory)/trace-bench.probe"
        let file = try File(path, .replace)
        defer { try? FileSystem.remove(path) }
        let pages = max(1, min(groupBytes, Self.fileBytes / 8) / Self.alignment)
        let size = pages * Self.alignment
        var buffer = RawBuffer(capacity: 1 << 20, alignment: Self.alignment)
        buffer.commit(1 << 20)
        try Self.fill(file, &buffer, with: 0)
        try file.syncData()
        let began = WallClock.monotonic()
        try Self.fill(file, &buffer, with: 0x5A)
        try file.syncData()
        let seconds = Double(WallClock.monotonic() - began) / 1e9
        let latency = try Self.writeGroups(file, size: size)
        self.groupBytes = size
        p50Milliseconds = Double(latency.quantile(0.5)) / 1e6
        p99Milliseconds = Double(latency.quantile(0.99)) / 1e6
        megabytesPerSecond = Double(Self.fileBytes) / 1e6 / seconds
    }

    private static func fill(
        _ file: borrowing File,
        _ buffer: inout RawBuffer,
        with byte: UInt8
    ) throws(SystemError) {
        buffer.mutableBytes.initializeMemory(as: UInt8.self, repeating: byte)
        for offset in stride(from: 0, to: fileBytes, by: buffer.count) {
            try file.write(buffer.bytes, at: offset)
        }
    }

    private static func writeGroups(
        _ file: borrowing File,
        size: Int
    ) throws(SystemError) -> LatencyHistogram {
        var group = RawBuffer(capacity: size, alignment: alignment)
        group.commit(size)
        group.mutableBytes.initializeMemory(as: UInt8.self, repeating: 0xA5)
        var latency = LatencyHistogram()
        var offset = 0
        for _ in 0..<groupsMax {
            if offset + size > fileBytes { offset = 0 }
            let began = WallClock.monotonic()
            try file.write(group.bytes, at: offset)
            try file.syncData()
            latency.record(WallClock.monotonic() - began)
            offset += size
        }
        return latency
    }
}
