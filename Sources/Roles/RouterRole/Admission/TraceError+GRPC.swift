import GRPCServices
import GRPCTransport
import TraceModel

extension TraceError {
    /// The status of a call that fails with this error. Never `unavailable`, which makes agents stop sending
    /// permanently.
    var status: GRPCStatus {
        switch code {
        case .invalidArgument: .invalidArgument
        case .denied: .permissionDenied
        case .exhausted, .unreachable: .resourceExhausted
        case .notFound: .notFound
        case .configuration: .failedPrecondition
        case .corrupt, .system: .internal
        }
    }

    /// When to try again, for errors where that can help.
    var trailers: [GRPCTrailer] {
        guard isRetryable else { return [] }
        return [RetryInfo.trailer(status: status, message: description, delaySeconds: 1)]
    }
}
