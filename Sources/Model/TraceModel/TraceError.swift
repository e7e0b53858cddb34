/// An error that reaches a person or a client: what happened, whether trying again can help, and what to do.
@usableFromInline package struct TraceError: Error, CustomStringConvertible, Sendable {
    package enum Code: String, Sendable {
        /// The sender's data is at fault; the same bytes will be refused again.
        case invalidArgument
        /// A bound is reached; later it may fit.
        case exhausted
        /// The thing asked for is not there.
        case notFound
        /// Stored bytes are damaged.
        case corrupt
        /// The configuration or the environment has to be changed by a person.
        case configuration
        /// The operating system refused.
        case system
        /// The other side of a connection is gone or silent.
        case unreachable
    }

    package let code: Code
    package let message: String
    /// What a person can do about it, where there is something.
    package let remedy: String?
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, remedy: String? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.cause = cause
    }

    package var isRetryable: Bool {
        switch code {
        case .exhausted, .unreachable: true
        case .invalidArgument, .notFound, .corrupt, .configuration, .system: false
        }
    }

    @usableFromInline package var description: String {
        var text = message
        if let cause { text += ": \(cause)" }
        if let remedy { text += ". \(remedy)" }
        return text
    }
}
