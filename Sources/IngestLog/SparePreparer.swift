import Synchronization
import SystemIO
import TraceModel

/// Keeps one zeroed file ready to become the next log file: overwriting blocks that exist makes
/// `fdatasync` many times cheaper than extending a file. Zeroing happens on a thread of its own.
final class SparePreparer: Sendable {
    private enum State: Sendable {
        /// There may be no spare.
        case idle
        /// There is one.
        case ready
        case preparing(DedicatedThread)
    }

    private let directory: LogDirectory
    private let bytes: Int
    private let state = Mutex(State.idle)

    init(directory: LogDirectory, bytes: Int) {
        self.directory = directory
        self.bytes = bytes
    }

    /// Makes the spare on the calling thread where there is none. Blocks for the time of `bytes` zeros.
    func prepareNow() throws(SystemError) {
        if FileSystem.exists(directory.spare) { return }
        let file = try File(directory.unfinishedSpare, .replace)
        let block = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(1 << 20, bytes),
            alignment: 4096
        )
        defer { block.deallocate() }
        block.initializeMemory(as: UInt8.self, repeating: 0)
        var offset = 0
        while offset < bytes {
            try file.writeDirectly(UnsafeRawBufferPointer(block), at: offset)
            offset += block.count
        }
        try file.syncData()
        try FileSystem.rename(directory.unfinishedSpare, to: directory.spare)
    }

    /// Starts making the spare unless there is one or one is under way. Returns at once.
    func prepareInBackground() {
        state.withLock { state in
            guard case .idle = state else { return }
            guard !FileSystem.exists(directory.spare) else {
                state = .ready
                return
            }
            #if DEBUG
            if Simulation.driver != nil {
                // A simulation has one thread.
                try? prepareNow()
                return
            }
            #endif
            state = .preparing(
                DedicatedThread("log-spare") { [self] in
                    // Without a spare the next roll makes its file itself, and reports the error.
                    try? prepareNow()
                }
            )
        }
    }

    /// Turns the spare, or where there is none a fresh file, into the log file `path`.
    func takeSpare(as path: String, bytes wanted: Int) throws(SystemError) -> File {
        join()
        if wanted == bytes, FileSystem.exists(directory.spare) {
            try FileSystem.rename(directory.spare, to: path)
        }
        let file = try File(path, .readWrite)
        if try file.size() < wanted { try file.truncate(to: wanted) }
        try file.syncData()
        try FileSystem.syncDirectory(directory.path)
        return file
    }

    /// Makes an old log file the spare, or removes it where there is one.
    func recycle(_ path: String) throws(SystemError) {
        join()
        if FileSystem.exists(directory.spare) || FileSystem.size(path) != bytes {
            try FileSystem.remove(path)
        } else {
            try FileSystem.rename(path, to: directory.spare)
        }
    }

    func stop() { join() }

    /// Waits for a spare under way; whether there is one is then for the file system to say.
    private func join() {
        let thread = state.withLock { state -> DedicatedThread? in
            defer { state = .idle }
            guard case .preparing(let thread) = state else { return nil }
            return thread
        }
        thread?.join()
    }
}
