import NIOCore
import NIOHTTP1

/// Tells the table of connections what goes over one of them, and closes it only behind its last byte. The first
/// handler of its pipeline.
final class ByteMeter: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = IOData

    private let id: ConnectionTable.ID
    private let connections: Connections
    /// Written and not yet taken by the kernel.
    private var unsentBytes = 0
    /// The closing of the output, which waits for those.
    private var closing: EventLoopPromise<Void>?

    init(_ id: ConnectionTable.ID, _ connections: Connections) {
        self.id = id
        self.connections = connections
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

    /// NIO drops what is not sent where the client has closed its output before; so this waits.
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

    func channelInactive(context: ChannelHandlerContext) {
        connections.closed(id)
        context.fireChannelInactive()
    }
}

/// Refuses what no request of ours has (a body, a head too large or too slow, other protocols), and ends a connection
/// behind its last reply. Stands between the codec of HTTP/1 and the handlers of Hummingbird.
final class RequestGuard: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Why a request is refused: sent through the pipeline as an inbound event, or found in the request itself.
    struct Refusal: Sendable {
        let status: HTTPResponseStatus
        let text: String
        let reason: HTTPClosure
    }

    private let id: ConnectionTable.ID
    private let connections: Connections
    private let bounds: HTTPBounds
    private let tally: HTTPTally
    /// Whether the connection stays open behind the reply, for each request without a reply.
    private var keepsAlive = CircularBuffer<Bool>()
    /// Nothing is read any more: the last request has been taken, or one was refused.
    private var isLast = false
    /// Follows when the requests before it have their replies.
    private var refusal: Refusal?

    init(_ id: ConnectionTable.ID, _ connections: Connections, _ bounds: HTTPBounds, _ tally: HTTPTally) {
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
            refuse(Refusal(status: .payloadTooLarge, text: "no request here takes a body", reason: .body), context)
        case .head(var head):
            // Behind a request to change the protocol the decoder reads no further ones.
            let isPlain = head.method != .CONNECT && !head.headers.contains(name: "upgrade")
            keepsAlive.append(head.isKeepAlive && isPlain)
            // What Hummingbird goes by, in whatever way the client has said it.
            if keepsAlive.last == false { head.headers.replaceOrAdd(name: "connection", value: "close") }
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
                    text: "the request's head is larger than \(bounds.headBytes) bytes", reason: .largeHead), context)
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

    /// RFC 9112, 6: either field says that a body follows.
    private static func hasBody(_ head: HTTPRequestHead) -> Bool {
        head.headers.contains(name: "transfer-encoding") || head.headers["content-length"].contains { $0 != "0" }
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

    /// Answers and closes the connection: where the refused request ends among the bytes that follow is not known.
    private func send(_ refusal: Refusal, _ context: ChannelHandlerContext) {
        let text = ByteBuffer(string: refusal.text + "\n")
        let head = HTTPResponseHead(
            version: .http1_1, status: refusal.status,
            headers: [
                "Content-Type": "text/plain; charset=utf-8", "Content-Length": "\(text.readableBytes)",
                "Connection": "close",
            ])
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(Self.wrapOutboundOut(.body(.byteBuffer(text))), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        context.close(mode: .output, promise: nil)
    }
}
