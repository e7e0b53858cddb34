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
    private struct Call {
        let message: Held
        let peerHost: [UInt8]
        let sender: AckTicket.Sender
        let arrival: Int64
    }

    /// A message that waits.
    private final class Held: Sendable {
        let message: ReceivedMessage

        init(_ message: consuming ReceivedMessage) { self.message = message }
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

    /// `log`: the directory of the ingest log.
    init(
        queue: IngestQueue,
        context: RouterContext,
        log: LogDirectory,
        defaultSemantics: Semantics = .neutracer,
        logger: Logger
    ) {
        self.queue = queue
        self.context = context
        self.logger = logger
        admission = BatchAdmission(defaultSemantics: defaultSemantics)
        writer = AheadFileWriter(directory: log)
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
        let call = Call(
            message: Held(message),
            peerHost: peerHost,
            sender: sender,
            arrival: WallClock.monotonic()
        )
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
        while let call = next() { admit(call) }
    }

    private func next() -> Call? {
        condition.withLock {
            while calls.isEmpty, !isEnding { condition.wait(until: .max) }
            return calls.isEmpty ? nil : calls.removeFirst()
        }
    }

    private func admit(_ call: Call) {
        let bytes = call.message.message.count
        let group = CommitGroup(largeBatchBytes: bytes)
        var ownKey: CommitGroup.DedupKey?
        let outcome = admission.admit(
            call.message.message,
            peerHost: call.peerHost,
            into: group
        ) { key in
            ownKey = key
            return queue.verdict(on: key)
        }
        switch outcome {
        case .accepted: writeAhead(group)
        case .refused(let error, _, _): context.refusals.count(error.code.rawValue)
        case .duplicate: break
        }
        let ticket = AckTicket(
            sender: call.sender,
            outcome: outcome,
            bytes: bytes,
            arrival: call.arrival
        )
        queue.join(group, ticket, key: ownKey)
        // Only now, as a stream's batches stand in the log in their order.
        if case .stream(let stream) = call.sender { stream.receiveNext() }
    }

    /// Writes the group's batch ahead where there is room: what is short of it goes through the commit thread,
    /// which waits for it and refuses what has waited for too long.
    private func writeAhead(_ group: CommitGroup) {
        // A head grows by little from file to file; where it outgrows this the batch is written again.
        let headBytes = min(2 * context.logHeadBytes, Limits.logFileHeadBytesMax) + (64 << 10)
        let needed = writer.bytes(forRecord: group.byteCount, headBytes: headBytes)
        guard context.obstacle == nil,
            let free = try? FileSystem.freeBytes(at: writer.path),
            free - needed >= context.freeBytesMin
        else { return }
        do throws(SystemError) {
            group.isWritten(to: try writer.write(&group.log, headBytes: headBytes))
        } catch {
            guard error.isOutOfSpace else {
                // What the disk holds is unknown then, of the log as well.
                logger.critical(
                    "A large batch could not be written; ending so that the next start recovers the log",
                    metadata: ["error": "\(error)"]
                )
                exit(1)
            }
        }
    }
}
