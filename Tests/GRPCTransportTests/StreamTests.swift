import Foundation
import GRPCTransport
import Testing

/// Bidirectional streams.
@Suite(.serialized) struct StreamTests {
    @Test func thousandMessagesInOrder() throws {
        let ended = Locked<[Bool]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.ended = { cancelled in ended.update { $0.append(cancelled) } }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            let stream = try client.openStream(LoopbackServer.Method.stream, timeoutSeconds: 30)
            let sendingFailed = Locked<Bool?>(nil)
            Thread.detachNewThread {
                do {
                    for number in 0..<1_000 { try stream.send(Array("message \(number)".utf8)) }
                    try stream.halfClose()
                    sendingFailed.update { $0 = false }
                } catch { sendingFailed.update { $0 = true } }
            }
            for number in 0..<1_000 {
                let answer = try stream.receive()
                #expect(answer == Array("message \(number)".utf8))
            }
            try #expect(stream.receive() == nil)
            #expect(sendingFailed.wait { $0 != nil })
            #expect(sendingFailed.current == false)
            #expect(ended.wait { $0 == [false] })
        }
    }

    @Test func nothingIsReceivedWithoutARequest() throws {
        let streams = Locked<[GRPCStream]>([])
        let received = Locked(0)
        var behaviour = LoopbackServer.Behaviour()
        behaviour.opened = { stream in streams.update { $0.append(stream) } }
        behaviour.message = { _, _ in received.update { $0 += 1 } }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            let stream = try client.openStream(LoopbackServer.Method.stream)
            for _ in 0..<3 { try stream.send([1]) }
            #expect(streams.wait { $0.count == 1 })
            #expect(received.current == 0)
            for count in 1...3 {
                streams.current.first?.receiveNext()
                #expect(received.wait { $0 >= count })
                #expect(received.current == count)
            }
            stream.cancel()
            streams.update { $0 = [] }
        }
    }

    @Test func serverEndsWithStatusAfterItsMessages() throws {
        var behaviour = LoopbackServer.Behaviour()
        behaviour.opened = { stream in
            for number in UInt8(0)..<50 { #expect(stream.send([number])) }
            stream.finish(.failedPrecondition, "no more", trailers: [])
            #expect(!stream.send([99]))
        }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            let stream = try client.openStream(LoopbackServer.Method.stream)
            for number in UInt8(0)..<50 { try #expect(stream.receive() == [number]) }
            let error = #expect(throws: GRPCCallError.self) { _ = try stream.receive() }
            #expect(error?.status == .failedPrecondition)
            #expect(error?.message == "no more")
            #expect(throws: GRPCCallError.self) { try stream.send([1]) }
        }
    }

    @Test func cancelledStreamEndsOnce() throws {
        let ended = Locked<[Bool]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.ended = { cancelled in ended.update { $0.append(cancelled) } }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            let stream = try client.openStream(LoopbackServer.Method.stream)
            try stream.send([1])
            try #expect(stream.receive() == [1])
            stream.cancel()
            #expect(ended.wait { !$0.isEmpty })
            #expect(throws: GRPCCallError.self) { _ = try stream.receive() }
        }
        #expect(ended.current == [true])
    }

    @Test func sendRefusesMessagesThatTheClientDoesNotRead() throws {
        var configuration = GRPCServerConfiguration()
        configuration.streamSendBytesMax = 1 << 20
        let accepted = Locked<Int?>(nil)
        var behaviour = LoopbackServer.Behaviour()
        behaviour.opened = { stream in
            let chunk = [UInt8](repeating: 1, count: 64 << 10)
            var count = 0
            while count < 1_000, stream.send(chunk) { count += 1 }
            #expect(stream.unsentBytes <= 1 << 20)
            accepted.update { $0 = count }
            stream.finish()
        }
        try LoopbackServer.runWithClient(configuration, behaviour) { client, _ in
            let stream = try client.openStream(LoopbackServer.Method.stream)
            #expect(accepted.wait { $0 != nil })
            let count = try #require(accepted.current)
            #expect(count >= 16 && count < 1_000)
            var received = 0
            while try stream.receive() != nil { received += 1 }
            #expect(received == count)
        }
    }

    @Test func unreadMessagesOfAllStreamsAreBounded() throws {
        var configuration = GRPCServerConfiguration()
        configuration.sendBytesMax = 1 << 20
        configuration.streamSendShareBytes = 10_000
        let opened = Locked<[GRPCStream]>([])
        // What each stream had unsent when it was refused, and what all had together then: it becomes less by and by, so
        // that figures of different times do not add up.
        let unsent = Locked<[(own: Int, all: Int)]>([])
        var behaviour = LoopbackServer.Behaviour()
        behaviour.opened = { stream in
            while stream.send([UInt8](repeating: 1, count: 1_000)) {}
            opened.update { $0.append(stream) }
            let all = opened.current.reduce(0) { $0 + $1.unsentBytes }
            unsent.update { $0.append((own: stream.unsentBytes, all: all)) }
            stream.finish()
        }
        try LoopbackServer.runWithClient(configuration, behaviour) { client, _ in
            let streams = try (0..<20).map { _ in
                try client.openStream(LoopbackServer.Method.stream)
            }
            #expect(unsent.wait { $0.count == 20 })
            #expect(unsent.current.allSatisfy { $0.all <= 1 << 20 + 20 * 11_000 })
            // Each stream has its share.
            #expect(unsent.current.allSatisfy { $0.own > 8_000 })
            for stream in streams { while try stream.receive() != nil {} }
        }
    }

    @Test func attachmentLivesWithTheStream() throws {
        final class Note: Sendable {
            let text: String
            init(_ text: String) { self.text = text }
        }
        var behaviour = LoopbackServer.Behaviour()
        behaviour.opened = { stream in
            stream.attachment = Note("kept")
            stream.receiveNext()
        }
        behaviour.message = { stream, _ in
            let note = stream.attachment as? Note
            #expect(stream.send(Array((note?.text ?? "").utf8)))
            stream.receiveNext()
        }
        try LoopbackServer.runWithClient(.init(), behaviour) { client, _ in
            let stream = try client.openStream(LoopbackServer.Method.stream)
            try stream.send([1])
            try #expect(stream.receive() == Array("kept".utf8))
            try stream.halfClose()
            try #expect(stream.receive() == nil)
        }
    }

    @Test func streamsBeyondTheLimitAreRefused() throws {
        var configuration = GRPCServerConfiguration()
        configuration.openStreamsMax = 1
        try LoopbackServer.runWithClient(configuration) { client, loopback in
            let first = try client.openStream(LoopbackServer.Method.stream)
            try first.send([1])
            try #expect(first.receive() == [1])
            let second = try client.openStream(LoopbackServer.Method.stream)
            let error = #expect(throws: GRPCCallError.self) { _ = try second.receive() }
            #expect(error?.status == .resourceExhausted)
            #expect(loopback.refusals.current == [.queueFull])
            try first.halfClose()
            try #expect(first.receive() == nil)
        }
    }
}
