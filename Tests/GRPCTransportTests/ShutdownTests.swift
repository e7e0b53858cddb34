import Foundation
import GRPCTransport
import Testing

/// Shutting a server down.
@Suite(.serialized) struct ShutdownTests {
    private static let path = LoopbackServer.Method.unary

    @Test func callInFlightIsAnswered() throws {
        let calls = Locked<[GRPCUnaryCall]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, _ in calls.update { $0.append(call) } }
        let answer = Locked<[UInt8]?>(nil)
        let client = Locked<GRPCClient?>(nil)
        defer { client.current?.close() }
        try LoopbackServer.run(.init(), behaviour, deadlineSeconds: 20) { _, _, target in
            let connected = GRPCClient(target: target)
            client.update { $0 = connected }
            connected.start(Self.path, [1], timeoutSeconds: 20) { result in
                answer.update { $0 = (try? result.get()) ?? [] }
            }
            #expect(calls.wait { $0.count == 1 })
            Thread.detachNewThread {
                // Refused calls show that the server is shutting down.
                while !Self.isStopping(connected) {}
                calls.update { calls in
                    for call in calls { call.reply([42]) }
                    calls = []
                }
            }
        }
        #expect(answer.wait { $0 != nil })
        #expect(answer.current == [42])
    }

    private static func isStopping(_ client: GRPCClient) -> Bool {
        do {
            _ = try client.unary("/no/method", [], timeoutSeconds: 5)
            return false
        } catch { return error.status != .unimplemented }
    }

    @Test func callsAreCancelledAtTheDeadline() throws {
        let calls = Locked<[GRPCUnaryCall]>([])
        let ended = Locked<[Bool]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, _ in calls.update { $0.append(call) } }
        behaviour.ended = { cancelled in ended.update { $0.append(cancelled) } }
        let status = Locked<GRPCStatus?>(nil)
        let client = Locked<GRPCClient?>(nil)
        defer { client.current?.close() }
        let loopback = LoopbackServer(behaviour)
        let server = GRPCServer(
            configuration: .init(),
            methods: [
                GRPCMethod(path: Self.path, kind: .unary),
                GRPCMethod(path: LoopbackServer.Method.stream, kind: .stream),
            ],
            handler: loopback
        )
        let port = try server.bind("127.0.0.1:0")
        server.start()
        let connected = GRPCClient(target: "127.0.0.1:\(port)")
        client.update { $0 = connected }
        connected.start(Self.path, [1], timeoutSeconds: 30) { result in
            guard case .failure(let error) = result else { return }
            status.update { $0 = error.status }
        }
        let stream = try connected.openStream(LoopbackServer.Method.stream)
        try stream.send([1])
        try #expect(stream.receive() == [1])
        #expect(calls.wait { $0.count == 1 })
        server.shutdown(deadlineSeconds: 0.1)
        #expect(server.outstandingTags == 0)
        #expect(status.wait { $0 != nil })
        // Cancelled before the deadline of the call.
        #expect(ended.current == [false])
        // Too late for the client, and harmless.
        for call in calls.current { call.reply([1]) }
        // The calls retain the server, and the server's handler retains them.
        calls.update { $0 = [] }
        #expect(server.heldBytes == 0)
    }

    @Test func serverNeverStartedShutsDown() throws {
        let server = GRPCServer(
            configuration: .init(),
            methods: [],
            handler: LoopbackServer(.init())
        )
        try server.bind("127.0.0.1:0")
        server.shutdown(deadlineSeconds: 0)
        #expect(server.outstandingTags == 0)
    }

    @Test func clientCloseCancelsWhatIsInFlight() throws {
        let calls = Locked<[GRPCUnaryCall]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, _ in calls.update { $0.append(call) } }
        try LoopbackServer.run(.init(), behaviour) { _, _, target in
            let client = GRPCClient(target: target)
            let status = Locked<GRPCStatus?>(nil)
            client.start(Self.path, [1], timeoutSeconds: 30) { result in
                guard case .failure(let error) = result else { return }
                status.update { $0 = error.status }
            }
            #expect(calls.wait { $0.count == 1 })
            client.close()
            #expect(status.current == .cancelled)
            calls.update { calls in
                for call in calls { call.reply([1]) }
                calls = []
            }
        }
    }
}
