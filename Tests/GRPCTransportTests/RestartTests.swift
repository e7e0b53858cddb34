import Foundation
import GRPCTransport
import SystemIO
import Testing

/// Successive servers on a listening socket that outlives them.
@Suite(.serialized) struct RestartTests {
    private static let path = LoopbackServer.Method.unary

    private static func start(
        _ sockets: [ListeningSocket],
        _ configuration: GRPCServerConfiguration = .init(),
        _ behaviour: LoopbackServer.Behaviour = .init()
    ) throws -> GRPCServer {
        let server = GRPCServer(
            configuration: configuration,
            methods: [
                GRPCMethod(path: path, kind: .unary),
                GRPCMethod(path: LoopbackServer.Method.stream, kind: .stream),
            ],
            handler: LoopbackServer(behaviour)
        )
        try server.listen(on: sockets)
        server.start()
        return server
    }

    @Test func noCallFailsWhileServersAreReplaced() throws {
        let sockets = try ListeningSocket.bind("127.0.0.1:0")
        let target = try #require(sockets.first?.address)
        let failures = Locked<[String]>([])
        let answered = Locked(0)
        let isOver = Locked(false)
        let running = Locked(4)
        var server = try Self.start(sockets)
        for _ in 0..<4 {
            Thread.detachNewThread {
                let client = GRPCClient(target: target)
                while !isOver.current {
                    do throws(GRPCCallError) {
                        _ = try client.unary(Self.path, [1, 2, 3], timeoutSeconds: 30)
                        answered.update { $0 += 1 }
                    } catch { failures.update { $0.append("\(error)") } }
                }
                client.close()
                running.update { $0 -= 1 }
            }
        }
        for _ in 0..<20 {
            let target = answered.current + 50
            #expect(answered.wait { $0 >= target })
            server.shutdown(deadlineSeconds: 10)
            #expect(server.outstandingTags == 0)
            server = try Self.start(sockets)
        }
        isOver.update { $0 = true }
        #expect(running.wait { $0 == 0 })
        server.shutdown(deadlineSeconds: 10)
        #expect(failures.current == [])
    }

    @Test func answersAreHeldBackOnlyForGoAway() throws {
        let calls = Locked<[GRPCUnaryCall]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, _ in calls.update { $0.append(call) } }
        let sockets = try ListeningSocket.bind("127.0.0.1:0")
        let target = try #require(sockets.first?.address)
        let server = try Self.start(sockets, .init(), behaviour)
        let client = GRPCClient(target: target)
        defer { client.close() }
        let answers = Locked<[[UInt8]]>([])
        for value in UInt8(0)..<20 {
            client.start(Self.path, [value], timeoutSeconds: 30) { result in
                answers.update { $0.append((try? result.get()) ?? []) }
            }
        }
        #expect(calls.wait { $0.count == 20 })
        let isOver = Locked(false)
        Thread.detachNewThread {
            server.shutdown(deadlineSeconds: 10)
            isOver.update { $0 = true }
        }
        // Some before, some during, some after.
        calls.update { calls in
            for (index, call) in calls.enumerated() {
                call.reply([UInt8(index)])
                usleep(5_000)
            }
            calls = []
        }
        #expect(isOver.wait { $0 })
        #expect(answers.wait { $0.count == 20 })
        #expect(Set(answers.current) == Set((UInt8(0)..<20).map { [$0] }))
        #expect(server.heldBytes == 0)
    }

    @Test func thePeerAddressIsTheClients() throws {
        let peers = Locked<[String]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, bytes in
            peers.update { $0.append(call.peer) }
            call.reply(bytes)
        }
        try LoopbackServer.run(.init(), behaviour) { _, _, target in
            for _ in 0..<3 {
                let client = GRPCClient(target: target)
                defer { client.close() }
                _ = try client.unary(Self.path, [1], timeoutSeconds: 10)
                _ = try client.unary(Self.path, [1], timeoutSeconds: 10)
            }
        }
        let seen = peers.current
        #expect(seen.count == 6)
        #expect(seen.allSatisfy { $0.hasPrefix("ipv4:127.0.0.1:") })
        // One connection each.
        #expect(Set(seen).count == 3)
    }

    @Test func streamsEndInAborted() throws {
        let sockets = try ListeningSocket.bind("127.0.0.1:0")
        let target = try #require(sockets.first?.address)
        let server = try Self.start(sockets)
        let client = GRPCClient(target: target)
        defer { client.close() }
        let stream = try client.openStream(LoopbackServer.Method.stream)
        try stream.send([1])
        try #expect(stream.receive() == [1])
        server.shutdown(deadlineSeconds: 10)
        let error = #expect(throws: GRPCCallError.self) { _ = try stream.receive() }
        #expect(error?.status == .aborted)
    }

    @Test func connectionsBeyondTheLimitWait() throws {
        var configuration = GRPCServerConfiguration()
        configuration.connectionsMax = 1
        let sockets = try ListeningSocket.bind("127.0.0.1:0")
        let target = try #require(sockets.first?.address)
        let server = try Self.start(sockets, configuration)
        defer { server.shutdown(deadlineSeconds: 10) }
        let first = Locked<GRPCClient?>(GRPCClient(target: target))
        _ = try first.current?.unary(Self.path, [1], timeoutSeconds: 10)
        let second = GRPCClient(target: target)
        defer { second.close() }
        let answer = Locked<[UInt8]?>(nil)
        second.start(Self.path, [2], timeoutSeconds: 30) { result in
            answer.update { $0 = (try? result.get()) ?? [] }
        }
        _ = try first.current?.unary(Self.path, [1], timeoutSeconds: 10)
        #expect(answer.current == nil)
        first.update { client in
            client?.close()
            client = nil
        }
        #expect(answer.wait { $0 == [2] })
    }

    @Test func aPeerWithoutHTTP2IsClosed() throws {
        try LoopbackServer.run { _, _, target in
            let connection = try RawConnection(target)
            try connection.send(Array("GET / HTTP/1.1\r\n\r\n0123456789 0123456789".utf8))
            try #expect(!connection.receives(Array("HTTP".utf8)))
        }
    }

    @Test func aSilentPeerIsClosed() throws {
        var configuration = GRPCServerConfiguration()
        configuration.handshakeSeconds = 0.2
        try LoopbackServer.run(configuration) { _, _, target in
            let connection = try RawConnection(target)
            try connection.send(Array("PRI * HTTP/2.0\r\n".utf8))
            try #expect(!connection.receives([0]))
        }
    }
}
