import Foundation
import GRPCTransport
import Testing

/// What clients that stall or crowd can and cannot do to others. A sender that stalls is a client
/// stream on a unary method that sends nothing.
@Suite(.serialized) struct OverloadTests {
    private static let path = LoopbackServer.Method.unary

    private func stall(_ client: GRPCClient, _ count: Int) throws -> [GRPCClientStream] {
        // Calls keep their order only on a connection that stands.
        _ = try client.unary(LoopbackServer.Method.control, [], timeoutSeconds: 10)
        return try (0..<count).map { _ in try client.openStream(Self.path) }
    }

    private func statusOf(_ stream: GRPCClientStream) -> GRPCStatus? {
        #expect(throws: GRPCCallError.self) { _ = try stream.receive() }?.status
    }

    @Test func stalledSendersBelowTheBoundBlockNobody() throws {
        var configuration = GRPCServerConfiguration()
        configuration.concurrentReceivesMax = 3
        try LoopbackServer.runWithClient(configuration) { client, _ in
            let stalled = try stall(client, 2)
            for value in UInt8(0)..<50 {
                try #expect(client.unary(Self.path, [value], timeoutSeconds: 5) == [value])
            }
            for stream in stalled { stream.cancel() }
        }
    }

    @Test func stalledSendersLoseTheirTurn() throws {
        var configuration = GRPCServerConfiguration()
        configuration.concurrentReceivesMax = 2
        configuration.receiveSeconds = 0.5
        configuration.queueSeconds = 20
        try LoopbackServer.runWithClient(configuration) { client, loopback in
            let stalled = try stall(client, 2)
            // Behind them in the queue, and answered once their time is over.
            try #expect(client.unary(Self.path, [1], timeoutSeconds: 10) == [1])
            for stream in stalled { #expect(statusOf(stream) == .deadlineExceeded) }
            #expect(loopback.refusals.current == [.receiveTimeout, .receiveTimeout])
        }
    }

    @Test func controlPassesStalledUploads() throws {
        var configuration = GRPCServerConfiguration()
        configuration.concurrentReceivesMax = 1
        try LoopbackServer.runWithClient(configuration) { client, _ in
            let stalled = try stall(client, 2)
            let answer = try client.unary(LoopbackServer.Method.control, [1], timeoutSeconds: 4)
            #expect(answer == [1])
            for stream in stalled { stream.cancel() }
        }
    }

    @Test func waitingEndsInResourceExhausted() throws {
        var configuration = GRPCServerConfiguration()
        configuration.concurrentReceivesMax = 1
        configuration.queueSeconds = 0.3
        configuration.exhaustedTrailers = [
            GRPCTrailer(name: "grpc-status-details-bin", bytes: [1, 2, 3])
        ]
        try LoopbackServer.runWithClient(configuration) { client, loopback in
            let stalled = try stall(client, 1)
            let error = #expect(throws: GRPCCallError.self) {
                _ = try client.unary(Self.path, [1], timeoutSeconds: 10)
            }
            #expect(error?.status == .resourceExhausted)
            #expect(error?.details == [1, 2, 3])
            #expect(loopback.refusals.current == [.queueTimeout])
            for stream in stalled { stream.cancel() }
            try #expect(client.unary(Self.path, [2], timeoutSeconds: 10) == [2])
        }
    }

