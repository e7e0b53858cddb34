import Foundation
import GRPCTransport
import SystemIO
import Testing

/// Unary calls answered together.
@Suite(.serialized) struct AnswerBatchTests {
    private static let path = LoopbackServer.Method.unary

    /// Received calls with their answers.
    private typealias Waiting = Locked<[(call: GRPCUnaryCall, bytes: [UInt8])]>

    private static func collecting(into waiting: Waiting) -> LoopbackServer.Behaviour {
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, bytes in waiting.update { $0.append((call, bytes)) } }
        return behaviour
    }

    private static func answerAll(_ waiting: Waiting) {
        waiting.update { waiting in
            AnswerBatch.send { row in for (call, bytes) in waiting { row.reply(to: call, bytes) } }
            waiting = []
        }
    }

    @Test func eachClientGetsItsAnswers() throws {
        let waiting = Waiting([])
        let configuration = GRPCServerConfiguration()
        try LoopbackServer.run(configuration, Self.collecting(into: waiting)) { _, server, target in
            let clients = (0..<3).map { _ in GRPCClient(target: target) }
            defer { for client in clients { client.close() } }
            let answers = Locked<[Int]>([])
            for round in 0..<50 {
                for index in 0..<30 {
                    let number = round * 30 + index
                    let request = withUnsafeBytes(of: number) { Array($0) }
                    clients[index % 3].start(Self.path, request, timeoutSeconds: 30) { result in
                        #expect((try? result.get()) == request)
                        answers.update { $0.append(number) }
                    }
                }
                #expect(waiting.wait { $0.count == 30 })
                Self.answerAll(waiting)
                #expect(answers.wait { $0.count == (round + 1) * 30 })
                #expect(server.heldBytes == 0)
            }
            #expect(Set(answers.current).count == 1_500)
        }
    }

    /// Answers of zero bytes and of many frames, and a row built on the poller's own thread.
    @Test func anySizeFromThePoller() throws {
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, bytes in AnswerBatch.send { $0.reply(to: call, bytes) } }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            for count in [0, 1, 6_300, 1 << 20] {
                let request = [UInt8](repeating: 7, count: count)
                try #expect(client.unary(Self.path, request, timeoutSeconds: 10) == request)
            }
        }
    }

    /// Clients that have disconnected neither delay the answers of others nor leave anything in the server.
    @Test func someClientsHaveDisconnected() throws {
        let waiting = Waiting([])
        try LoopbackServer.run(.init(), Self.collecting(into: waiting)) { _, server, target in
            let (leaving, staying) = (GRPCClient(target: target), GRPCClient(target: target))
            defer { staying.close() }
            let answers = Locked<[UInt8]>([])
            for number in UInt8(0)..<10 {
                leaving.start(Self.path, [number], timeoutSeconds: 30) { _ in }
                staying.start(Self.path, [number], timeoutSeconds: 30) { result in
                    guard case .success(let bytes) = result else { return }
                    answers.update { $0 += bytes }
                }
            }
            #expect(waiting.wait { $0.count == 20 })
            leaving.close()
            Self.answerAll(waiting)
            #expect(answers.wait { $0.count == 10 })
            #expect(answers.current.sorted() == Array(0..<10))
            #expect(server.heldBytes == 0)
        }
    }

    /// A server ends while rows are sent. Every received call is answered, although its connection closes with the last
    /// answer, and nothing remains.
    @Test func throughAShutdown() throws {
        for _ in 0..<40 {
            let waiting = Waiting([])
            let answered = Locked<Int>(0)
            let client = Locked<GRPCClient?>(nil)
            defer { client.current?.close() }
            try LoopbackServer.run(.init(), Self.collecting(into: waiting), deadlineSeconds: 20) {
                _,
                _,
                target in
                let connected = GRPCClient(target: target)
                client.update { $0 = connected }
                for number in UInt8(0)..<40 {
                    connected.start(Self.path, [number], timeoutSeconds: 20) { result in
                        #expect((try? result.get()) == [number], "\(result)")
                        answered.update { $0 += 1 }
                    }
                }
                #expect(waiting.wait { $0.count == 40 })
                Thread.detachNewThread { Self.answerAll(waiting) }
            }
            #expect(answered.wait { $0 == 40 })
        }
    }

    /// Answers that are held back while clients are sent GOAWAY are sent afterwards.
    @Test func withConnectionsGivenByASocket() throws {
        let waiting = Waiting([])
        let server = GRPCServer(
            configuration: .init(),
            methods: [GRPCMethod(path: Self.path, kind: .unary)],
            handler: LoopbackServer(Self.collecting(into: waiting))
        )
        let port = try server.listen(on: "127.0.0.1:0").first?.port ?? 0
        server.start()
        let client = GRPCClient(target: "127.0.0.1:\(port)")
        defer { client.close() }
        let answered = Locked<Int>(0)
        for number in UInt8(0)..<20 {
            client.start(Self.path, [number], timeoutSeconds: 20) { result in
                #expect((try? result.get()) == [number])
                answered.update { $0 += 1 }
            }
        }
        #expect(waiting.wait { $0.count == 20 })
        let hasEnded = Locked(false)
        Thread.detachNewThread {
            server.shutdown(deadlineSeconds: 20)
            hasEnded.update { $0 = true }
        }
        Self.answerAll(waiting)
        #expect(answered.wait { $0 == 20 })
        #expect(hasEnded.wait(seconds: 30) { $0 })
        #expect(server.outstandingTags == 0 && server.heldBytes == 0)
    }
}
