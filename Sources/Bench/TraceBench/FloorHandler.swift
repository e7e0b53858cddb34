import GRPCServices
import GRPCTransport

/// Answers every batch at once, unread.
final class FloorHandler: GRPCServerHandler {
    private let response = TraceResponse(success: true).encoded()
    private let ack = BatchAck(sequence: 0, success: true, acceptedEvents: 0).encoded()

    func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        call.reply(response)
    }

    func streamOpened(_ stream: GRPCStream, method: Int) { stream.receiveNext() }

    func streamMessage(_ stream: GRPCStream, method: Int, message: consuming ReceivedMessage) {
        stream.release(bytes: message.count)
        if stream.send(ack) { stream.receiveNext() } else { stream.finish(.resourceExhausted) }
    }

    func streamHalfClosed(_ stream: GRPCStream, method: Int) { stream.finish() }

    func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {}

    func refused(method: Int, reason: GRPCRefusal) {}
}
