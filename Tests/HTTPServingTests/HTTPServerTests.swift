import Foundation
import Glibc
import HTTPTypes
import HummingbirdCore
import Logging
import Synchronization
import SystemIO
import TestSupport
import Testing

@testable import HTTPServing

/// The server in this process, tested from outside with shortened times.
@Suite(.timeLimit(.minutes(2))) struct HTTPServerTests {
    /// A body that no socket buffer can hold completely.
    private static let large = SharedBody([UInt8](repeating: 0x61, count: 8 << 20))

    /// Calls `body` on a thread beside a server that replies with the length of the path, or with `large`.
    private func withServer(
        _ bounds: HTTPBounds = HTTPBounds(),
        _ body: @escaping @Sendable (Int, HTTPTally) throws -> Void
    ) async throws {
        let socket = try #require(try ListeningSocket.bind("127.0.0.1:0").first)
        let tally = HTTPTally()
        let server = try HTTPServer(
            socket,
            bounds: bounds,
            tally: tally,
            log: Logger(label: "test")
        ) { request, peer in
            let path = request.uri.path
            if path == "/wait" {
                while !peer.isGone { try? await Task.sleep(for: .milliseconds(5)) }
                tally.count(.idle)
            }
            if path == "/stream" || path == "/broken" { return Self.streamed(path == "/broken") }
            if path == "/endless" { return Self.ofUnknownSize() }
            return HTTPReply(
                status: .ok,
                headers: [.contentType: "text/plain"],
                body: path == "/large" ? Self.large : SharedBody("\(path.utf8.count)\n".utf8)
            )
        }
        let port = socket.port
        let result = try await HTTPClient.onThread { Result { try body(port, tally) } }
        try await HTTPClient.onThread { server.stop() }
        try result.get()
    }

    /// A body of a million bytes in pieces; a broken one ends before.
    private static func streamed(_ isBroken: Bool) -> HTTPReply {
        let pieces = Mutex(0)
        return HTTPReply(
            status: .ok,
            headers: [:],
            stream: HTTPStream(bytes: 1_000_000) {
                let number = pieces.withLock {
                    $0 += 1
                    return $0
                }
                if isBroken, number > 3 { throw SystemError(errno: EIO, call: "read", subject: "") }
                return [UInt8](repeating: UInt8(number), count: 100_000)
            }
        )
    }

    /// Three pieces, whose size nobody knows before the end.
    private static func ofUnknownSize() -> HTTPReply {
        let pieces = Mutex(["one", "two", "three", ""].map { Array($0.utf8) })
        return HTTPReply(
            status: .ok,
            headers: [:],
            stream: HTTPStream { pieces.withLock { $0.removeFirst() } }
        )
    }

    private static func bounds(_ change: (inout HTTPBounds) -> Void) -> HTTPBounds {
        var bounds = HTTPBounds()
        change(&bounds)
        return bounds
    }

    private static func closes(_ tally: HTTPTally, _ reason: HTTPClosure, _ count: UInt64) -> Bool {
        for _ in 0..<2_000 {
            if tally.counts.closed[reason, default: 0] == count { return true }
            usleep(5_000)
        }
        return false
    }

    // MARK: What is served

    @Test func requestsOfOneConnectionAreAnsweredInTheirOrder() async throws {
        try await withServer { port, tally in
            let client = try HTTPClient(port: port)
            let paths = (1...1_000).map { "/" + String(repeating: "a", count: $0 % 7) }
            try client.send(paths.map { "GET \($0) HTTP/1.1\r\n\r\n" }.joined())
            for path in paths {
                let reply = try client.reply()
                #expect(reply.head.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(reply.head.contains("Connection: keep-alive"))
                #expect(reply.body == Array("\(path.utf8.count)\n".utf8))
            }
            #expect(tally.counts == HTTPCounts())
        }
    }

    @Test func aHeadMayArriveByteByByte() async throws {
        try await withServer { port, _ in
            let client = try HTTPClient(port: port)
            for byte in "GET /abc HTTP/1.1\r\nHost: x\r\n\r\n" { try client.send(String(byte)) }
            #expect(try client.reply().body == Array("4\n".utf8))
        }
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", "2\n"), ("GET / HTTP/1.0\r\n\r\n", "2\n"),
        ("HEAD /abc HTTP/1.1\r\nConnection: close\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "2\n"),
    ]) func theLastReplyEndsTheConnection(_ request: String, _ body: String) async throws {
        try await withServer { port, _ in
            let client = try HTTPClient(port: port)
            try client.send(request)
            let answer = try client.readAll()
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.contains("Content-Length: 2\r\nConnection: close\r\n\r\n"))
            #expect(answer.hasSuffix("\r\n\r\n\(body == "" ? "" : "1\n")"))
        }
    }

    @Test func aHalfClosedClientGetsItsReply() async throws {
        try await withServer { port, _ in
            let client = try HTTPClient(port: port)
            try client.send("GET /large HTTP/1.1\r\n\r\n")
            client.finish()
            #expect(try client.readAll().utf8.count > 8 << 20)
        }
    }

    @Test func aStreamedBodyIsSentPieceByPiece() async throws {
        try await withServer { port, _ in
            let client = try HTTPClient(port: port)
            for _ in 0..<2 {
                try client.send("GET /stream HTTP/1.1\r\n\r\n")
                let reply = try client.reply()
                #expect(reply.head.contains("Content-Length: 1000000\r\n"))
                #expect(reply.body == (1...10).flatMap { [UInt8](repeating: $0, count: 100_000) })
            }
        }
    }

    @Test func aBodyOfUnknownSizeIsSentInChunks() async throws {
        try await withServer { port, _ in
            let client = try HTTPClient(port: port)
            try client.send("GET /endless HTTP/1.1\r\n\r\n")
            // The connection goes on behind it.
            try client.send("GET /abc HTTP/1.1\r\nConnection: close\r\n\r\n")
            let answer = try client.readAll()
            #expect(answer.lowercased().contains("transfer-encoding: chunked\r\n"))
            #expect(!answer.prefix(100).contains("Content-Length"))
            let body = "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\nHTTP/1.1 200 OK"
            #expect(answer.contains(body))
            #expect(answer.hasSuffix("4\n"))
        }
    }

    @Test func aBodyThatBreaksOffEndsItsConnection() async throws {
        try await withServer { port, _ in
            let client = try HTTPClient(port: port)
            try client.send("GET /broken HTTP/1.1\r\n\r\n")
            let answer = try client.readAll()
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.utf8.count < 1_000_000)
        }
    }

    @Test(arguments: [false, true])
    func aReplyLearnsThatItsClientHasGone(_ isHalfClosed: Bool) async throws {
        try await withServer { port, tally in
            var client: HTTPClient? = try HTTPClient(port: port)
            try client?.send("GET /wait HTTP/1.1\r\n\r\n")
            if isHalfClosed { client?.finish() } else { client = nil }
            #expect(Self.closes(tally, .idle, 1))
        }
    }

    // MARK: What is refused

    @Test(arguments: [
        ("GET /\(String(repeating: "a", count: 2_000)) HTTP/1.1\r\n", "431", HTTPClosure.largeHead),
        ("GET / HTTP/1.1\r\nx: \(String(repeating: "a", count: 2_000))", "431", .largeHead),
        ("GET / HTTP/1.1\r\n" + String(repeating: "a: b\r\n", count: 200), "431", .largeHead),
        ("POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\nabc", "413", .body),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "413", .body),
        ("nonsense\r\n\r\n", "400", .badRequest), ("GET / HTTP/2.0\r\n\r\n", "400", .badRequest),
    ]) func whatNoRequestIsEndsItsConnection(
        _ request: String,
        _ code: String,
        _ reason: HTTPClosure
    ) async throws {
        try await withServer(Self.bounds { $0.headBytes = 1_000 }) { port, tally in
            let client = try HTTPClient(port: port)
            // The replies to earlier requests come first.
            try client.send("GET /abc HTTP/1.1\r\n\r\n" + request)
            #expect(try client.reply().body == Array("4\n".utf8))
            let answer = try client.readAll()
            #expect(answer.hasPrefix("HTTP/1.1 \(code) "), "\(answer)")
            #expect(answer.contains("Connection: close\r\n"))
            #expect(tally.counts.closed == [reason: 1])
        }
    }

    // MARK: Time

    @Test func aSlowHeadIsRefusedAndAnIdleConnectionClosed() async throws {
        try await withServer(
            Self.bounds {
                $0.headSeconds = 0.5
                $0.idleSeconds = 0.5
            }
        ) { port, tally in
            let slow = try HTTPClient(port: port)
            let silent = try HTTPClient(port: port)
            let idle = try HTTPClient(port: port)
            try idle.send("GET / HTTP/1.1\r\n\r\n")
            try slow.send("GET / HTTP/1.1\r\nx: ")
            #expect(try slow.readAll().hasPrefix("HTTP/1.1 408 "))
            #expect(try silent.readAll() == "")
            #expect(try idle.readAll().hasPrefix("HTTP/1.1 200 "))
            #expect(tally.counts.closed == [.slowHead: 2, .idle: 1])
        }
    }

    @Test func aReaderThatTakesNothingIsCut() async throws {
        try await withServer(Self.bounds { $0.progressSeconds = 0.5 }) { port, tally in
            let client = try HTTPClient(port: port, receiveBytes: 4_096)
            try client.send("GET /large HTTP/1.1\r\n\r\n")
            #expect(Self.closes(tally, .slowReader, 1))
            #expect(throws: HTTPClient.Failure.self) { try client.readAll() }
        }
    }

    /// The server is done when the client's kernel has the last bytes of the reply.
    @Test func aSlowReaderGetsTheWholeLastReply() async throws {
        try await withServer(Self.bounds { $0.lingerSeconds = 0.1 }) { port, _ in
            let client = try HTTPClient(port: port, receiveBytes: 4_096)
            try client.send("GET /large HTTP/1.1\r\nConnection: close\r\n\r\n")
            var count = 0
            while true {
                let more = try client.read(100_000).count
                if more == 0 { break }
                count += more
                usleep(2_000)
            }
            #expect(count > 8 << 20)
        }
    }

    // MARK: Places

    @Test func silentConnectionsGiveWay() async throws {
        try await withServer(Self.bounds { $0.connections = 8 }) { port, tally in
            let silent = try (0..<100).map { _ in try HTTPClient(port: port) }
            let client = try HTTPClient(port: port)
            for _ in 0..<3 {
                try client.send("GET /abc HTTP/1.1\r\n\r\n")
                #expect(try client.reply().body == Array("4\n".utf8))
            }
            #expect(Self.closes(tally, .displaced, 93))
            #expect(try silent[0].readAll() == "")
        }
    }

    @Test func readersBeyondTheirTimeGiveWay() async throws {
        try await withServer(
            Self.bounds {
                $0.connections = 4
                $0.stallSeconds = 0.5
            }
        ) { port, tally in
            let readers = try (0..<4).map { _ in try HTTPClient(port: port, receiveBytes: 4_096) }
            for reader in readers { try reader.send("GET /large HTTP/1.1\r\n\r\n") }
            let client = try HTTPClient(port: port)
            try client.send("GET /abc HTTP/1.1\r\n\r\n")
            #expect(try client.reply().body == Array("4\n".utf8))
            #expect(tally.counts.closed == [.displaced: 1])
        }
    }

    /// Requests that a client sends without reading the replies wait in the kernel.
    @Test func aClientThatNeverReadsIsHeldBack() async throws {
        try await withServer { port, _ in
            let client = try HTTPClient(port: port, receiveBytes: 4_096)
            // More than the kernel's buffers at both ends.
            let requests = String(repeating: "GET /large HTTP/1.1\r\n\r\n", count: 1_000_000)
            let sent = Locked(false)
            let sender = DedicatedThread("sender") {
                try? client.send(requests)
                sent.update { $0 = true }
            }
            #expect(!sent.wait(seconds: 1) { $0 }, "23 MB of requests were taken in")
            client.finish()
            sender.join()
        }
    }
}
