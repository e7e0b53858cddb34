import SystemIO
import TraceModel

/// Gives back the disk space of log files that are not written any more, on a thread of its own: for a file of 100 MB
/// the file system takes up to 100 ms, for which commits would wait. Files are processed in the order in which they
/// come, and on the disk too, as a newer file that is missing would be a gap in the log.
///
/// All state below `condition` is guarded by it.
final class OldLogFiles: @unchecked Sendable {
    /// What is to be done with a file, given by its path.
    private enum Job {
        /// Cut the file to what is used of it.
        case cut(String, bytes: Int)
        /// Make the file the spare, or remove it.
        case remove(String)
    }

    private let directory: LogDirectory
    private let preparer: SparePreparer
    private let condition = ConditionLock()
    private var jobs: [Job] = []
    private var thread: DedicatedThread?
    private var isRunning = false
    private var failure: SystemError?

    init(directory: LogDirectory, preparer: SparePreparer) {
        self.directory = directory
        self.preparer = preparer
    }

    /// Cuts a file that has its successor already. If that fails, only space is lost. Returns at once.
    func cut(_ path: String, to bytes: Int) { begin(.cut(path, bytes: bytes)) }

    /// Removes or recycles a file. Returns at once.
    func remove(_ path: String) { begin(.remove(path)) }

    /// Returns the error of a removal since the last call. That file and those after it are tried again with the next
    /// one.
    func takeFailure() -> SystemError? {
        condition.withLock {
            defer { failure = nil }
            return failure
        }
    }

    /// Waits until nothing is left to do, or a removal has failed.
    func finish() {
        condition.withLock { () -> DedicatedThread? in
            defer { thread = nil }
            return thread
        }?.join()
    }

    private func begin(_ job: Job) {
        let isAlone = condition.withLock {
            jobs.append(job)
            defer { isRunning = true }
            return !isRunning
        }
        guard isAlone else { return }
        #if DEBUG
        // A simulation has one thread.
        if Simulation.driver != nil { return run() }
        #endif
        finish()
        let started = DedicatedThread("log-old") { [self] in run() }
        condition.withLock { thread = started }
    }

    private func run() {
        while let job = next() {
            do throws(SystemError) {
                try carryOut(job)
                condition.withLock { _ = jobs.removeFirst() }
            } catch {
                return condition.withLock {
                    failure = error
                    isRunning = false
                }
            }
        }
    }

    private func next() -> Job? {
        condition.withLock {
            isRunning = !jobs.isEmpty
            return jobs.first
        }
    }

    private func carryOut(_ job: Job) throws(SystemError) {
        switch job {
        case .cut(let path, let bytes):
            if let file = try? File(path, .readWrite) { try? file.truncate(to: bytes) }
        case .remove(let path):
            if try !preparer.recycle(path) { try FileSystem.remove(path) }
            try FileSystem.syncDirectory(directory.path)
        }
    }
}
