internal import Glibc
internal import HTTPTypes
package import HummingbirdCore
package import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization
package import SystemIO

/// Serves HTTP/1.1 with Hummingbird over NIO. Every resource that a client can use is limited (`HTTPBounds`), so that
/// slow clients affect only their own connections. No request may have a body.
///
/// One thread (`http`) accepts connections and closes those whose deadline has passed. NIO reads and writes on another
/// one, and `respond` runs on Swift's thread pool. The server accepts connections itself because NIO spins when
/// accept(2) finds no free descriptor, and closes the listening socket on other errors.
package final class HTTPServer: Sendable {
    /// Returns the reply to a request of a client. Must not block.
    package typealias Respond = @Sendable (Request, HTTPPeer) async -> HTTPReply

    /// A reply is passed to NIO in slices of this size, the next one when the previous one is nearly sent.
    private static let sliceBytes = 128 << 10
    /// Socket send buffer, which the kernel doubles for its own bookkeeping (socket(7)).
    private static let sendBufferBytes: Int32 = 256 << 10
    /// Maximum size of one read, which limits how many pipelined requests are decoded at once.
    private static let readBytes = 4 << 10
    /// Interval at which deadlines are checked.
    private static let tickMilliseconds: Int32 = 250
    /// Pause after a failed accept, or while the server is at its connection limit.
    private static let retryMilliseconds: Int32 = 100
    /// Minimum interval between log lines about failing accepts.
    private static let logNanoseconds: Int64 = 60_000_000_000

    private let socket: ListeningSocket
    private let bounds: HTTPBounds
    private let tally: HTTPTally
    private let connections: Connections
    private let respond: Respond
    private let log: Logger
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let wakeup: Wakeup
    private let isStopping = Atomic(false)
    private let thread = Mutex<DedicatedThread?>(nil)
    /// Number of connections whose requests are being served.
    private let serving = Atomic(0)
    /// Signalled when `serving` becomes 0.
    private let isQuiet = ConditionLock()

    /// Starts serving on the socket; events are counted in `tally`.
    package init(
        _ socket: ListeningSocket,
        bounds: HTTPBounds = HTTPBounds(),
        tally: HTTPTally,
        log: Logger,
        _ respond: @escaping Respond
    ) throws(SystemError) {
        self.socket = socket
        self.bounds = bounds
        self.tally = tally
        self.respond = respond
        self.log = log
        connections = Connections(bounds, tally)
        wakeup = try Wakeup()
        thread.withLock { $0 = DedicatedThread("http") { [self] in run() } }
    }

    /// Stops accepting and closes all connections. Blocks; once only.
    package func stop() {
        isStopping.store(true, ordering: .releasing)
        wakeup.signal()
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
        // NIO traps if a channel is closed on an event loop that has shut down.
        isQuiet.withLock {
            while !connections.isEmpty || serving.load(ordering: .acquiring) > 0 {
                connections.closeAll()
                isQuiet.wait(until: WallClock.monotonic() + 10_000_000)
            }
        }
        try? group.syncShutdownGracefully()
    }

    // MARK: Accepting

    private func run() {
        var isFailing = false
        var loggedAt = Int64.min / 2
        while !isStopping.load(ordering: .acquiring) {
            let canAccept = !isFailing && connections.hasRoom()
            var polled = [pollfd(fd: wakeup.descriptor, events: Int16(POLLIN), revents: 0)]
            if canAccept {
                polled.append(pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0))
            }
            let limit =
                !canAccept
                ? Self.retryMilliseconds : connections.isEmpty ? -1 : Self.tickMilliseconds
            _ = unsafe poll(&polled, nfds_t(polled.count), limit)
            wakeup.clear()
            connections.expire()
            do throws(SystemError) {
                try acceptWaiting()
                isFailing = false
            } catch {
                isFailing = true
                tally.countAcceptError()
                let now = WallClock.monotonic()
                guard now - loggedAt >= Self.logNanoseconds else { continue }
                loggedAt = now
                log.error(
                    "connections cannot be accepted; clients wait",
                    metadata: ["why": "\(error)"]
                )
            }
        }
    }

    /// Accepts waiting connections up to the connection limit.
    private func acceptWaiting() throws(SystemError) {
        while connections.hasRoom(), let accepted = try socket.accept() {
            adopt(accepted.descriptor)
        }
    }

    /// Passes an accepted connection to NIO.
    private func adopt(_ descriptor: Int32) {
        try? ListeningSocket.setOption(SOL_SOCKET, SO_SNDBUF, Self.sendBufferBytes, of: descriptor)
        let id = connections.opened()
        ClientBootstrap(group: group).channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(
                .maxMessagesPerRead,
                value: 1
            ).channelOption(
                .recvAllocator,
                value: FixedSizeRecvByteBufferAllocator(capacity: Self.readBytes)
            )
            .channelOption(
                .writeBufferWaterMark,
                value: .init(low: Self.sliceBytes / 2, high: Self.sliceBytes)
            )
            .channelInitializer { channel in self.setUp(channel, id) }.withConnectedSocket(
                descriptor
            ).whenFailure {
                _ in self.connections.closed(id)
            }
    }

    /// Adds the handlers of one connection and starts serving it.
    private func setUp(_ channel: any Channel, _ id: ConnectionTable.ID) -> EventLoopFuture<Void> {
        let peer = HTTPPeer()
        let http = HTTP1Channel(
            responder: { request, writer, _ in
                try await self.reply(to: request, writer, id, peer)
            },
            configuration: HTTP1Channel.Configuration(
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: bounds.headBytes,
                    maxHeaderListSize: bounds.headBytes,
                    maxHeaderFieldCount: bounds.headFields
                )
            )
        )
        let pipeline = channel.pipeline
        return channel.eventLoop.makeCompletedFuture {
            try connections.attach(channel, to: id)
            try pipeline.syncOperations.addHandler(ByteMeter(id, connections, peer))
        }.flatMap { http.setup(channel: channel, logger: self.log) }.flatMapThrowing { value in
            let decoder = try pipeline.syncOperations.handler(
                type: ByteToMessageHandler<HTTPRequestDecoder>.self
            )
            try pipeline.syncOperations.addHandler(
                RequestGuard(id, self.connections, self.bounds, self.tally),
                position: .after(decoder)
            )
            self.serving.add(1, ordering: .relaxed)
            Task {
                await http.handle(value: value, logger: self.log)
                let left = self.serving.subtract(1, ordering: .releasing).newValue
                if left == 0 { self.isQuiet.withLock { self.isQuiet.signal() } }
            }
        }
    }

    // MARK: Replying

    private func reply(
        to request: Request,
        _ writer: consuming ResponseWriter,
        _ id: ConnectionTable.ID,
        _ peer: HTTPPeer
    ) async throws {
        let reply = await respond(request, peer)
        var head = HTTPResponse(status: reply.status, headerFields: reply.headers)
        let size: Int?
        switch reply.body {
        case .shared(let body):
            connections.holds(id, body)
            size = body.buffer.readableBytes
        case .stream(let stream):
            connections.holds(id, Self.streamed)
            size = stream.bytes
        }
        // The length of a page that has not changed would be that of the page.
        if let size, reply.status != .notModified {
            head.headerFields[.contentLength] = "\(size)"
        }
        if request.method == .head || reply.status == .notModified {
            return try await writer.writeResponse(head)
        }
        switch reply.body {
        case .shared(let body) where body.buffer.readableBytes <= Self.sliceBytes:
            try await writer.write(response: head, body: ResponseBody(byteBuffer: body.buffer))
        case .shared(let body):
            var rest = body.buffer
            var output = try await writer.writeHead(head)
            while let slice = rest.readSlice(length: min(rest.readableBytes, Self.sliceBytes)),
                slice.readableBytes > 0
            { try await output.write(slice) }
            try await output.finish(nil)
        case .stream(let stream):
            var output = try await writer.writeHead(head)
            var sent = 0
            while size.map({ sent < $0 }) ?? true {
                let piece = try await stream.next()
                sent += piece.count
                if size == nil, piece.isEmpty { break }
                guard !piece.isEmpty, sent <= size ?? .max else { throw ChannelError.eof }
                try await output.write(ByteBuffer(bytes: piece))
            }
            try await output.finish(nil)
        }
    }

    /// Stands for every streamed body in the connection table.
    private static let streamed = SharedBody([])
}
