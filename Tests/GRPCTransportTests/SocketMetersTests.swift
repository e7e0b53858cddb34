import Glibc
import SystemIO
import TestSupport
import Testing

@testable import GRPCTransport

/// Counting of the frames that pass a socket, however they are cut.
@Suite struct SocketMetersTests {
    private static let path = LoopbackServer.Method.unary

    /// A metered socket and its client side.
    private final class Line {
        let meters: SocketMeters
        let server: Int32
        let client: Int32

        init(_ configuration: GRPCServerConfiguration = .init()) throws {
            meters = SocketMeters(configuration)
            var pair: [Int32] = [0, 0]
            let code = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
            try #require(code == 0)
            // Above the descriptors of other tests' connections, so that none of them takes it meanwhile.
            server = fcntl(pair[0], F_DUPFD_CLOEXEC, 500)
            close(pair[0])
            client = pair[1]
            try #require(server >= 0)
            #expect(meters.begin(server))
        }

        deinit {
            meters.end(server)
            close(server)
            close(client)
        }

        /// The client sends; the server reads at most `piece` bytes at a time. Returns the number of received bytes.
        @discardableResult func pass(_ bytes: [UInt8], piece: Int = 1 << 16) -> Int {
            var passed = 0
            for start in stride(from: 0, to: bytes.count, by: 1 << 14) {
                let end = min(start + 1 << 14, bytes.count)
                let sent = Array(bytes[start..<end])
                #expect(write(client, sent, sent.count) == sent.count)
                while passed < end {
                    let count = read(piece)
                    guard count > 0 else { return passed }
                    passed += count
                }
            }
            return passed
        }

        private func read(_ count: Int) -> Int {
            var buffer = [UInt8](repeating: 0, count: count)
            return buffer.withUnsafeMutableBytes { bytes in
                // In two parts, as the core reads.
                let half = count / 2
                var parts = [
                    iovec(iov_base: bytes.baseAddress, iov_len: half),
                    iovec(iov_base: bytes.baseAddress?.advanced(by: half), iov_len: count - half),
                ]
                return parts.withUnsafeMutableBufferPointer { parts in
                    var message = msghdr()
                    message.msg_iov = parts.baseAddress
                    message.msg_iovlen = parts.count
                    return recvmsg(server, &message, Int32(MSG_DONTWAIT))
                }
            }
        }

        func answer(_ bytes: [UInt8]) {
            var bytes = bytes
            bytes.withUnsafeMutableBytes { bytes in
                var part = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
                withUnsafeMutablePointer(to: &part) { part in
                    var message = msghdr()
                    message.msg_iov = part
                    message.msg_iovlen = 1
                    _ = sendmsg(server, &message, Int32(MSG_NOSIGNAL))
                }
            }
        }

        var state: MeteredConnection? { meters.inspect(server, now: WallClock.monotonic()) }
    }

    private func message(stream: UInt32, of count: Int, bytes: Int) -> [UInt8] {
        RawConnection.message(stream: stream, of: count, bytes: bytes)
    }

    @Test(arguments: [1, 2, 5, 9, 13, 1_000, 60_000]) func countsAreIndependentOfHowFramesAreCut(
        piece: Int
    ) throws {
        let line = try Line()
        line.pass(RawConnection.greeting, piece: piece)
        for stream in [UInt32(1), 3, 5] {
            line.pass(RawConnection.headers(stream: stream, path: Self.path), piece: piece)
        }
        // One complete message, one without its end, one with only a part of its head; and a padded frame.
        line.pass(message(stream: 1, of: 300, bytes: 300), piece: piece)
        line.pass(message(stream: 3, of: 5_000, bytes: 1_000), piece: piece)
        line.pass(RawConnection.frame(type: 0, flags: 0, stream: 5, [0, 0]), piece: piece)
        let padded: [UInt8] = [4] + [UInt8](repeating: 7, count: 500) + [0, 0, 0, 0]
        line.pass(RawConnection.frame(type: 0, flags: 8, stream: 3, padded), piece: piece)
        let state = try #require(line.state)
        #expect(state.partialBytes == 1_500)
        #expect(state.dataBytes == 305 + 1_005 + 2 + 500)
        #expect(state.openCalls == 3)
        #expect(line.meters.totals.smallBytes == 1_500)
        #expect(line.meters.totals.callBytes == state.callBytes)
        // The rest of both, in one frame each; the last one ends its call.
        line.pass(
            RawConnection.frame(type: 0, flags: 0, stream: 3, [UInt8](repeating: 7, count: 3_500)),
            piece: piece
        )
        line.pass(RawConnection.frame(type: 0, flags: 1, stream: 5, [0, 0, 1, 9]), piece: piece)
        #expect(line.state?.partialBytes == 0)
        #expect(line.state?.openCalls == 3)
    }

