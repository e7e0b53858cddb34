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
