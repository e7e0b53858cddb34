import GRPCTransport
import Glibc
import IngestLog
import Logging
import SystemIO
import TraceModel

/// The thread that takes large batches, one after another: it copies and scans them, and writes them ahead
/// (`AheadFile`), so that neither gRPC's threads nor the commit thread are kept from small ones for the time that takes.
/// What waits here is bounded by the gRPC server's budget of held bytes.
///
/// Guarded by `condition`: `calls` and `isEnding`.
final class LargeBatches: @unchecked Sendable {
    /// A message that waits.
    private final class Call: Sendable {
        let message: ReceivedMessage
        let peerHost: [UInt8]
        let sender: AckTicket.Sender
        let arrival = WallClock.monotonic()

        init(_ message: consuming ReceivedMessage, _ peerHost: [UInt8], _ sender: AckTicket.Sender)
        {
            self.message = message
            self.peerHost = peerHost
            self.sender = sender
        }
    }

    /// One that lies in a group of its own.
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
    // The thread's own.
    private var admission: BatchAdmission
    private var writer: AheadFileWriter
    private let headRoomBytes: Int

    /// `log`: the directory of the ingest log. `tailBytes`, and by how much a log file's head may grow, are smaller than the default
    /// in tests.
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

    /// Takes a large message; its sender is answered when its batch is durable, or refused. From any thread; returns at
    /// once. False where the queue is closed: the call is the caller's to hold.
    func take(
        _ message: consuming ReceivedMessage,
        peerHost: [UInt8],
        from sender: AckTicket.Sender
    ) -> Bool {
        guard queue.announceLarge() else { return false }
        context.waitingChanged(by: message.count)
        let call = Call(message, peerHost, sender)
        condition.withLock {
            calls.append(call)
            condition.signal()
        }
        return true
    }

    /// Lets the thread end once it has taken all there are.
    func end() {
        condition.withLock {
            isEnding = true
            condition.signal()
        }
    }

    /// The thread.
    func run() {
        do throws(SystemError) { while try takeNext() {} } catch {
            // What the disk holds is unknown then, of the log as well.
            logger.critical(
                "A large batch could not be written; ending so that the next start recovers the log",
                metadata: ["error": "\(error)"]
            )
            exit(1)
        }
    }

    /// Messages that wait.
    var waitingCount: Int { condition.withLock { calls.count } }

    /// Takes the message that has waited for longest into the queue, or waits for one. False where none will come.
    /// - Throws: `SystemError` where the disk's state is unknown: the process has to end.
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

    /// The message is gone when this returns: what follows takes time, and needs only the copy.
    private func admit(_ call: consuming Call) -> Admitted {
        let bytes = call.message.count
        let group = CommitGroup(largeBatchBytes: bytes)
        var ownKey: CommitGroup.DedupKey?
        let outcome = admission.admit(call.message, peerHost: call.peerHost, into: group) { key in
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
        // Only now, as a stream's batches stand in the log in their order.
        if case .stream(let stream) = batch.ticket.sender { stream.receiveNext() }
    }

    /// Writes the group's batch ahead where there is room: what is short of it goes through the commit thread,
    /// which waits for it and refuses what has waited for too long.
    private func writeAhead(_ group: CommitGroup) throws(SystemError) {
        // A head grows by little from file to file; where it outgrows this the batch is written again.
        let headBytes = min(2 * context.logHeadBytes, Limits.logFileHeadBytesMax) + headRoomBytes
        let needed = writer.bytes(forRecord: group.byteCount, headBytes: headBytes)
        guard context.obstacle == nil, let free = try? FileSystem.freeBytes(at: writer.path),
            free - needed >= context.freeBytesMin
        else { return }
        do throws(SystemError) {
            group.isWritten(to: try writer.write(&group.log, headBytes: headBytes))
        } catch {
            guard error.isOutOfSpace else { throw error }
        }
    }
}
