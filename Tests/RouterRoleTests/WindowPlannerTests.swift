import IngestLog
import Testing
import TraceModel

@testable import RouterRole

/// When a window ends.
@Suite struct WindowPlannerTests {
    private static let second: Int64 = 1_000_000_000
    private static let start: Int64 = 77 * second
    private static let oneWorker = SlotMap(workers: [:])
    private static let age = Int64(Limits.windowSecondsMax) * second

    @Test func anEmptyWindowStaysOpen() {
        let planner = WindowPlanner(Self.oneWorker)
        #expect(planner.due(now: Self.start + 1_000 * Self.age) == nil)
    }

    @Test func sizeIsCountedByResource() {
        var planner = WindowPlanner(Self.oneWorker)
        for resource in Resource.allCases {
            let bytes = Limits.windowWireBytesMax - 1
            planner.logged(resource, events: 0, bytes: bytes, now: Self.start)
        }
        #expect(planner.due(now: Self.start) == nil)
        planner.logged(.io, events: 0, bytes: 1, now: Self.start)
        #expect(planner.due(now: Self.start) == .size)
        planner.closed(next: Self.oneWorker)
        #expect(planner.due(now: Self.start) == nil)
        planner.logged(.io, events: 0, bytes: Limits.windowWireBytesMax - 1, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
    }

    /// Small events become much more than they came in.
    @Test func sizeIsAlsoThatOfTheEstimatedJSON() {
        var planner = WindowPlanner(Self.oneWorker)
        let perEvent = 30 + Limits.jsonBytesPerEvent(.memory)
        let events = Limits.windowJSONBytesMax / perEvent
        planner.logged(.memory, events: events, bytes: 30 * events, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
        planner.logged(.memory, events: 1, bytes: perEvent, now: Self.start)
        #expect(planner.due(now: Self.start) == .size)
        planner.closed(next: Self.oneWorker)
        planner.logged(.memory, events: 1, bytes: 30, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
    }

    /// As many times as large as the resource has workers, within a bound, from the window on that these work in.
    @Test func ofSeveralWorkersItIsLarger() {
        var planner = WindowPlanner(SlotMap(workers: [.function: 3, .gpu: 16]))
        func grows(_ resource: Resource, to growth: Int, next slotMap: SlotMap) {
            let bytes = growth * Limits.windowWireBytesMax
            planner.logged(resource, events: 0, bytes: bytes - 1, now: Self.start)
            #expect(planner.due(now: Self.start) == nil)
            planner.logged(resource, events: 0, bytes: 1, now: Self.start)
            #expect(planner.due(now: Self.start) == .size)
            planner.closed(next: slotMap)
        }
        grows(.function, to: 3, next: SlotMap(workers: [.function: 3, .gpu: 16]))
        grows(.gpu, to: Limits.windowGrowthMax, next: SlotMap(workers: [.function: 3, .gpu: 16]))
        grows(.io, to: 1, next: SlotMap(workers: [.function: 2]))
        grows(.function, to: 2, next: Self.oneWorker)
        grows(.function, to: 1, next: Self.oneWorker)
        let perEvent = Limits.jsonBytesPerEvent(.cpu)
        planner.closed(next: SlotMap(workers: [.cpu: 2]))
        let events = 2 * Limits.windowJSONBytesMax / perEvent
        planner.logged(.cpu, events: events, bytes: 0, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
        planner.logged(.cpu, events: 1, bytes: 0, now: Self.start)
        #expect(planner.due(now: Self.start) == .size)
    }

    /// Age counts from the first event of a window, not from the barrier before it.
    @Test func ageCountsFromTheFirstEvent() {
        var planner = WindowPlanner(Self.oneWorker)
        planner.logged(.cpu, events: 0, bytes: 1, now: Self.start)
        planner.logged(.cpu, events: 0, bytes: 1, now: Self.start + Self.age - 1)
        #expect(planner.due(now: Self.start + Self.age - 1) == nil)
        #expect(planner.due(now: Self.start + Self.age) == .age)
        planner.closed(next: Self.oneWorker)
        let later = Self.start + 10 * Self.age
        planner.logged(.cpu, events: 0, bytes: 1, now: later)
        #expect(planner.due(now: later + Self.age - 1) == nil)
        #expect(planner.due(now: later + Self.age) == .age)
    }

    @Test func aRequestEndsAlsoAnEmptyWindowAndTheFirstReasonHolds() {
        var planner = WindowPlanner(Self.oneWorker)
        planner.request(.command)
        planner.request(.stop)
        #expect(planner.due(now: Self.start) == .command)
        planner.logged(.cpu, events: 0, bytes: Limits.windowWireBytesMax, now: Self.start)
        #expect(planner.due(now: Self.start) == .command)
        planner.closed(next: Self.oneWorker)
        #expect(planner.due(now: Self.start) == nil)
    }

    /// Many clients that end at once leave one window, not one each.
    @Test func lastBatchesAreHeldApart() {
        var planner = WindowPlanner(Self.oneWorker)
        planner.lastBatch(now: Self.start)
        #expect(planner.due(now: Self.start) == .lastBatch)
        planner.closed(next: Self.oneWorker)
        planner.lastBatch(now: Self.start + 10 * Self.second - 1)
        #expect(planner.due(now: Self.start + 10 * Self.second - 1) == nil)
        planner.lastBatch(now: Self.start + 10 * Self.second)
        #expect(planner.due(now: Self.start + 10 * Self.second) == .lastBatch)
    }
}
