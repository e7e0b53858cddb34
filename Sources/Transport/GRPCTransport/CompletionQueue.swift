internal import CGRPC
internal import Synchronization
internal import SystemIO

/// The tag of one started operation of the C core. Retained at its start, released by exactly one completion event,
/// which also comes with `success` false and while a queue drains.
final class CompletionTag {
    /// Kind of an operation, which its owner uses to dispatch the completion.
    enum Operation: Sendable {
        /// A new call has arrived (server).
        case request
        /// A message has arrived, or none will.
        case receive
        case send
        /// The whole answer of a unary call was sent (server) or received (client).
        case answer
        case metadata
        case status
        /// The call is over (server).
        case close
        case halfClose
        case shutdown
    }

    let owner: any CompletionOwner
    let operation: Operation

    init(_ owner: any CompletionOwner, _ operation: Operation) {
        self.owner = owner
        self.operation = operation
    }
}

/// Receives the completion of an operation, on a poller thread.
protocol CompletionOwner: AnyObject, Sendable {
    func completed(_ operation: CompletionTag.Operation, success: Bool)
}

/// A completion queue of the C core with its poller threads. It counts outstanding tags: the core aborts if an
/// operation starts on a queue that is shut down, so the shutdown waits until the queue is closed for new operations
/// and the last tag has completed.
@safe final class CompletionQueue: @unchecked Sendable {
    /// The bit of `gauge` that closes the queue for new operations; the lower bits count tags.
    private static let closedBit = 1 << 62
    /// Maximum time a poller waits, and so the resolution of deadlines.
    private static let tickMilliseconds: Int64 = 250

    let pointer: OpaquePointer
    private let gauge = Atomic<Int>(0)
    private let threads = Mutex<[DedicatedThread]>([])

    /// Starts the pollers. The first one calls `tick` about every quarter of a second with the monotonic time.
    init(name: String, pollers: Int, tick: @escaping @Sendable (Int64) -> Void) {
        precondition(pollers >= 1)
        GRPCLibrary.initialize()
        guard let queue = unsafe grpc_completion_queue_create_for_next(nil) else {
            preconditionFailure("grpc_completion_queue_create_for_next")
        }
        unsafe pointer = queue
        for index in 0..<pollers {
            let thread = DedicatedThread("\(name)-\(index)") { [self] in
                poll(tick: index == 0 ? tick : nil)
            }
            threads.withLock { $0.append(thread) }
        }
    }

    deinit { unsafe grpc_completion_queue_destroy(pointer) }

    /// Number of tags whose completion has not arrived yet.
    var outstandingTags: Int { gauge.load(ordering: .relaxed) & ~Self.closedBit }

    /// Starts an operation with a tag. Returns false if the queue is closed or the core refuses; then no completion
    /// follows.
    func start(
        _ owner: any CompletionOwner,
        _ operation: CompletionTag.Operation,
        _ body: (UnsafeMutableRawPointer) -> grpc_call_error
    ) -> Bool {
        guard begin() else { return false }
        let tag = unsafe Unmanaged.passRetained(CompletionTag(owner, operation))
        if unsafe body(tag.toOpaque()) == GRPC_CALL_OK { return true }
        unsafe tag.release()
        end()
        return false
    }

    /// Closes the queue, waits for outstanding operations and joins the pollers. Blocks; once only, not on a poller
    /// thread.
    func close() {
        let previous = gauge.bitwiseOr(Self.closedBit, ordering: .acquiringAndReleasing).oldValue
        precondition(previous & Self.closedBit == 0, "closed twice")
        if previous == 0 { unsafe grpc_completion_queue_shutdown(pointer) }
        for thread in threads.withLock({ $0 }) { thread.join() }
        precondition(outstandingTags == 0)
    }

    /// Counts an operation whose completion does not pass through the queue. Returns false if the queue is closed.
    func begin() -> Bool {
        var current = gauge.load(ordering: .relaxed)
        while current & Self.closedBit == 0 {
            let (exchanged, original) = gauge.weakCompareExchange(
                expected: current,
                desired: current + 1,
                ordering: .acquiringAndReleasing
            )
            if exchanged { return true }
            current = original
        }
        return false
    }

    /// Ends an operation counted by `begin`. Any thread.
    func end() {
        let left = gauge.subtract(1, ordering: .acquiringAndReleasing).newValue
        if left == Self.closedBit { unsafe grpc_completion_queue_shutdown(pointer) }
    }

    private func poll(tick: (@Sendable (Int64) -> Void)?) {
        var nextTick: Int64 = 0
        while true {
            let event = unsafe trace_grpc_next(pointer, Self.tickMilliseconds)
            if unsafe event.type == GRPC_QUEUE_SHUTDOWN { return }
            if unsafe event.type == GRPC_OP_COMPLETE, let raw = unsafe event.tag {
                let tag = unsafe Unmanaged<CompletionTag>.fromOpaque(raw).takeRetainedValue()
                unsafe tag.owner.completed(tag.operation, success: event.success != 0)
                end()
            }
            guard let tick else { continue }
            let now = WallClock.monotonic()
            if now >= nextTick {
                nextTick = now + Self.tickMilliseconds * 1_000_000
                tick(now)
            }
        }
    }
}
