import NIOCore
import NIOHTTP1

/// Reports a connection's traffic to the connection table, and closes the output only after the last byte is sent. The
/// first handler of the pipeline.
final class ByteMeter: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = IOData

    private let id: ConnectionTable.ID
    private let connections: Connections
    private let peer: HTTPPeer
    /// Bytes written that the kernel has not taken yet.
    private var unsentBytes = 0
    /// A pending close of the output, which waits until `unsentBytes` is 0.
    private var closing: EventLoopPromise<Void>?

    init(_ id: ConnectionTable.ID, _ connections: Connections, _ peer: HTTPPeer) {
        self.id = id
        self.connections = connections
        self.peer = peer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connections.note { $0.received(id, now: $1) }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = Self.unwrapOutboundIn(data).readableBytes
        unsentBytes += bytes
        connections.note { $0.wrote(id, bytes: bytes, now: $1) }
        let written = promise ?? context.eventLoop.makePromise()
        written.futureResult.assumeIsolated().whenComplete { result in
            self.unsentBytes -= bytes
            switch result {
            case .success:
                self.connections.note { $0.sent(self.id, bytes: bytes, now: $1) }
                self.closeOutput(context)
            case .failure(let error):
                self.closing?.fail(error)
                self.closing = nil
            }
        }
        context.write(data, promise: written)
    }

    /// Delays closing the output until everything is sent: NIO drops unsent bytes if the client has closed its output
    /// already.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .output {
            context.close(mode: mode, promise: promise)
        } else if let closing {
            closing.futureResult.cascade(to: promise)
        } else {
            closing = promise ?? context.eventLoop.makePromise()
            closeOutput(context)
        }
    }

    private func closeOutput(_ context: ChannelHandlerContext) {
        guard unsentBytes == 0, let closing else { return }
        self.closing = nil
        connections.note { $0.lingers(id, now: $1) }
        context.close(mode: .output, promise: closing)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { peer.leave() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        peer.leave()
        connections.closed(id)
        context.fireChannelInactive()
    }
}

/// Refuses requests that the server does not support, and closes a connection after its last reply. Refused are
/// requests with a body, with a head that is too large or too slow, and with other protocols. Stands between the
/// HTTP/1 codec and Hummingbird's handlers.
final class RequestGuard: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// A refused request: sent through the pipeline as an inbound event, or found in the request itself.
    struct Refusal: Sendable {
        let status: HTTPResponseStatus
        let text: String
        let reason: HTTPClosure
    }

    private let id: ConnectionTable.ID
    private let connections: Connections
    private let bounds: HTTPBounds
    private let tally: HTTPTally
    /// For each request without a reply, whether the connection stays open after that reply.
    private var keepsAlive = CircularBuffer<Bool>()
    /// No further requests are read: the last one has been taken, or one was refused.
    private var isLast = false
    /// Sent once the earlier requests have their replies.
    private var refusal: Refusal?

    init(
        _ id: ConnectionTable.ID,
        _ connections: Connections,
        _ bounds: HTTPBounds,
        _ tally: HTTPTally
    ) {
        self.id = id
        self.connections = connections
        self.bounds = bounds
        self.tally = tally
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isLast { return }
        switch Self.unwrapInboundIn(data) {
        case .head(let head) where Self.hasBody(head):
            refuse(
                Refusal(
                    status: .payloadTooLarge,
                    text: "requests with a body are not supported",
                    reason: .body
                ),
                context
            )
        case .head(var head):
            // After a request to change the protocol the decoder reads no further requests.
            let isPlain = head.method != .CONNECT && !head.headers.contains(name: "upgrade")
            keepsAlive.append(head.isKeepAlive && isPlain)
            // Hummingbird goes by this header, however the client has asked for the close.
            if keepsAlive.last == false {
                head.headers.replaceOrAdd(name: "connection", value: "close")
            }
            connections.note { $0.tookHead(id, now: $1) }
            context.fireChannelRead(Self.wrapInboundOut(.head(head)))
        case .body: break
        case .end(let trailers):
            isLast = keepsAlive.last == false
            context.fireChannelRead(Self.wrapInboundOut(.end(trailers)))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow:
            refuse(
                Refusal(
                    status: .requestHeaderFieldsTooLarge,
                    text: "the request's head is larger than \(bounds.headBytes) bytes",
                    reason: .largeHead
                ),
                context
            )
        case is HTTPParserError:
            let text = "not an HTTP/1.1 request"
            refuse(Refusal(status: .badRequest, text: text, reason: .badRequest), context)
        default: context.fireErrorCaught(error)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let refusal = event as? Refusal else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        refuse(refusal, context)
    }

    /// A body follows if either field says so (RFC 9112, 6).
    private static func hasBody(_ head: HTTPRequestHead) -> Bool {
        head.headers.contains(name: "transfer-encoding")
            || head.headers["content-length"].contains { $0 != "0" }
    }

    // MARK: Replies

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch Self.unwrapOutboundIn(data) {
        case .head(var head):
            let stays = keepsAlive.first ?? false
            head.headers.replaceOrAdd(name: "Connection", value: stays ? "keep-alive" : "close")
            context.write(Self.wrapOutboundOut(.head(head)), promise: promise)
        case .body: context.write(data, promise: promise)
        case .end:
            if !keepsAlive.isEmpty { keepsAlive.removeFirst() }
            let (id, connections) = (id, connections)
            let sent = promise ?? context.eventLoop.makePromise()
            sent.futureResult.whenSuccess { connections.note { $0.replied(id, now: $1) } }
            context.write(data, promise: sent)
            if let refusal, keepsAlive.isEmpty { send(refusal, context) }
        }
    }

    private func refuse(_ refusal: Refusal, _ context: ChannelHandlerContext) {
        guard !isLast else { return }
        isLast = true
        tally.count(refusal.reason)
        if keepsAlive.isEmpty { send(refusal, context) } else { self.refusal = refusal }
    }

    /// Replies and closes the connection, because the end of the refused request cannot be found in the bytes that
    /// follow.
    private func send(_ refusal: Refusal, _ context: ChannelHandlerContext) {
        let text = ByteBuffer(string: refusal.text + "\n")
        let head = HTTPResponseHead(
            version: .http1_1,
            status: refusal.status,
            headers: [
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Length": "\(text.readableBytes)",
                "Connection": "close",
            ]
        )
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(Self.wrapOutboundOut(.body(.byteBuffer(text))), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        context.close(mode: .output, promise: nil)
    }
}
