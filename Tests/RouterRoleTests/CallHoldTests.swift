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
}
