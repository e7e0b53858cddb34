import GRPCServices
import GRPCTransport
import TraceModel

extension TraceError {
    /// As the status of a call. Never `unavailable`, which makes agents stop sending for good.
    var status: GRPCStatus {
        switch code {
        case .invalidArgument: .invalidArgument
        case .exhausted, .unreachable: .resourceExhausted
        case .notFound: .notFound
        case .configuration: .failedPrecondition
        case .corrupt, .system: .internal
        }
    }

    /// When to try again, where that can help.
    var trailers: [GRPCTrailer] {
        guard isRetryable else { return [] }
        return [RetryInfo.trailer(status: status, message: description, delaySeconds: 1)]
    }
}
