import IngestLog
import Testing
import TraceModel

@testable import RouterRole

/// When a window ends.
@Suite struct WindowPlannerTests {
    private static let second: Int64 = 1_000_000_000
    private static let start: Int64 = 77 * second
    private static let age = Int64(Limits.windowSecondsMax) * second

    @Test func anEmptyWindowStaysOpen() {
        let planner = WindowPlanner()
        #expect(planner.due(now: Self.start + 1_000 * Self.age) == nil)
    }

    @Test func sizeIsCountedByResource() {
        var planner = WindowPlanner()
        for resource in Resource.allCases {
            let bytes = Limits.windowWireBytesMax - 1
            planner.logged(resource, events: 0, bytes: bytes, now: Self.start)
        }
        #expect(planner.due(now: Self.start) == nil)
        planner.logged(.io, events: 0, bytes: 1, now: Self.start)
        #expect(planner.due(now: Self.start) == .size)
        planner.closed()
        #expect(planner.due(now: Self.start) == nil)
        planner.logged(.io, events: 0, bytes: Limits.windowWireBytesMax - 1, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
    }

    /// Small events become much more than they came in.
    @Test func sizeIsAlsoThatOfTheEstimatedJSON() {
        var planner = WindowPlanner()
        let perEvent = 30 + Limits.jsonBytesPerEvent(.memory)
        let events = Limits.windowJSONBytesMax / perEvent
        planner.logged(.memory, events: events, bytes: 30 * events, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
        planner.logged(.memory, events: 1, bytes: perEvent, now: Self.start)
        #expect(planner.due(now: Self.start) == .size)
        planner.closed()
        planner.logged(.memory, events: 1, bytes: 30, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
    }

    /// Age counts from the first event of a window, not from the barrier before it.
    @Test func ageCountsFromTheFirstEvent() {
        var planner = WindowPlanner()
        planner.logged(.cpu, events: 0, bytes: 1, now: Self.start)
        planner.logged(.cpu, events: 0, bytes: 1, now: Self.start + Self.age - 1)
        #expect(planner.due(now: Self.start + Self.age - 1) == nil)
        #expect(planner.due(now: Self.start + Self.age) == .age)
        planner.closed()
        let later = Self.start + 10 * Self.age
        planner.logged(.cpu, events: 0, bytes: 1, now: later)
        #expect(planner.due(now: later + Self.age - 1) == nil)
        #expect(planner.due(now: later + Self.age) == .age)
    }

    @Test func aRequestEndsAlsoAnEmptyWindowAndTheFirstReasonHolds() {
        var planner = WindowPlanner()
        planner.request(.command)
        planner.request(.stop)
        #expect(planner.due(now: Self.start) == .command)
        planner.logged(.cpu, events: 0, bytes: Limits.windowWireBytesMax, now: Self.start)
        #expect(planner.due(now: Self.start) == .command)
        planner.closed()
        #expect(planner.due(now: Self.start) == nil)
    }

    /// Many clients that end at once leave one window, not one each.
    @Test func lastBatchesAreHeldApart() {
        var planner = WindowPlanner()
        planner.lastBatch(now: Self.start)
        #expect(planner.due(now: Self.start) == .lastBatch)
        planner.closed()
        planner.lastBatch(now: Self.start + 10 * Self.second - 1)
        #expect(planner.due(now: Self.start + 10 * Self.second - 1) == nil)
        planner.lastBatch(now: Self.start + 10 * Self.second)
        #expect(planner.due(now: Self.start + 10 * Self.second) == .lastBatch)
    }
}
