import Testing
import TraceModel

@testable import RouterRole

@Suite struct CallHoldTests {
    private static let span = Int64(Limits.callHoldSeconds) * 1_000_000_000

    @Test func aCallIsHeldForOneSpanFromItsArrival() {
        let hold = CallHold(arrival: 77)
        #expect(!hold.isOver(at: 77) && !hold.isOver(at: 77 + Self.span - 1))
        #expect(hold.isOver(at: 77 + Self.span))
    }

    /// What it waited for its turn to be received belongs to it.
    @Test func whatItWaitedBeforeCounts() {
        #expect(CallHold(arrival: 1_000, waited: 400).end == 600 + Self.span)
        #expect(CallHold(arrival: 1_000, waited: 2 * Self.span).end == 1_000)
        #expect(CallHold(arrival: 1_000, waited: -5).end == 1_000 + Self.span)
    }
}
