import Foundation
import SystemIO
import Testing

@testable import GRPCTransport

/// The effect of stalled or numerous clients on others. A stalled sender is a client stream on a unary method that
/// sends nothing.
@Suite(.serialized) struct OverloadTests {
    private static let path = LoopbackServer.Method.unary

    private func stall(_ client: GRPCClient, _ count: Int) throws -> [GRPCClientStream] {
        // Calls keep their order only on an established connection.
        _ = try client.unary(LoopbackServer.Method.control, [], timeoutSeconds: 10)
        return try (0..<count).map { _ in try client.openStream(Self.path) }
    }

    private func statusOf(_ stream: GRPCClientStream) -> GRPCStatus? {
        #expect(throws: GRPCCallError.self) { _ = try stream.receive() }?.status
    }

    @Test func emptyCallsDoNotBlockOthers() throws {
        try LoopbackServer.runWithClient(isMetered: true) { client, loopback in
            let stalled = try stall(client, 300)
            for value in UInt8(0)..<50 {
                try #expect(client.unary(Self.path, [value], timeoutSeconds: 5) == [value])
                try #expect(
                    client.unary(LoopbackServer.Method.control, [value], timeoutSeconds: 5) == [
                        value
                    ]
                )
            }
            #expect(loopback.refusals.current == [])
            for stream in stalled { stream.cancel() }
        }
    }

    @Test func emptyCallsAreEnded() throws {
        var configuration = GRPCServerConfiguration()
        configuration.receiveSeconds = 0.5
        try LoopbackServer.runWithClient(configuration, isMetered: true) { client, loopback in
            for stream in try stall(client, 2) { #expect(statusOf(stream) == .deadlineExceeded) }
            #expect(loopback.refusals.current == [.receiveTimeout, .receiveTimeout])
        }
    }

    /// The upload takes longer than the time within which something has to arrive, and each of its pauses is far
    /// shorter. Where a busy machine made a pause too long, the attempt proves nothing and is repeated.
    @Test func aSlowUploadGetsThrough() throws {
        var configuration = GRPCServerConfiguration()
        configuration.receiveSeconds = 1.5
        try LoopbackServer.run(configuration, isMetered: true) { loopback, _, target in
            for _ in 0..<10 {
                let longestPause = try Self.uploadSlowly(
                    target,
                    frames: 14,
                    microsecondsBetween: 150_000
                ) {
                    try #expect($0.receives(Array("grpc-status".utf8) + [1] + Array("0".utf8)))
                    #expect(loopback.refusals.current == [])
                }
                if longestPause < 0.5 { return }
            }
            Issue.record("The machine was too busy for a steady upload, ten times.")
        }
    }

    /// Sends a message frame by frame, then calls `verify` unless a pause was longer than 0.5 s. Returns the longest
    /// pause in seconds.
    private static func uploadSlowly(
        _ target: String,
        frames: UInt32,
        microsecondsBetween pause: UInt32,
        verify: (RawConnection) throws -> Void
    ) throws -> Double {
        let clock = ContinuousClock()
        let connection = try RawConnection(target)
        try connection.send(RawConnection.greeting)
        try connection.send(RawConnection.headers(stream: 1, path: Self.path))
        try connection.send(RawConnection.message(stream: 1, of: Int(frames), bytes: 0))
        var longest = 0.0
        for number in 1...frames {
            let took = try clock.measure {
                usleep(pause)
                let flags: UInt8 = number == frames ? 1 : 0
                try connection.send(RawConnection.frame(type: 0, flags: flags, stream: 1, [7]))
            }
            longest = max(longest, took / .seconds(1))
        }
        if longest < 0.5 { try verify(connection) }
        return longest
    }

    /// Two partial messages fill their room. The one that makes progress gets through, the other is closed.
    @Test func aStalledSenderGivesWay() throws {
        var configuration = GRPCServerConfiguration()
        configuration.smallPartialBytesMax = 5_000
        try LoopbackServer.run(configuration, isMetered: true) { loopback, server, target in
            let stalled = try RawConnection(target)
            try stalled.send(RawConnection.greeting)
            try stalled.send(RawConnection.headers(stream: 1, path: Self.path))
            try stalled.send(RawConnection.message(stream: 1, of: 6_000, bytes: 4_000))
            #expect(Self.waits { server.meters.totals.smallBytes == 4_000 })
            let honest = try RawConnection(target)
            try honest.send(RawConnection.greeting)
            try honest.send(RawConnection.headers(stream: 1, path: Self.path))
            try honest.send(RawConnection.message(stream: 1, of: 3_000, bytes: 2_000))
            #expect(Self.waits { server.meters.totals.smallBytes == 6_000 })
            let rest = [UInt8](repeating: 7, count: 1_000)
            try honest.send(RawConnection.frame(type: 0, flags: 1, stream: 1, rest))
            try #expect(honest.receives(Array("grpc-status".utf8) + [1] + Array("0".utf8)))
            let more = try RawConnection(target)
            try more.send(RawConnection.greeting)
            try more.send(RawConnection.headers(stream: 1, path: Self.path))
            try more.send(RawConnection.message(stream: 1, of: 3_000, bytes: 2_000))
            try #expect(stalled.receives(Array("grpc-status".utf8) + [1] + Array("8".utf8)))
            #expect(loopback.refusals.current.contains(.slowUpload))
            #expect(Self.waits { server.meters.totals.smallBytes <= 2_000 })
        }
    }

    @Test func aFarTooLargeMessageIsRefusedAtItsStart() throws {
        try LoopbackServer.run(isMetered: true) { loopback, server, target in
            let connection = try RawConnection(target)
            try connection.send(RawConnection.greeting)
            try connection.send(RawConnection.headers(stream: 1, path: Self.path))
            try connection.send(RawConnection.message(stream: 1, of: 2 << 30, bytes: 1_000))
            try #expect(connection.receives(Array("grpc-status".utf8) + [1] + Array("8".utf8)))
            #expect(loopback.refusals.current == [.tooLarge])
            #expect(Self.waits { server.meters.totals == SocketMeters.Totals() })
        }
    }

    /// Many large messages at once: all get through, few of them are in memory at a time, and small calls continue.
    @Test func largeMessagesTakeTurns() throws {
        var configuration = GRPCServerConfiguration()
        configuration.smallMessageBytesMax = 1 << 20
        configuration.smallPartialBytesMax = 8 << 20
        configuration.largePartialBytesMax = 16 << 20
        configuration.heldLargeBytesMax = 16 << 20
        configuration.heldBytesMax = 32 << 20
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, bytes in call.reply([UInt8(bytes.count > 100 ? 1 : 0)]) }
        try LoopbackServer.run(configuration, behaviour, isMetered: true) {
            loopback,
            server,
            target in
            let clients = (0..<8).map { _ in GRPCClient(target: target) }
            let small = GRPCClient(target: target)
            defer { for client in clients + [small] { client.close() } }
            let answers = Locked<[[UInt8]]>([])
            let request = [UInt8](repeating: 1, count: 20 << 20)
            for client in clients {
                client.start(Self.path, request, timeoutSeconds: 60) { result in
                    answers.update { $0.append((try? result.get()) ?? []) }
                }
            }
            var most = 0
            while answers.current.count < 8 {
                try #expect(small.unary(Self.path, [1], timeoutSeconds: 20) == [0])
                most = max(most, server.meters.totals.largeBytes)
            }
            #expect(answers.current == [[UInt8]](repeating: [1], count: 8))
            #expect(loopback.refusals.current == [])
            // The room, one message beyond it, and what each connection reads before it waits.
            #expect(most <= (16 + 20 + 8 * 4) << 20)
            #expect(Self.waits { server.meters.totals.largeBytes == 0 })
        }
    }

    @Test func heldMessagesDelayOthers() throws {
        var configuration = GRPCServerConfiguration()
        configuration.heldLargeBytesMax = 50
        configuration.heldBytesMax = 100
        let calls = Locked<[GRPCUnaryCall]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.unary = { call, bytes in
            if bytes.count >= 100 { calls.update { $0.append(call) } } else { call.reply(bytes) }
        }
        try LoopbackServer.run(configuration, behaviour, isMetered: true) { _, server, target in
            let (client, other) = (GRPCClient(target: target), GRPCClient(target: target))
            defer { for client in [client, other] { client.close() } }
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
            #expect(Self.waits { server.meters.totals.pausedConnections == 1 })
            // A connection that sends no batches is read nevertheless.
            _ = try other.unary(LoopbackServer.Method.control, [1], timeoutSeconds: 10)
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
        configuration.openStreamsMax = 1
        configuration.idleStreamSeconds = 0
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

    @Test func silentStreamsDoNotBlockOthers() throws {
        try LoopbackServer.runWithClient(isMetered: true) { client, loopback in
            let streams = try (0..<40).map { _ in
                try client.openStream(LoopbackServer.Method.stream)
            }
            for round in UInt8(0)..<5 {
                for stream in streams { try stream.send([round]) }
                for stream in streams { try #expect(stream.receive() == [round]) }
            }
            for stream in streams {
                try stream.halfClose()
                try #expect(stream.receive() == nil)
            }
            #expect(loopback.refusals.current == [])
        }
    }

    @Test func rapidResetsEndTheConnection() throws {
        try LoopbackServer.run(isMetered: true) { loopback, _, target in
            let connection = try RawConnection(target)
            try connection.send(RawConnection.greeting)
            for number in UInt32(0)..<3_000 {
                let call = RawConnection.headers(stream: 2 * number + 1, path: Self.path)
                let reset = RawConnection.frame(
                    type: 3,
                    flags: 0,
                    stream: 2 * number + 1,
                    [0, 0, 0, 8]
                )
                do { try connection.send(call + reset) } catch { break }
            }
            // No such bytes arrive, only the end of the connection.
            #expect((try? connection.receives(Array("never".utf8))) != true)
            #expect(loopback.closings.wait { $0 == [.flood] })
        }
    }

    @Test func endlessHeadersEndTheConnection() throws {
        try LoopbackServer.run(isMetered: true) { loopback, _, target in
            let connection = try RawConnection(target)
            try connection.send(RawConnection.greeting)
            // No END_HEADERS, and a header field that continues in each frame.
            let field = [UInt8](repeating: 0x41, count: 16_000)
            var headers: [UInt8] = [0x83, 0x86, 0, 1, 0x78, 0x7F, 0x80, 0x80, 0x80, 0x80, 1]
            headers += field.prefix(100)
            try connection.send(RawConnection.frame(type: 1, flags: 0, stream: 1, headers))
            for _ in 0..<64 {
                do {
                    try connection.send(RawConnection.frame(type: 9, flags: 0, stream: 1, field))
                } catch { break }
            }
            #expect((try? connection.receives(Array("never".utf8))) != true)
            #expect(loopback.closings.wait { $0 == [.flood] })
        }
    }

    /// Far more idle connections than places: the next client gets one, and closed clients reconnect.
    @Test func idleConnectionsMakeRoom() throws {
        var configuration = GRPCServerConfiguration()
        configuration.connectionsMax = 8
        try LoopbackServer.run(configuration, isMetered: true) { loopback, _, target in
            let clients = (0..<24).map { _ in GRPCClient(target: target) }
            defer { for client in clients { client.close() } }
            for client in clients {
                try #expect(client.unary(Self.path, [1], timeoutSeconds: 20) == [1])
            }
            for client in clients.prefix(4) {
                try #expect(client.unary(Self.path, [2], timeoutSeconds: 20) == [2])
            }
            #expect(loopback.closings.current.allSatisfy { $0 == .idle })
            #expect(loopback.closings.current.count >= 16)
        }
    }

    private static func waits(until isMet: () -> Bool) -> Bool {
        let deadline = Date(timeIntervalSinceNow: 10)
        while !isMet() {
            if Date() > deadline { return false }
            usleep(1_000)
        }
        return true
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
            // The core encodes short literals unchanged: the name, one length byte, then "12".
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
