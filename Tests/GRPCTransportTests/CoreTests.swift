import Foundation
import Testing

@testable import GRPCTransport

/// What the transport knows of the core's private parts. `scripts/test` runs this target a second time without them.
@Suite struct CoreTests {
    /// Fails with a version of the core whose private parts have not been checked; the transport works without them.
    @Test func thisCoreIsKnown() {
        let isSwitchedOff = ProcessInfo.processInfo.environment["TRACE_GRPC_PUBLIC_ONLY"] != nil
        #expect(GRPCLibrary.knowsCore == !isSwitchedOff)
    }
}
