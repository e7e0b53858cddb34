import Glibc
import Synchronization
import SystemIO

/// Looks at the device under a directory, on a thread of its own, for as long as a load lasts.
package final class DiskWatch: Sendable {
    private static let spacing: Int64 = 3_000_000

    private let thread: DedicatedThread
    private let state: State

    private final class State: Sendable {
        let isStopping = Atomic<Bool>(false)
        let silence = Mutex(DiskSilence())
    }

    /// Nil where the kernel keeps no counters for it (overlays, network file systems). `stop` must be called in every
    /// case.
    package init?(directory: String) {
        var info = stat()
        guard stat(directory, &info) == 0 else { return nil }
        let path = "/sys/dev/block/\(Self.number(of: info.st_dev))/stat"
        guard FileSystem.exists(path) else { return nil }
        let state = State()
        self.state = state
        thread = DedicatedThread("disk-watch") { Self.watch(path, state) }
    }

    /// The longest time without an answer of the device, ms. Once only.
    package func stop() -> Double {
        state.isStopping.store(true, ordering: .relaxed)
        thread.join()
        return Double(state.silence.withLock(\.longest)) / 1e6
    }

    /// `major:minor`, which glibc has as macros only.
    private static func number(of device: dev_t) -> String {
        let major = device >> 8 & 0xFFF | device >> 32 & ~0xFFF
        let minor = device & 0xFF | device >> 12 & ~0xFF
        return "\(major):\(minor)"
    }

    private static func watch(_ path: String, _ state: State) {
        guard let file = try? File(path, .read) else { return }
        var next = WallClock.monotonic()
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { buffer in
            while !state.isStopping.load(ordering: .relaxed) {
                guard let count = try? file.read(into: buffer, at: 0) else { return }
                state.silence.withLock { $0.look(at: buffer[..<count], now: WallClock.monotonic()) }
                next += spacing
                Pause.until(next)
            }
        }
    }
}
