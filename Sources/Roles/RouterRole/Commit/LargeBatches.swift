import GRPCTransport
import Glibc
import IngestLog
import Logging
import SystemIO
import TraceModel

/// Runs the thread that takes large batches one after another: it copies and scans them, and writes them to ahead files
/// (`AheadFile`), so that small batches do not have to wait for that on gRPC's threads or the commit thread. Waiting
/// messages are bounded by the gRPC server's budget of held bytes.
///
/// Guarded by `condition`: `calls` and `isEnding`.
final class LargeBatches: @unchecked Sendable {
    /// A message that waits.
    private final class Call: Sendable {
        let message: ReceivedMessage
        let peerHost: [UInt8]
        let identity: HostIdentity
        let sender: AckTicket.Sender
        let arrival = WallClock.monotonic()

        init(
            _ message: consuming ReceivedMessage,
            _ peerHost: [UInt8],
            _ identity: HostIdentity,
            _ sender: AckTicket.Sender
        ) {
            self.message = message
            self.peerHost = peerHost
            self.identity = identity
            self.sender = sender
        }
    }

    /// An admitted batch in a group of its own.
    private struct Admitted {
        let group: CommitGroup
        let ticket: AckTicket
        let key: CommitGroup.DedupKey?
    }

    private let queue: IngestQueue
    private let context: RouterContext
    private let logger: Logger
    private let condition = ConditionLock()
    private var calls: [Call] = []
    private var isEnding = false
    // Used by the thread only.
    private var admission: BatchAdmission
    private var writer: AheadFileWriter
    private let headRoomBytes: Int

    /// `log` is the directory of the ingest log. `tailBytes` and the allowance for the growth of a log file's head are
    /// smaller than the default in tests.
    init(
        queue: IngestQueue,
        context: RouterContext,
        log: LogDirectory,
        defaultSemantics: Semantics = .neutracer,
        tailBytes: Int = Limits.logAheadTailBytes,
        headRoomBytes: Int = 64 << 10,
        logger: Logger
    ) {
        self.queue = queue
        self.context = context
        self.logger = logger
        self.headRoomBytes = headRoomBytes
        admission = BatchAdmission(defaultSemantics: defaultSemantics)
        writer = AheadFileWriter(directory: log, tailBytes: tailBytes)
    }

    static func isLarge(_ message: borrowing ReceivedMessage) -> Bool {
        message.count > Limits.smallMessageBytesMax
    }

    /// Takes a large message; its sender is answered when its batch is durable, or refused. Any thread; returns at
    /// once. Returns false if the queue is closed, in which case the caller has to hold the call.
    func take(
        _ message: consuming ReceivedMessage,
        peerHost: [UInt8],
        identity: HostIdentity = .any,
        from sender: AckTicket.Sender
    ) -> Bool {
        guard queue.announceLarge() else { return false }
        context.waitingChanged(by: message.count)
        let call = Call(message, peerHost, identity, sender)
        condition.withLock {
            calls.append(call)
            condition.signal()
        }
        return true
    }

    /// Lets the thread end once it has processed all messages.
    func end() {
        condition.withLock {
            isEnding = true
            condition.signal()
        }
    }

    /// Runs the thread's loop.
    func run() {
        do throws(SystemError) { while try takeNext() {} } catch {
            // The state of the disk, and so of the log, is unknown.
            logger.critical(
                "A large batch could not be written; ending so that the next start recovers the log",
                metadata: ["error": "\(error)"]
            )
            exit(1)
        }
    }

    /// Number of messages that wait.
    var waitingCount: Int { condition.withLock { calls.count } }

    /// Queues the message that has waited for longest, or waits for one. Returns false if none will follow.
    /// - Throws: `SystemError` if the disk's state is unknown: the process has to end.
    func takeNext() throws(SystemError) -> Bool {
        guard let call = next() else { return false }
        try join(admit(consume call))
        return true
    }

    private func next() -> Call? {
        condition.withLock {
            while calls.isEmpty, !isEnding { condition.wait(until: .max) }
            return calls.isEmpty ? nil : calls.removeFirst()
        }
    }

    /// Admits a message and releases it, because only the copy is needed while the batch is written.
    private func admit(_ call: consuming Call) -> Admitted {
        let bytes = call.message.count
        let group = CommitGroup(largeBatchBytes: bytes)
        var ownKey: CommitGroup.DedupKey?
        let outcome = admission.admit(
            call.message,
            peerHost: call.peerHost,
            identity: call.identity,
            into: group
        ) { key in
            ownKey = key
            return queue.verdict(on: key)
        }
        if case .refused(let error, _, _) = outcome { context.refusals.count(error.code.rawValue) }
        let ticket = AckTicket(
            sender: call.sender,
            outcome: outcome,
            bytes: bytes,
            arrival: call.arrival
        )
        return Admitted(group: group, ticket: ticket, key: ownKey)
    }

    private func join(_ batch: Admitted) throws(SystemError) {
        if batch.ticket.isAccepted { try writeAhead(batch.group) }
        queue.join(batch.group, batch.ticket, key: batch.key)
        // Only now, because the log must have a stream's batches in their order.
        if case .stream(let stream) = batch.ticket.sender { stream.receiveNext() }
    }

    /// Writes the group's batch to an ahead file if the disk has room. If not, the batch goes through the commit
    /// thread, which waits for space, and refuses calls that were held for the maximum time.
    private func writeAhead(_ group: CommitGroup) throws(SystemError) {
        // Heads grow little from file to file; if one outgrows this, the batch is written again.
        let headBytes = min(2 * context.logHeadBytes, Limits.logFileHeadBytesMax) + headRoomBytes
        let needed = writer.bytes(forRecord: group.byteCount, headBytes: headBytes)
        guard context.obstacle == nil, let free = try? FileSystem.freeBytes(at: writer.path),
            free - needed >= context.freeBytesMin
        else { return }
        do throws(SystemError) {
            unsafe group.isWritten(to: try writer.write(&group.log, headBytes: headBytes))
        } catch {
            guard error.isOutOfSpace else { throw error }
        }
    }
}
