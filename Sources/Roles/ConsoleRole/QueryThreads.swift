import HTTPServing
import SystemIO
import TraceFiles
import TraceModel

/// Why a query ended without an answer.
enum QueryFailure: Error, Equatable {
    /// All threads were in use for as long as a query may wait.
    case busy
    /// The query took longer than it may.
    case late
    /// The client closed the connection, or the console ends.
    case cancelled
}

/// The limits of one query, which it checks while it runs.
struct QueryContext: Sendable {
    let peer: HTTPPeer
    /// Monotonic nanoseconds.
    let deadline: Int64

    init(peer: HTTPPeer, seconds: Double = Limits.consoleQuerySeconds) {
        self.peer = peer
        deadline = WallClock.monotonic() + Int64(seconds * 1e9)
    }

    /// Returns what the tables of the query may take.
    func budget() -> ReadingBudget { ReadingBudget(bytes: Limits.consoleQueryBytesMax) }

    /// Throws if the query has to end.
    func check() throws(QueryFailure) {
        if peer.isGone { throw .cancelled }
        if WallClock.monotonic() >= deadline { throw .late }
    }
}

/// Runs what blocks on threads of its own: as many calls at once as there are threads, and few that wait for them.
final class QueryThreads: @unchecked Sendable {
    /// A call that no thread has taken yet.
    private struct Waiting {
        let id: UInt64
        let run: @Sendable () -> Void
        let refuse: @Sendable (QueryFailure) -> Void
    }

    private let waitingMax: Int
    private let waitSeconds: Double
    private let lock = ConditionLock()
    /// Protected by the lock, like what follows.
    private var waiting: [Waiting] = []
    private var last: UInt64 = 0
    private var idle = 0
    private var isStopping = false
    private var threads: [DedicatedThread] = []

    /// Starts the threads; they hold this object until `stop`.
    init(_ name: String, count: Int, waitingMax: Int, waitSeconds: Double) {
        self.waitingMax = waitingMax
        self.waitSeconds = waitSeconds
        idle = count
        threads = (0..<count).map { _ in DedicatedThread(name) { self.work() } }
    }

    /// Ends the threads after their current calls. Blocks; once only.
    func stop() {
        let refused = lock.withLock {
            isStopping = true
            lock.broadcast()
            defer { waiting = [] }
            return waiting
        }
        for call in refused { call.refuse(.cancelled) }
        for thread in threads { thread.join() }
    }

    /// Runs a call on one of the threads and returns its result. Suspends, never blocks.
    /// - Throws: `QueryFailure.busy` if no thread becomes free in time; what the call throws.
    func run<Value: Sendable>(
        _ call: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            enqueue {
                continuation.resume(with: Result { try call() })
            } refuse: {
                continuation.resume(throwing: $0)
            }
        }
    }

    private func enqueue(
        run: @escaping @Sendable () -> Void,
        refuse: @escaping @Sendable (QueryFailure) -> Void
    ) {
        let (id, failure) = lock.withLock { () -> (UInt64?, QueryFailure?) in
            if isStopping { return (nil, .cancelled) }
            if waiting.count >= idle + waitingMax { return (nil, .busy) }
            last += 1
            waiting.append(Waiting(id: last, run: run, refuse: refuse))
            lock.signal()
            return (waiting.count > idle ? last : nil, nil)
        }
        if let failure { return refuse(failure) }
        guard let id else { return }
        let limit = Duration.seconds(waitSeconds)
        Task {
            try? await Task.sleep(for: limit)
            self.expire(id)
        }
    }

    /// Refuses a call that still waits.
    private func expire(_ id: UInt64) {
        let call = lock.withLock { () -> Waiting? in
            guard let place = waiting.firstIndex(where: { $0.id == id }) else { return nil }
            return waiting.remove(at: place)
        }
        call?.refuse(.busy)
    }

    private func work() {
        while let call = next() {
            call.run()
            lock.withLock { idle += 1 }
        }
    }

    private func next() -> Waiting? {
        lock.withLock {
            while waiting.isEmpty {
                if isStopping { return nil }
                lock.wait(until: WallClock.monotonic() + 1_000_000_000)
            }
            idle -= 1
            return waiting.removeFirst()
        }
    }
}
