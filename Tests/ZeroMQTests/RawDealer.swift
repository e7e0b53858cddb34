import CZeroMQ
import Testing

/// A plain libzmq peer that does not follow the rules of the cluster's messages.
final class RawDealer {
    private let context: UnsafeMutableRawPointer
    private let socket: UnsafeMutableRawPointer

    init(_ endpoint: String) throws {
        context = try #require(zmq_ctx_new())
        socket = try #require(zmq_socket(context, ZMQ_DEALER))
        try #require(zmq_connect(socket, endpoint) == 0)
    }

    deinit {
        zmq_close(socket)
        zmq_ctx_term(context)
    }

    func send(frameCount: Int) -> Bool {
        (1...frameCount).allSatisfy { number in
            zmq_send(socket, "x", 1, number < frameCount ? ZMQ_SNDMORE : 0) == 1
        }
    }
}
