import SystemIO
import TraceModel

/// Keeps one zeroed file ready to become the next log file: overwriting blocks that exist makes `fdatasync` many times
/// cheaper than extending a file. A thread of its own writes the zeros, twice as fast as the log grows: all at once they
/// would stand before the log's syncs for hundreds of milliseconds.
///
/// Guarded by `condition`: everything below it.
final class SparePreparer: @unchecked Sendable {
    private enum State {
        /// There may be no spare.
        case idle
        /// There is one.
        case ready
        case preparing(DedicatedThread)
    }

    private let directory: LogDirectory
    private let bytes: Int
    private let condition = ConditionLock()
    private var state = State.idle
    /// The unfinished spare may be so long by now.
    private var due = 0
    /// Its thread waits for so much to be due.
    private var awaited = 0
    /// It is not wanted any more.
    private var isCancelled = false

    init(directory: LogDirectory, bytes: Int) {
        self.directory = directory
        self.bytes = bytes
    }

    /// Makes the spare on the calling thread where there is none. Blocks for the time of `bytes` zeros.
    func prepareNow() throws(SystemError) { try prepare { _ in .max } }

    /// The log has come to `filled` bytes of its file's `capacity`: from a quarter on a spare is made where there is none.
    /// Not before, as a trimmed file may become it; it is finished when three quarters are full. Returns at once.
    func follow(_ filled: Int, of capacity: Int) {
        let behindQuarter = filled - capacity / 4
        guard behindQuarter > 0 else { return }
        // A file of which less is left to be filled needs its successor as soon.
        let share = Double(bytes) / Double(capacity)
        condition.withLock {
            due = Int(2 * Double(behindQuarter) * share)
            switch state {
            case .ready: break
            case .preparing: if due >= awaited { condition.signal() }
            case .idle: begin()
            }
        }
    }

    /// Turns the spare, or where there is none a fresh file, into the log file `path`.
    func takeSpare(as path: String, bytes wanted: Int) throws(SystemError) -> File {
        join { due = .max }
        if wanted == bytes, FileSystem.exists(directory.spare) { try FileSystem.rename(directory.spare, to: path) }
        if !FileSystem.exists(path) {
            // Under its name only once it is as long as it has to be: a shorter one was cut.
            let fresh = try File(directory.unfinishedSpare, .replace)
            try fresh.truncate(to: wanted)
            try fresh.syncData()
            try FileSystem.rename(directory.unfinishedSpare, to: path)
        }
        let file = try File(path, .readWrite)
        if try file.size() < wanted { try file.truncate(to: wanted) }
        try file.syncData()
        try FileSystem.syncDirectory(directory.path)
        return file
    }

    /// Makes an old log file the spare, instead of one that is under way, or removes it where there is one.
    func recycle(_ path: String) throws(SystemError) {
        join { isCancelled = true }
        if FileSystem.exists(directory.spare) || FileSystem.size(path) != bytes {
            try FileSystem.remove(path)
        } else {
            try FileSystem.rename(path, to: directory.spare)
        }
    }

    func stop() { join { isCancelled = true } }

    /// Under the lock.
    private func begin() {
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
        isCancelled = false
        state = .preparing(
            DedicatedThread("log-spare") { [self] in
                // Without a spare the next roll makes its file itself, and reports the error.
                try? prepare { length in waitUntilDue(behind: length) }
            })
    }

    /// Asks `room` how much may be written behind so many bytes; nil ends it.
    private func prepare(_ room: (Int) -> Int?) throws(SystemError) {
        if FileSystem.exists(directory.spare) { return }
        let file = try File(directory.unfinishedSpare, .replace)
        let block = UnsafeMutableRawBufferPointer.allocate(
            byteCount: 2 * File.directBytesUsual, alignment: File.blockBytes)
        defer { block.deallocate() }
        block.initializeMemory(as: UInt8.self, repeating: 0)
        var offset = 0
        while offset < bytes {
            guard let room = room(offset) else { return try FileSystem.remove(directory.unfinishedSpare) }
            let count = min(room, block.count, bytes - offset)
            let zeros = UnsafeRawBufferPointer(rebasing: block[..<count])
            try file.writeDirectly(zeros, at: offset)
            offset += count
        }
        try file.syncData()
        try FileSystem.rename(directory.unfinishedSpare, to: directory.spare)
    }

    /// How much is to be written behind `length`: as little as is worth it, or more where the log is ahead. Nil where the
    /// spare is not wanted any more.
    private func waitUntilDue(behind length: Int) -> Int? {
        let piece = File.directBytesUsual
        return condition.withLock {
            awaited = length + min(piece, bytes - length)
            while due < awaited, !isCancelled { condition.wait(until: .max) }
            return isCancelled ? nil : max(piece, (due - length) / piece * piece)
        }
    }

    /// Waits for a spare under way once `hasten` has made it end; whether there is one is then for the file system to say.
    private func join(_ hasten: () -> Void) {
        let thread = condition.withLock { () -> DedicatedThread? in
            defer { state = .idle }
            guard case .preparing(let thread) = state else { return nil }
            hasten()
            condition.signal()
            return thread
        }
        thread?.join()
    }
}
