import Glibc
import Synchronization
package import SystemIO

/// Measures the disk alone: writes into a preallocated, zeroed file, each followed by `fdatasync`, as the ingest log
/// does.
package struct DiskProbe: Sendable, Codable {
    private static let fileBytes = 64 << 20
    private static let groupsMax = 300
    private static let alignment = 4_096

    package let groupBytes: Int
    package let p50Milliseconds: Double
    package let p99Milliseconds: Double
    /// Throughput of one pass over the file with one `fdatasync` at its end.
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
        unsafe buffer.mutableBytes.initializeMemory(as: UInt8.self, repeating: byte)
        for offset in stride(from: 0, to: fileBytes, by: buffer.count) {
            try unsafe file.write(buffer.bytes, at: offset)
        }
    }

    private static func writeGroups(
        _ file: borrowing File,
        size: Int
    ) throws(SystemError) -> LatencyRecorder {
        var group = RawBuffer(capacity: size, alignment: alignment)
        group.commit(size)
        unsafe group.mutableBytes.initializeMemory(as: UInt8.self, repeating: 0xA5)
        var latency = LatencyRecorder()
        var offset = 0
        for _ in 0..<groupsMax {
            if offset + size > fileBytes { offset = 0 }
            let began = WallClock.monotonic()
            try unsafe file.write(group.bytes, at: offset)
            try file.syncData()
            latency.record(WallClock.monotonic() - began)
            offset += size
        }
        return latency
    }
}

/// Measures for how long a device completes nothing although requests are pending. Nothing durable can be faster than
/// that: what is behind the device (a host shared with others, a cloud's limits) makes all requests wait.
package struct DiskSilence: Sendable {
    /// The longest such time, in ns.
    package private(set) var longest: Int64 = 0

    private var finished: UInt64?
    private var wasIdle = true
    private var since: Int64 = 0

    package init() {}

    /// Updates the measurement with `counters` as of `now`, in ns. `counters` is the text of
    /// `/sys/dev/block/…/stat` (the kernel's `Documentation/block/stat.rst`).
    package mutating func update(with counters: some Sequence<UInt8>, now: Int64) {
        let fields = counters.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: true)
            .compactMap {
                UInt64(String(decoding: $0, as: UTF8.self).filter(\.isNumber))
            }
        guard fields.count > 8 else { return }
        // Reads and writes; only newer kernels count discards (11) and flushes (15).
        let done = [0, 4, 11, 15].reduce(UInt64(0)) { $1 < fields.count ? $0 &+ fields[$1] : $0 }
        let isIdle = fields[8] == 0
        if finished != done || wasIdle || isIdle { since = now }
        longest = max(longest, now - since)
        finished = done
        wasIdle = isIdle
    }
}

/// Watches the device under a directory on a thread of its own during a load.
package final class DiskWatch: Sendable {
    private static let spacing: Int64 = 3_000_000

    private let thread: DedicatedThread
    private let state: State

    /// State shared with the watching thread.
    private final class State: Sendable {
        let isStopping = Atomic<Bool>(false)
        let silence = Mutex(DiskSilence())
    }

    /// Starts watching; nil where the kernel has no counters for the device (overlays, network file systems). `stop`
    /// must always be called.
    package init?(directory: String) {
        var info = stat()
        guard unsafe stat(directory, &info) == 0 else { return nil }
        let path = "/sys/dev/block/\(Self.number(of: info.st_dev))/stat"
        guard FileSystem.exists(path) else { return nil }
        let state = State()
        self.state = state
        thread = DedicatedThread("disk-watch") { Self.watch(path, state) }
    }

    /// Ends watching and returns the longest time without a completed request, in ms. Call it once.
    package func stop() -> Double {
        state.isStopping.store(true, ordering: .relaxed)
        thread.join()
        return Double(state.silence.withLock(\.longest)) / 1e6
    }

    /// Returns `major:minor`, for which glibc has only macros.
    private static func number(of device: dev_t) -> String {
        let major = device >> 8 & 0xFFF | device >> 32 & ~0xFFF
        let minor = device & 0xFF | device >> 12 & ~0xFF
        return "\(major):\(minor)"
    }

    private static func watch(_ path: String, _ state: State) {
        guard let file = try? File(path, .read) else { return }
        var next = WallClock.monotonic()
        unsafe withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { buffer in
            while !state.isStopping.load(ordering: .relaxed) {
                guard let count = try? unsafe file.read(into: buffer, at: 0) else { return }
                state.silence.withLock {
                    unsafe $0.update(with: buffer[..<count], now: WallClock.monotonic())
                }
                next += spacing
                Pause.until(next)
            }
        }
    }
}