    @Test func fullQueueRefusesAtOnce() throws {
        var configuration = GRPCServerConfiguration()
        configuration.concurrentReceivesMax = 1
        configuration.queuedCallsMax = 2
        configuration.queueSeconds = 60
        try LoopbackServer.runWithClient(configuration) { client, loopback in
            let stalled = try stall(client, 3)
            let error = #expect(throws: GRPCCallError.self) {
                _ = try client.unary(Self.path, [1], timeoutSeconds: 10)
            }
            #expect(error?.status == .resourceExhausted)
            #expect(loopback.refusals.current == [.queueFull])
            for stream in stalled { stream.cancel() }
        }
    }

    @Test func heldMessagesHoldBackOthers() throws {
        var configuration = GRPCServerConfiguration()
        configuration.heldBytesMax = 100
        let calls = Locked<[GRPCUnaryCall]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, bytes in
            if bytes.count >= 100 { calls.update { $0.append(call) } } else { call.reply(bytes) }
        }
        try LoopbackServer.runWithClient(configuration, behaviour) { client, _ in
            let answers = Locked<[Int]>([])
            func send(_ count: Int) {
                let request = [UInt8](repeating: 1, count: count)
                client.start(Self.path, request, timeoutSeconds: 10) { result in
                    guard case .success(let bytes) = result else { return }
                    answers.update { $0.append(bytes.count) }
                }
            }
            send(100)
            #expect(calls.wait { $0.count == 1 })
            send(1)
            // Lanes apart, so this one comes through; the queue is in order, so the other had its chance.
            _ = try client.unary(LoopbackServer.Method.control, [1], timeoutSeconds: 10)
            #expect(answers.current == [])
            calls.update { calls in
                for call in calls { call.reply([1, 2]) }
                calls = []
            }
            #expect(answers.wait { $0.count == 2 })
            #expect(answers.current.sorted() == [1, 2])
        }
    }

    @Test func idleStreamMakesRoom() throws {
        var configuration = GRPCServerConfiguration()
        configuration.streamReceivesMax = 1
        configuration.idleStreamSeconds = 0.3
        configuration.queueSeconds = 20
        try LoopbackServer.runWithClient(configuration) { client, loopback in
            let idle = try client.openStream(LoopbackServer.Method.stream)
            try idle.send([1])
            try #expect(idle.receive() == [1])
            let other = try client.openStream(LoopbackServer.Method.stream)
            try other.send([2])
            try #expect(other.receive() == [2])
            #expect(statusOf(idle) == .resourceExhausted)
            #expect(loopback.refusals.current == [.idleStream])
            try other.halfClose()
            try #expect(other.receive() == nil)
        }
    }

    @Test func streamsTakeTurns() throws {
        var configuration = GRPCServerConfiguration()
        configuration.streamReceivesMax = 1
        try LoopbackServer.runWithClient(configuration) { client, loopback in
            let streams = try (0..<5).map { _ in
                try client.openStream(LoopbackServer.Method.stream)
            }
            for stream in streams {
                for value in UInt8(0)..<20 { try stream.send([value]) }
                try stream.halfClose()
            }
            for stream in streams {
                for value in UInt8(0)..<20 { try #expect(stream.receive() == [value]) }
                try #expect(stream.receive() == nil)
            }
            #expect(loopback.refusals.current == [])
        }
    }

    @Test func emptyCallIsInvalid() throws {
        try LoopbackServer.runWithClient { client, loopback in
            let stream = try client.openStream(Self.path)
            try stream.halfClose()
            #expect(statusOf(stream) == .invalidArgument)
            #expect(loopback.refusals.current == [.noMessage])
        }
    }

    @Test func compressedRequestIsUnimplemented() throws {
        try LoopbackServer.run { loopback, _, target in
            let connection = try RawConnection(target)
            try connection.send(RawConnection.request(path: Self.path, encoding: "gzip"))
            // The core writes small literals as they are: the name, then one length byte, then "12".
            try #expect(connection.receives(Array("grpc-status".utf8) + [2] + Array("12".utf8)))
            #expect(loopback.refusals.wait { !$0.isEmpty })
            #expect(loopback.refusals.current == [.notReceived])
        }
    }

    @Test func uncompressedRawRequestIsAnswered() throws {
        try LoopbackServer.run { _, _, target in
            let connection = try RawConnection(target)
            try connection.send(RawConnection.request(path: Self.path, encoding: "identity"))
            try #expect(connection.receives(Array("grpc-status".utf8) + [1] + Array("0".utf8)))
        }
    }
}
