import Synchronization
import TraceModel

/// What the clients of an `HTTPServer` may use. The defaults are the limits of production; tests shorten times.
package struct HTTPBounds: Sendable {
    /// Connections open at once.
    package var connections = Limits.httpConnectionsMax
    /// Bytes of a request's target and header fields.
    package var headBytes = Limits.httpHeadBytesMax
    package var headFields = Limits.httpHeadFieldsMax
    /// For one head to arrive, from the opening of the connection or the head's first byte.
    package var headSeconds = Limits.httpHeadSeconds
    /// Between a reply and the next request.
    package var idleSeconds = Limits.httpIdleSeconds
    /// For a reader to take the next piece of a reply.
    package var progressSeconds = Limits.httpProgressSeconds
    /// For a reader to take nothing while other clients have no place.
    package var stallSeconds = Limits.httpStallSeconds
    /// For a reply to be sent while other clients have no place.
    package var replySeconds = Limits.httpReplySeconds
    /// For a client to close after the server did.
    package var lingerSeconds = Limits.httpLingerSeconds
    /// Bytes of the bodies that replies under way keep in memory, beside the newest body.
    package var heldBytes = Limits.httpHeldBytesMax

    package init() {}
}

/// Why the server refused or closed a connection: the label `reason` of `trace_http_connections_closed_total`.
package enum HTTPClosure: String, CaseIterable, Sendable {
    /// The head did not arrive in time (408).
    case slowHead = "slow_head"
    /// The head has too many bytes or fields (431).
    case largeHead = "large_head"
    /// The request has a body (413).
    case body = "body"
    /// Not an HTTP/1 request (400).
    case badRequest = "bad_request"
    /// No request followed the last one in time.
    case idle = "idle"
    /// The client took nothing of its reply for too long.
    case slowReader = "slow_reader"
    /// The client was the slowest reader of the oldest body when bodies had to be freed.
    case heldBody = "held_body"
    /// All places were taken, and another client came.
    case displaced = "displaced"
}

/// How often what happened at an `HTTPServer` since its start.
package struct HTTPCounts: Sendable, Equatable {
    package var closed: [HTTPClosure: UInt64] = [:]
    /// Failed calls of accept(2) for want of descriptors or memory; the connections went on waiting.
    package var acceptErrors: UInt64 = 0

    package init() {}
}

/// Where an `HTTPServer` counts. Any thread may call.
package final class HTTPTally: Sendable {
    private let state = Mutex(HTTPCounts())

    package init() {}

    package var counts: HTTPCounts { state.withLock { $0 } }

    func count(_ reason: HTTPClosure) { state.withLock { $0.closed[reason, default: 0] += 1 } }

    func countAcceptError() { state.withLock { $0.acceptErrors += 1 } }
}
