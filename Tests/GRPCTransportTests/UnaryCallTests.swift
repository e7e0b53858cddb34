import Foundation
import GRPCTransport
import Testing
import TraceModel

/// Unary calls between a client and a server in one process.
@Suite(.serialized) struct UnaryCallTests {
    private func errorOf(_ body: () throws -> [UInt8]) -> GRPCCallError? {
        do {
            _ = try body()
            return nil
        } catch { return error as? GRPCCallError }
    }

    @Test func echoes() throws {
        try LoopbackServer.runWithClient { client, _ in
            for count in [0, 1, 5, 6_300, 1 << 20] {
                let request = [UInt8](repeating: 7, count: count)
                let answer = try client.unary(
                    LoopbackServer.Method.unary,
                    request,
                    timeoutSeconds: 10
                )
                #expect(answer == request)
            }
        }
    }

    @Test func answersFromAnotherThread() throws {
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, bytes in Thread.detachNewThread { call.reply(bytes) } }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            for value in UInt8(0)..<100 {
                let answer = try client.unary(
                    LoopbackServer.Method.unary,
                    [value],
                    timeoutSeconds: 10
                )
                #expect(answer == [value])
            }
        }
    }

    @Test func manyInFlight() throws {
        try LoopbackServer.runWithClient { client, _ in
            let answers = Locked<[UInt32]>([])
            for number in UInt32(0)..<2_000 {
                let request = withUnsafeBytes(of: number) { Array($0) }
                client.start(LoopbackServer.Method.unary, request, timeoutSeconds: 30) { result in
                    guard case .success(let bytes) = result, bytes.count == 4 else { return }
                    let value = bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
                    answers.update { $0.append(value) }
                }
            }
            #expect(answers.wait(seconds: 30) { $0.count == 2_000 })
            #expect(Set(answers.current).count == 2_000)
        }
    }

    @Test func messageLimitIsExact() throws {
        var configuration = GRPCServerConfiguration()
        configuration.messageBytesMax = 1_000_000
        try LoopbackServer.runWithClient(configuration) { client, loopback in
            let largest = [UInt8](repeating: 1, count: 1_000_000)
            let path = LoopbackServer.Method.unary
            try #expect(client.unary(path, largest, timeoutSeconds: 10) == largest)
            let error = errorOf { try client.unary(path, largest + [1], timeoutSeconds: 10) }
            #expect(error?.status == .resourceExhausted)
            #expect(loopback.refusals.wait { !$0.isEmpty })
            #expect(loopback.refusals.current == [.notReceived])
            try #expect(client.unary(path, [1], timeoutSeconds: 10) == [1])
        }
    }

    @Test func defaultLimitTakesHundredMegabytes() throws {
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, bytes in call.reply(Array("\(bytes.count)".utf8)) }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            let largest = [UInt8](repeating: 1, count: Limits.messageBytesMax)
            let path = LoopbackServer.Method.unary
            let answer = try client.unary(path, largest, timeoutSeconds: 60)
            #expect(answer == Array("100000000".utf8))
            let error = errorOf { try client.unary(path, largest + [1], timeoutSeconds: 60) }
            #expect(error?.status == .resourceExhausted)
        }
    }

    @Test func unknownMethodIsUnimplemented() throws {
        try LoopbackServer.runWithClient { client, _ in
            let error = errorOf {
                try client.unary("/test.Loopback/Nothing", [1], timeoutSeconds: 10)
            }
            #expect(error?.status == .unimplemented)
        }
    }

    @Test func failureCarriesMessageAndDetails() throws {
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, _ in
            call.fail(
                .resourceExhausted,
                "too much at once",
                trailers: [
                    GRPCTrailer(name: "x-reason", bytes: Array("disk".utf8)),
                    GRPCTrailer(name: "grpc-status-details-bin", bytes: [8, 8, 0, 255]),
                ]
            )
        }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            let error = errorOf {
                try client.unary(LoopbackServer.Method.unary, [1], timeoutSeconds: 10)
            }
            #expect(error?.status == .resourceExhausted)
            #expect(error?.message == "too much at once")
            #expect(error?.details == [8, 8, 0, 255])
        }
    }

    @Test func peerNamesTheClient() throws {
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, _ in
            #expect(!call.isLocalSocket)
            call.reply(Array(call.peer.utf8))
        }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            let answer = try client.unary(LoopbackServer.Method.unary, [], timeoutSeconds: 10)
            let peer = String(decoding: answer, as: UTF8.self)
            #expect(peer.hasPrefix("ipv4:127.0.0.1:"))
            #expect(PeerAddress.host(of: peer) == "127.0.0.1")
        }
        #expect(PeerAddress.host(of: "ipv6:[::1]:51234") == "::1")
        #expect(PeerAddress.host(of: "unix:") == "")
        #expect(PeerAddress.isLocalSocket("unix:run/admin.sock"))
    }

    @Test func listensOnUnixSocket() throws {
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, _ in call.reply([call.isLocalSocket ? 1 : 0]) }
        let loopback = LoopbackServer(behaviour)
        let server = GRPCServer(
            configuration: .init(),
            methods: [GRPCMethod(path: LoopbackServer.Method.unary, kind: .unary)],
            handler: loopback
        )
        defer { server.shutdown(deadlineSeconds: 5) }
        let address = "unix:\(NSTemporaryDirectory())/\(UUID().uuidString).sock"
        try #expect(server.bind(address) == 0)
        server.start()
        let client = GRPCClient(target: address)
        defer { client.close() }
        try #expect(client.unary(LoopbackServer.Method.unary, [], timeoutSeconds: 10) == [1])
    }

    @Test func addressInUseIsAnError() throws {
        try LoopbackServer.run { loopback, _, target in
            let second = GRPCServer(configuration: .init(), methods: [], handler: loopback)
            defer { second.shutdown(deadlineSeconds: 1) }
            let error = #expect(throws: TraceError.self) { try second.bind(target) }
            #expect(error?.message.contains("in use") == true)
        }
    }

    @Test func aClientThatGivesUpIsHarmless() throws {
        let calls = Locked<[GRPCUnaryCall]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, bytes in
            if bytes == [0] { calls.update { $0.append(call) } } else { call.reply(bytes) }
        }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            let path = LoopbackServer.Method.unary
            let error = errorOf { try client.unary(path, [0], timeoutSeconds: 0.2) }
            #expect(error?.status == .deadlineExceeded)
            #expect(calls.wait { $0.count == 1 })
            calls.update { calls in
                for call in calls { call.reply([0]) }
                calls = []
            }
            try #expect(client.unary(path, [1], timeoutSeconds: 10) == [1])
        }
    }

    @Test func aReleasedCallIsCancelled() throws {
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { _, _ in }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            let error = errorOf {
                try client.unary(LoopbackServer.Method.unary, [1], timeoutSeconds: 10)
            }
            #expect(error?.status == .cancelled)
        }
    }

    @Test func closedClientRefuses() throws {
        let client = GRPCClient(target: "127.0.0.1:1")
        client.close()
        let error = errorOf { try client.unary("/a/b", [], timeoutSeconds: 1) }
        #expect(error?.status == .cancelled)
    }

    @Test func missingServerIsUnavailable() throws {
        let client = GRPCClient(target: "127.0.0.1:1")
        defer { client.close() }
        let error = errorOf { try client.unary("/a/b", [], timeoutSeconds: 10) }
        #expect(error?.status == .unavailable)
    }
}
