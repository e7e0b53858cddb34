/// An error for a person or a client: what happened, whether a retry can help, and what to do.
@usableFromInline package struct TraceError: Error, CustomStringConvertible, Sendable {
    package enum Code: String, Sendable {
        /// The sender's data is invalid; the same bytes would be refused again.
        case invalidArgument
        /// The sender may not do that.
        case denied
        /// A limit is reached; a retry may succeed later.
        case exhausted
        /// The requested object does not exist.
        case notFound
        /// Stored bytes are damaged.
        case corrupt
        /// A person has to change the configuration or the environment.
        case configuration
        /// The operating system reported an error.
        case system
        /// The peer of a connection is gone or does not answer.
        case unreachable
    }

    package let code: Code
    package let message: String
    /// What a person can do about it, if anything.
    package let remedy: String?
    package let cause: (any Error)?

    package init(_ code: Code, _ message: String, remedy: String? = nil, cause: (any Error)? = nil)
    {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.cause = cause
    }

    package var isRetryable: Bool {
        switch code {
        case .exhausted, .unreachable: true
        case .invalidArgument, .denied, .notFound, .corrupt, .configuration, .system: false
        }
    }

    @usableFromInline package var description: String {
        var text = message
        if let cause { text += ": \(cause)" }
        if let remedy { text += ". \(remedy)" }
        return text
    }
}
