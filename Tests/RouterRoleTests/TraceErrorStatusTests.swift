import GRPCServices
import GRPCTransport
import Testing
import TraceModel

@testable import RouterRole

@Suite struct TraceErrorStatusTests {
    private static let codes: [TraceError.Code] = [
        .invalidArgument, .exhausted, .notFound, .corrupt, .configuration, .system, .unreachable,
    ]

    /// An agent that receives `UNAVAILABLE` stops sending permanently.
    @Test(arguments: codes) func noErrorIsUnavailable(code: TraceError.Code) {
        let error = TraceError(code, "text")
        #expect(error.status != .unavailable && error.status != .ok)
        #expect(error.trailers.isEmpty == !error.isRetryable)
    }

    @Test func whatCanBeTriedAgainSaysWhen() throws {
        let error = TraceError(.exhausted, "full")
        #expect(error.status == .resourceExhausted)
        let trailer = try #require(error.trailers.first)
        #expect(trailer.name == "grpc-status-details-bin")
        #expect(RetryInfo.delaySeconds(in: trailer.bytes) == 1)
    }
}
