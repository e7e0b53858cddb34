import GRPCTransport
import SystemIO
import Testing
import TraceModel

/// A server on a free port of this machine. A test defines its behaviour by closures.
final class LoopbackServer: GRPCServerHandler {
    enum Method {
        static let unary = "/test.Loopback/Unary"
        static let control = "/test.Loopback/Control"
        static let stream = "/test.Loopback/Stream"
    }

    struct Behaviour: Sendable {
        var unary: @Sendable (GRPCUnaryCall, [UInt8]) -> Void = { call, bytes in call.reply(bytes) }
        var opened: @Sendable (GRPCStream) -> Void = { $0.receiveNext() }
        var message: @Sendable (GRPCStream, [UInt8]) -> Void = { stream, bytes in
            #expect(stream.send(bytes))
            stream.receiveNext()
        }
        var halfClosed: @Sendable (GRPCStream) -> Void = { $0.finish() }
        var ended: @Sendable (_ cancelled: Bool) -> Void = { _ in }
    }

    let behaviour: Behaviour
    let refusals = Locked<[GRPCRefusal]>([])
    let closings = Locked<[GRPCClosing]>([])

    init(_ behaviour: Behaviour) { self.behaviour = behaviour }

    func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        behaviour.unary(call, message.bytes())
    }

    func streamOpened(_ stream: GRPCStream, method: Int) { behaviour.opened(stream) }

    func streamMessage(_ stream: GRPCStream, method: Int, message: consuming ReceivedMessage) {
        stream.release(bytes: message.count)
        behaviour.message(stream, message.bytes())
    }

    func streamHalfClosed(_ stream: GRPCStream, method: Int) { behaviour.halfClosed(stream) }

    func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {
        behaviour.ended(cancelled)
    }

    func refused(method: Int, reason: GRPCRefusal) { refusals.update { $0.append(reason) } }

    func closed(_ reason: GRPCClosing) { closings.update { $0.append(reason) } }

    /// Runs `body` with a server, which is always shut down at the end. `isMetered`: the server accepts its connections
    /// itself and counts the bytes they receive.
    static func run(
        _ configuration: GRPCServerConfiguration = GRPCServerConfiguration(),
        _ behaviour: Behaviour = Behaviour(),
        deadlineSeconds: Double = 5,
        isMetered: Bool = false,
        _ body: (_ loopback: LoopbackServer, _ server: GRPCServer, _ target: String) throws -> Void
    ) throws {
        let loopback = LoopbackServer(behaviour)
        let server = GRPCServer(
            configuration: configuration,
            methods: [
                GRPCMethod(path: Method.unary, kind: .unary),
                GRPCMethod(path: Method.control, kind: .unary, lane: .control),
                GRPCMethod(path: Method.stream, kind: .stream),
            ],
            handler: loopback
        )
        defer {
            server.shutdown(deadlineSeconds: deadlineSeconds)
            #expect(server.outstandingTags == 0)
            #expect(server.heldBytes == 0)
        }
        let port =
            isMetered
            ? try server.listen(on: "127.0.0.1:0").first?.port ?? 0 : try server.bind("127.0.0.1:0")
        server.start()
        try body(loopback, server, "127.0.0.1:\(port)")
    }

    /// Like `run`, with a client.
    static func runWithClient(
        _ configuration: GRPCServerConfiguration = GRPCServerConfiguration(),
        _ behaviour: Behaviour = Behaviour(),
        deadlineSeconds: Double = 5,
        isMetered: Bool = false,
        _ body: (_ client: GRPCClient, _ loopback: LoopbackServer) throws -> Void
    ) throws {
        try run(configuration, behaviour, deadlineSeconds: deadlineSeconds, isMetered: isMetered) {
            loopback,
            _,
            target in
            let client = GRPCClient(target: target)
            defer { client.close() }
            try body(client, loopback)
        }
    }
}
