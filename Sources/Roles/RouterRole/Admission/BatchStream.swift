import GRPCServices
import GRPCTransport
import Synchronization
import TraceModel

/// One open `StreamTraceBatches` call. Acknowledges its batches in the order received, and ends once the client has
/// closed its side and every batch is answered. If the router ends first, every batch taken is still answered, and then
/// the stream ends with `ABORTED`: the client reconnects and sends the unanswered batches again.
final class BatchStream: Sendable {
    /// The state of the call; protected by a mutex.
    private struct State {
        var unanswered = 0
        var isHalfClosed = false
        var isOver = false
        /// Whether the router is ending, so that no further batch is taken.
        var isEnding = false

        /// How to end the stream now; nil while answers are owed or the stream continues.
        var ending: Ending? {
            guard unanswered == 0, !isOver else { return nil }
            return isHalfClosed ? .complete : isEnding ? .aborted : nil
        }
    }

    /// The ways in which a stream ends.
    private enum Ending {
        case complete
        case aborted
    }

    private let stream: GRPCStream
    let peer: String
    let peerHost: [UInt8]
    let identity: HostIdentity
    private let state = Mutex(State())

    init(_ stream: GRPCStream, peer: String, peerHost: [UInt8], identity: HostIdentity = .any) {
        self.stream = stream
        self.peer = peer
        self.peerHost = peerHost
        self.identity = identity
    }

    /// Whether another batch may be received.
    private var takesMore: Bool { state.withLock { !$0.isEnding } }

    /// Requests the client's next batch, unless the router is ending.
    func receiveNext() { if takesMore { stream.receiveNext() } }

    /// Counts a batch that was taken and has to be answered. Commit groups contain a stream's batches in their order,
    /// so the answers are sent in that order too.
    func received() { state.withLock { $0.unanswered += 1 } }

    /// Acknowledges a durable batch. `bytes` is its size as received, returned to the stream's budget.
    func acknowledge(sequence: UInt64, events: Int, bytes: Int) {
        answer(
            BatchAck(
                sequence: sequence,
                success: true,
                message: "",
                acceptedEvents: UInt64(events)
            ),
            bytes: bytes
        )
    }

    /// Refuses a batch permanently; the stream continues with the next one.
    func refuse(sequence: UInt64, _ error: TraceError, bytes: Int) {
        answer(
            BatchAck(
                sequence: sequence,
                success: false,
                message: error.description,
                acceptedEvents: 0
            ),
            bytes: bytes
        )
    }

    private func answer(_ ack: BatchAck, bytes: Int) {
        stream.release(bytes: bytes)
        if !stream.send(ack.encoded()) {
            stream.finish(.resourceExhausted, "The client does not read its acknowledgements")
        }
        let ending = state.withLock { state in
            state.unanswered -= 1
            return state.ending
        }
        end(ending)
    }

    /// Ends the stream with an error.
    func fail(_ error: TraceError) {
        state.withLock { $0.isOver = true }
        stream.finish(error.status, error.description, trailers: error.trailers)
    }

    /// Notes that the client sends no more batches.
    func halfClosed() {
        let ending = state.withLock { state in
            state.isHalfClosed = true
            return state.ending
        }
        end(ending)
    }

    /// Ends the stream because the router ends; batches that were taken are answered first.
    func routerEnds() {
        let ending = state.withLock { state in
            state.isEnding = true
            return state.ending
        }
        end(ending)
    }

    private func end(_ ending: Ending?) {
        switch ending {
        case .complete: stream.finish()
        case .aborted:
            stream.finish(
                .aborted,
                "The server restarts: connect again and send what was not acknowledged"
            )
        case nil: break
        }
    }
}
