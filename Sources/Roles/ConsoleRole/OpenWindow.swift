import Glibc
import HTTPTypes
import SystemIO
import TraceFiles
import TraceModel

/// Closes the open window for queries of a span that reaches into it, as `tracectl finalize` does: that program is
/// started, so that its memory and threads are not the console's. Any thread.
final class OpenWindow: @unchecked Sendable {
    /// What an answer has of the open window.
    enum State: String, Sendable {
        /// The span ends before it.
        case apart
        /// It was closed for this query: everything received before is in the answer.
        case closed
        /// It was not closed, because one was closed only seconds before; what was received since is missing.
        case recent
        /// It could not be closed, or not in time; what was received since the last window is missing.
        case open

        /// Adds the header that says so.
        func add(to headers: inout HTTPFields) {
            if let name = HTTPField.Name("Trace-Open-Window") { headers[name] = rawValue }
        }
    }

    /// The beginning of an attempt to close a window, and how it ended.
    private struct Attempt {
        let began: Int64
        var hasSucceeded: Bool?
    }

    private let program: String
    private let lock = ConditionLock()
    /// Protected by the lock, like what follows.
    private var last: Attempt?
    /// A program that did not end in time.
    private var left: ChildProcess?

    private static let spacing = Int64(Limits.consoleFinalizeSpacingSeconds) * 1_000_000_000
    private static let pollMicroseconds: UInt32 = 20_000

    /// - Parameter program: The path of `tracectl`.
    init(program: String) { self.program = program }

    /// Closes the window if a span that ends at `to` reaches into it. `windows` are those that are published, the newest
    /// first. Blocks until its files are published, or for as long as that may take.
    /// - Throws: `QueryFailure` if the query has to end.
    func close(
        upTo to: EpochNanoseconds?,
        after windows: [CatalogWindow],
        _ context: QueryContext
    ) throws(QueryFailure) -> State {
        if let to, let newest = windows.first {
            // Files are final only some time after their window has ended.
            let ended = newest.window.finalAt - Limits.consolePublishingSeconds
            if to < EpochNanoseconds(ended) * 1_000_000_000 { return .apart }
        }
        return try close(context)
    }

    private func close(_ context: QueryContext) throws(QueryFailure) -> State {
        let arrived = WallClock.monotonic()
        // An attempt that another query has begun meanwhile is as good as an own one.
        while let attempt = lock.withLock({ last }) {
            guard let hasSucceeded = attempt.hasSucceeded else {
                try context.check()
                lock.withLock { lock.wait(until: WallClock.monotonic() + 50_000_000) }
                continue
            }
            if attempt.began >= arrived { return hasSucceeded ? .closed : .open }
            if arrived - attempt.began < Self.spacing { return hasSucceeded ? .recent : .open }
            break
        }
        let isOurs = lock.withLock { () -> Bool in
            guard last?.hasSucceeded != nil || last == nil else { return false }
            if let left, left.poll() == nil { return false }
            left = nil
            last = Attempt(began: WallClock.monotonic())
            return true
        }
        guard isOurs else { return .open }
        let hasSucceeded = run()
        lock.withLock {
            last?.hasSucceeded = hasSucceeded
            lock.broadcast()
        }
        return hasSucceeded ? .closed : .open
    }

    /// Runs the program, and returns whether the window is published.
    private func run() -> Bool {
        let seconds = Limits.consoleFinalizeSeconds
        let arguments = [
            "finalize", "--data", ".", "--timeout", "\(seconds)", "--unless-stopping", "finalize",
        ]
        guard let child = try? ChildProcess(program, arguments, discardsOutput: true) else {
            return false
        }
        let deadline = WallClock.monotonic() + Int64(seconds + 1) * 1_000_000_000
        while WallClock.monotonic() < deadline {
            if let end = child.poll() { return end == .exited(0) }
            usleep(Self.pollMicroseconds)
        }
        lock.withLock { left = child }
        return false
    }
}
