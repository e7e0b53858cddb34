import GRPCServices
import GRPCTransport
package import TraceModel

/// Sends batches by `SendTraceBatch`. C-core reconnects by itself at the next call.
package final class GRPCBatchTransport: BatchTransport {
    private static let path = TracerService.Method.sendTraceBatch.path
    /// The server holds a call for 5 s before it refuses; a large message takes time on top.
    private static let timeoutSeconds = 60.0

    private let client: GRPCClient

    /// `close` must be called in every case.
    package init(server: HostPort) {
        client = GRPCClient(target: "\(server)")
    }

    package func close() { client.close() }

    package func attempt(_ batch: [UInt8]) -> AttemptOutcome {
        do throws(GRPCCallError) {
            let response = try client.unary(
                Self.path,
                batch,
                timeoutSeconds: Self.timeoutSeconds
            )
            return Self.outcome(of: response)
        } catch {
            return Self.outcome(of: error)
        }
    }

    /// A server of the original's kind answers OK without success where it failed for now.
    private static func outcome(of response: [UInt8]) -> AttemptOutcome {
        do {
            let answer = try TraceResponse(decoding: response)
            if answer.success { return .accepted }
            return .retry(reason: "no success: \(answer.message)", after: nil)
        } catch {
            return .retry(reason: "the answer is no TraceResponse", after: nil)
        }
    }

    private static func outcome(of error: GRPCCallError) -> AttemptOutcome {
        switch error.status {
        case .resourceExhausted:
            let asked = RetryInfo.delaySeconds(in: error.details)
            return .retry(reason: error.message, after: asked)
        case .unavailable, .deadlineExceeded, .aborted, .cancelled, .unknown, .internal:
            return .retry(reason: error.message, after: nil)
        case .ok, .invalidArgument, .notFound, .alreadyExists, .permissionDenied,
            .failedPrecondition, .outOfRange, .unimplemented, .dataLoss, .unauthenticated:
            return .refused(reason: "\(error)")
        }
    }
}
