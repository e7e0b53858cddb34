import GRPCServices
import GRPCTransport
import Synchronization
import TraceModel

/// One open `StreamTraceBatches` call: acknowledges its batches in the order they came and ends once the
/// client has closed and every batch is answered. Where the router ends first, every batch taken is
/// answered too, and then the stream ends in `ABORTED`: the client connects again and sends what has no
/// answer.
final class BatchStream: Sendable {
    private struct State {
        var unanswered = 0
        var isHalfClosed = false
        var isOver = false
        /// The router ends: no further batch is taken.
        var isEnding = false

        /// How to end the stream, once there is nothing left to answer.
        var ending: Ending? {
            guard unanswered == 0, !isOver else { return nil }
            return isHalfClosed ? .complete : isEnding ? .aborted : nil
        }
    }

    private enum Ending {
        case complete
        case aborted
    }

    private let stream: GRPCStream
    let peer: String
    let peerHost: [UInt8]
    private let state = Mutex(State())

    init(_ stream: GRPCStream, peer: String, peerHost: [UInt8]) {
        self.stream = stream
        self.peer = peer
        self.peerHost = peerHost
    }

    /// Whether another batch may come.
    private var takesMore: Bool { state.withLock { !$0.isEnding } }

    /// Asks for the client's next batch, unless the router ends.
    func receiveNext() { if takesMore { stream.receiveNext() } }

    /// A batch was taken: its answer is owed. Batches of one stream lie in commit groups in their order,
    /// so answers go out in that order too.
    func received() { state.withLock { $0.unanswered += 1 } }

    /// A batch of this many wire bytes is durable.
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

    /// A batch was refused for good: the stream goes on behind it.
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

    /// The stream cannot go on.
    func fail(_ error: TraceError) {
        state.withLock { $0.isOver = true }
        stream.finish(error.status, error.description, trailers: error.trailers)
    }

    func halfClosed() {
        let ending = state.withLock { state in
            state.isHalfClosed = true
            return state.ending
        }
        end(ending)
    }

    /// The router ends: what was taken is still answered.
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
