import SystemIO
import TraceModel

/// Keeps one zeroed file ready to become the next log file. Overwriting allocated blocks makes `fdatasync` many times
/// cheaper than extending a file. A separate thread writes the zeros twice as fast as the log grows: written at once
/// they would delay the log's syncs by hundreds of milliseconds.
///
/// All state below `condition` is guarded by it.
final class SparePreparer: @unchecked Sendable {
    /// Whether there is a spare, or a thread prepares one.
    private enum State {
        /// There may be no spare.
        case idle
        /// There is a spare.
        case ready
        case preparing(DedicatedThread)
    }

    private let directory: LogDirectory
    private let bytes: Int
    /// Held by what ends the thread and moves the spare.
    private let turns = ConditionLock()
    private let condition = ConditionLock()
    private var state = State.idle
    /// Size that the unfinished spare may have by now.
    private var due = 0
    /// The thread waits until this size is due.
    private var awaited = 0
    /// The spare is not needed any more.
    private var isCancelled = false

    init(directory: LogDirectory, bytes: Int) {
        self.directory = directory
        self.bytes = bytes
    }

    /// Creates the spare on the calling thread if there is none. Blocks while it writes `bytes` zeros.
    func prepareNow() throws(SystemError) { try prepare { _ in .max } }

    /// Reports that `filled` bytes of the current log file's `capacity` are used. From a quarter on, a missing spare is
    /// prepared; not before, because a trimmed file may become the spare. It is complete when three quarters are used.
    /// Returns at once.
    func follow(_ filled: Int, of capacity: Int) {
        let behindQuarter = filled - capacity / 4
        guard behindQuarter > 0 else { return }
        // A file with less space left needs its successor just as soon.
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

    /// Renames the spare, or a new file if there is none, to the log file `path`.
    func takeSpare(as path: String, bytes wanted: Int) throws(SystemError) -> File {
        turns.lock()
        defer { turns.unlock() }
        join { due = .max }
        if wanted == bytes, FileSystem.exists(directory.spare) {
            try FileSystem.rename(directory.spare, to: path)
        }
        if !FileSystem.exists(path) {
            // Renamed only once it has its full size: a shorter file under this name counts as cut.
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

    /// Makes an old log file the spare, replacing an unfinished one. Returns false, and does nothing, if there is a
    /// spare, or the file has another size. May be called on another thread than `takeSpare`.
    func recycle(_ path: String) throws(SystemError) -> Bool {
        guard FileSystem.size(path) == bytes else { return false }
        return try turns.withLock { () throws(SystemError) in
            join { isCancelled = true }
            guard !FileSystem.exists(directory.spare) else { return false }
            try FileSystem.rename(path, to: directory.spare)
            return true
        }
    }

    func stop() { join { isCancelled = true } }

    /// Requires the lock.
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
                // Without a spare the next roll creates its file itself, and reports the error.
                try? prepare { length in waitUntilDue(behind: length) }
            }
        )
    }

    /// Writes zeros. `room` returns how many may follow a given size; nil ends it.
    private func prepare(_ room: (Int) -> Int?) throws(SystemError) {
        if FileSystem.exists(directory.spare) { return }
        let file = try File(directory.unfinishedSpare, .replace)
        let block = UnsafeMutableRawBufferPointer.allocate(
            byteCount: 2 * File.directBytesUsual,
            alignment: File.blockBytes
        )
        defer { unsafe block.deallocate() }
        unsafe block.initializeMemory(as: UInt8.self, repeating: 0)
        var offset = 0
        while offset < bytes {
            guard let room = room(offset) else {
                return try FileSystem.remove(directory.unfinishedSpare)
            }
            let count = min(room, block.count, bytes - offset)
            let zeros = unsafe UnsafeRawBufferPointer(rebasing: block[..<count])
            try unsafe file.writeDirectly(zeros, at: offset)
            offset += count
        }
        try file.syncData()
        try FileSystem.rename(directory.unfinishedSpare, to: directory.spare)
    }

    /// Waits until zeros are due after `length` and returns how many: the smallest worthwhile size, or more if the log
    /// is ahead. Nil if the spare is not needed any more.
    private func waitUntilDue(behind length: Int) -> Int? {
        let piece = File.directBytesUsual
        return condition.withLock {
            awaited = length + min(piece, bytes - length)
            while due < awaited, !isCancelled { condition.wait(until: .max) }
            return isCancelled ? nil : max(piece, (due - length) / piece * piece)
        }
    }

    /// Calls `hasten` and waits for the thread to end. Afterwards only the file system tells whether there is a spare.
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
