import IngestLog
import Logging
import SystemIO
import TraceModel

/// Repeats a worker's writes while the disk is full. Blocks the worker's thread.
final class DiskRetry {
    private let worker: WorkerName
    private let reserve: CheckpointReserve
    private let logger: Logger
    /// Waits a moment for space.
    /// - Throws: `StoppedWhileWaiting` if the process is to end.
    var wait: () throws -> Void = {}
    /// Number of times that a full disk made the worker wait.
    private(set) var waits = 0

    init(_ worker: WorkerName, logger: Logger) {
        self.worker = worker
        self.logger = logger
        reserve = CheckpointReserve(for: worker)
    }

    /// Allocates the reserve for the next checkpoint, if the disk has room.
    func holdReserve() { reserve.hold() }

    /// Frees the reserve; returns false if none was held.
    @discardableResult func freeReserve() -> Bool { reserve.giveUp() }

    /// Repeats `body` while the disk is full. It first frees kept checkpoints, then the reserve if `usingReserve`, and
    /// retries at once; if there is nothing to free it waits. `failure` is an error of an attempt before this call. Any
    /// other error ends the process, and the next one starts from the checkpoint.
    /// - Throws: The error of `wait`; any error of `body` but that of a full disk.
    func run(
        after failure: SystemError? = nil,
        usingReserve: Bool = false,
        _ body: () throws -> Void
    ) throws {
        var failure = failure
        var hasWaited = false
        while true {
            if let failure {
                guard failure.isOutOfSpace else { throw failure }
                if !makeRoom(usingReserve) {
                    if !hasWaited { noteWait(failure) }
                    hasWaited = true
                    try wait()
                }
            }
            do { return try body() } catch let error as SystemError { failure = error }
        }
    }

    private func makeRoom(_ usingReserve: Bool) -> Bool {
        (try? KeptCheckpoints.remove(of: worker)) == true || (usingReserve && reserve.giveUp())
    }

    private func noteWait(_ failure: SystemError) {
        waits += 1
        logger.warning("The disk is full; waiting", metadata: ["error": "\(failure)"])
    }
}

/// SIGTERM or SIGINT arrived while the worker waited for disk space, possibly within a batch.
struct StoppedWhileWaiting: Error {}
