import GRPCServices
import GRPCTransport
import Synchronization

/// Answers every batch with success and counts.
final class CountingServer: GRPCServerHandler {
    private let counts = Mutex((batches: 0, bytes: 0))
    private let server = Mutex<GRPCServer?>(nil)
    private let port = Mutex(0)

    init() throws {
        let server = GRPCServer(
            configuration: GRPCServerConfiguration(),
            methods: TracerService.methods,
            handler: self
        )
        let bound = try server.bind("127.0.0.1:0")
        server.start()
        port.withLock { $0 = bound }
        self.server.withLock { $0 = server }
    }

    var address: String { "127.0.0.1:\(port.withLock { $0 })" }
    var batches: Int { counts.withLock { $0.batches } }
    var bytes: Int { counts.withLock { $0.bytes } }

    func shutdown() {
        let server = server.withLock { server in
            defer { server = nil }
            return server
        }
        server?.shutdown(deadlineSeconds: 1)
    }

    func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        count(message.count)
        call.reply(TraceResponse(success: true).encoded())
    }

    func streamOpened(_ stream: GRPCStream, method: Int) { stream.receiveNext() }

    func streamMessage(_ stream: GRPCStream, method: Int, message: consuming ReceivedMessage) {
        count(message.count)
        stream.release(bytes: message.count)
        _ = stream.send(BatchAck(sequence: 0, success: true, acceptedEvents: 10).encoded())
        stream.receiveNext()
    }

    func streamHalfClosed(_ stream: GRPCStream, method: Int) { stream.finish() }
    func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {}
    func refused(method: Int, reason: GRPCRefusal) {}

    private func count(_ bytes: Int) {
        counts.withLock { counts in
            counts.batches += 1
            counts.bytes += bytes
        }
    }
}
