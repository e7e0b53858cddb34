import Synchronization
import TraceModel

/// Limits for the clients of an `HTTPServer`. The defaults are those of production; tests shorten times.
package struct HTTPBounds: Sendable {
    /// Maximum number of open connections.
    package var connections = Limits.httpConnectionsMax
    /// Maximum size of a request's target and header fields.
    package var headBytes = Limits.httpHeadBytesMax
    package var headFields = Limits.httpHeadFieldsMax
    /// Time for a head to arrive, from the opening of the connection or the head's first byte.
    package var headSeconds = Limits.httpHeadSeconds
    /// Time between a reply and the next request.
    package var idleSeconds = Limits.httpIdleSeconds
    /// Time for a reader to take the next piece of a reply.
    package var progressSeconds = Limits.httpProgressSeconds
    /// Time for a reader to take nothing while the server is at its connection limit.
    package var stallSeconds = Limits.httpStallSeconds
    /// Time for a reply to be sent while the server is at its connection limit.
    package var replySeconds = Limits.httpReplySeconds
    /// Time for a client to close after the server did.
    package var lingerSeconds = Limits.httpLingerSeconds
    /// Memory of the bodies that pending replies carry, the newest body not counted.
    package var heldBytes = Limits.httpHeldBytesMax

    package init() {}
}

/// Reason why the server refused or closed a connection: label `reason` of `trace_http_connections_closed_total`.
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
    /// The server was at its connection limit, and another client connected.
    case displaced = "displaced"
}

/// Counters of an `HTTPServer` since its start.
package struct HTTPCounts: Sendable, Equatable {
    package var closed: [HTTPClosure: UInt64] = [:]
    /// Failed calls of accept(2) for lack of descriptors or memory; the connections kept waiting.
    package var acceptErrors: UInt64 = 0

    package init() {}
}

/// Collects the counters of an `HTTPServer`. Any thread.
package final class HTTPTally: Sendable {
    private let state = Mutex(HTTPCounts())

    package init() {}

    package var counts: HTTPCounts { state.withLock { $0 } }

    func count(_ reason: HTTPClosure) { state.withLock { $0.closed[reason, default: 0] += 1 } }

    func countAcceptError() { state.withLock { $0.acceptErrors += 1 } }
}