    @Test func eitherSideMayEndACall() throws {
        let line = try Line()
        line.pass(RawConnection.greeting)
        for stream in [UInt32(1), 3, 5] {
            line.pass(RawConnection.headers(stream: stream, path: Self.path))
            line.pass(message(stream: stream, of: 1_000, bytes: 400))
        }
        #expect(line.state?.partialBytes == 1_200)
        // The client resets one; the server answers one, and resets one.
        line.pass(RawConnection.frame(type: 3, flags: 0, stream: 1, [0, 0, 0, 8]))
        #expect(line.state?.openCalls == 2)
        line.answer(RawConnection.frame(type: 1, flags: 4, stream: 3, [0x88]))
        #expect(line.state?.openCalls == 2)
        line.answer(RawConnection.frame(type: 1, flags: 5, stream: 3, [0x88]))
        line.answer(RawConnection.frame(type: 3, flags: 0, stream: 5, [0, 0, 0, 0]))
        // Later frames of these calls do not count.
        line.pass(RawConnection.frame(type: 0, flags: 0, stream: 3, [7, 7, 7]))
        #expect(line.state?.openCalls == 0)
        #expect(line.meters.totals == SocketMeters.Totals())
    }

    @Test func aConnectionWithoutRoomIsNotRead() throws {
        var configuration = GRPCServerConfiguration()
        configuration.smallPartialBytesMax = 1_000
        let line = try Line(configuration)
        line.pass(RawConnection.greeting)
        line.pass(RawConnection.headers(stream: 1, path: Self.path))
        line.pass(message(stream: 1, of: 3_000, bytes: 2_000))
        #expect(line.state?.pausedSince != nil)
        let rest = RawConnection.frame(
            type: 0,
            flags: 1,
            stream: 1,
            [UInt8](repeating: 7, count: 1_000)
        )
        #expect(line.pass(rest) == 0)
        line.meters.resume(line.server)
        #expect(line.state?.pausedSince != nil)
        line.meters.setPrivileged(line.server, true)
        line.meters.resume(line.server)
        #expect(line.state?.pausedSince == nil)
        // Bytes sent earlier are read first.
        #expect(line.pass([0]) > 0)
        #expect(line.state?.partialBytes == 0)
    }

    /// A descriptor number is used by another server before the first one notices that its connection was closed.
    /// Nothing that the first one does then resumes the new connection, which would be without the edge that wakes the
    /// core.
    @Test func anotherServersConnectionIsLeftAlone() throws {
        var configuration = GRPCServerConfiguration()
        configuration.smallPartialBytesMax = 1_000
        let line = try Line(configuration)
        let former = line.meters
        let owner = SocketMeters(configuration)
        #expect(owner.begin(line.server))
        line.pass(RawConnection.greeting)
        line.pass(RawConnection.headers(stream: 1, path: Self.path))
        line.pass(message(stream: 1, of: 3_000, bytes: 2_000))
        former.takeCall(line.server, isIngest: true)
        former.setPrivileged(line.server, true)
        former.resume(line.server)
        #expect(!former.sendAway(line.server))
        former.end(line.server)
        #expect(former.inspect(line.server, now: WallClock.monotonic()) == nil)
        let state = owner.inspect(line.server, now: WallClock.monotonic())
        #expect(state?.pausedSince != nil)
        #expect(state?.isPrivileged == false)
        #expect(owner.totals.pausedConnections == 1)
        owner.end(line.server)
        #expect(owner.totals == SocketMeters.Totals())
    }

    @Test func goAwayIsSentBetweenFrames() throws {
        let line = try Line()
        line.pass(RawConnection.greeting)
        // Half of a frame has been sent.
        line.answer([0, 0, 8, 6])
        #expect(!line.meters.sendAway(line.server))
        line.answer([0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 8))
        #expect(line.meters.sendAway(line.server))
    }

    /// No input breaks anything, and nothing remains of it.
    @Test func anyBytes() throws {
        var random = SeededGenerator(seed: 0x20_2611)
        for _ in 0..<200 {
            let line = try Line()
            line.pass(RawConnection.greeting)
            for _ in 0..<50 {
                var payload = [UInt8](repeating: 0, count: Int.random(in: 0...60, using: &random))
                for index in payload.indices where Bool.random(using: &random) {
                    payload[index] = UInt8.random(in: 0...255, using: &random)
                }
                var frame = RawConnection.frame(
                    type: UInt8.random(in: 0...10, using: &random),
                    flags: UInt8.random(in: 0...255, using: &random),
                    stream: UInt32.random(in: 0...9, using: &random),
                    payload
                )
                if Int.random(in: 0..<20, using: &random) == 0 { frame.removeLast() }
                if Bool.random(using: &random) {
                    guard line.pass(frame, piece: Int.random(in: 2...80, using: &random)) > 0 else {
                        break
                    }
                } else {
                    line.answer(frame)
                    var sink = [UInt8](repeating: 0, count: 1_000)
                    _ = recv(line.client, &sink, sink.count, Int32(MSG_DONTWAIT))
                }
            }
            line.meters.end(line.server)
            let totals = line.meters.totals
            #expect(totals == SocketMeters.Totals(floodedConnections: totals.floodedConnections))
        }
    }
}
