import IngestLog
import Testing
import TraceModel

@testable import RouterRole

/// Tests when a window ends.
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
        planner.closed(next: Self.oneWorker, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
        planner.logged(.io, events: 0, bytes: Limits.windowWireBytesMax - 1, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
    }

    /// The output of small events is much larger than their input.
    @Test func sizeIsAlsoThatOfTheEstimatedJSON() {
        var planner = WindowPlanner(Self.oneWorker)
        let perEvent = 30 + Limits.jsonBytesPerEvent(.memory)
        let events = Limits.windowJSONBytesMax / perEvent
        planner.logged(.memory, events: events, bytes: 30 * events, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
        planner.logged(.memory, events: 1, bytes: perEvent, now: Self.start)
        #expect(planner.due(now: Self.start) == .size)
        planner.closed(next: Self.oneWorker, now: Self.start)
        planner.logged(.memory, events: 1, bytes: 30, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
    }

    /// The size limit is multiplied by the number of the resource's workers, up to a bound, from their first window
    /// on.
    @Test func ofSeveralWorkersItIsLarger() {
        var planner = WindowPlanner(SlotMap(workers: [.function: 3, .gpu: 16]))
        func grows(_ resource: Resource, to growth: Int, next slotMap: SlotMap) {
            let bytes = growth * Limits.windowWireBytesMax
            planner.logged(resource, events: 0, bytes: bytes - 1, now: Self.start)
            #expect(planner.due(now: Self.start) == nil)
            planner.logged(resource, events: 0, bytes: 1, now: Self.start)
            #expect(planner.due(now: Self.start) == .size)
            planner.closed(next: slotMap, now: Self.start)
        }
        grows(.function, to: 3, next: SlotMap(workers: [.function: 3, .gpu: 16]))
        grows(.gpu, to: Limits.windowGrowthMax, next: SlotMap(workers: [.function: 3, .gpu: 16]))
        grows(.io, to: 1, next: SlotMap(workers: [.function: 2]))
        grows(.function, to: 2, next: Self.oneWorker)
        grows(.function, to: 1, next: Self.oneWorker)
        let perEvent = Limits.jsonBytesPerEvent(.cpu)
        planner.closed(next: SlotMap(workers: [.cpu: 2]), now: Self.start)
        let events = 2 * Limits.windowJSONBytesMax / perEvent
        planner.logged(.cpu, events: events, bytes: 0, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
        planner.logged(.cpu, events: 1, bytes: 0, now: Self.start)
        #expect(planner.due(now: Self.start) == .size)
    }

    /// A window's age counts from its first event, not from the barrier before it.
    @Test func ageCountsFromTheFirstEvent() {
        var planner = WindowPlanner(Self.oneWorker)
        planner.logged(.cpu, events: 0, bytes: 1, now: Self.start)
        planner.logged(.cpu, events: 0, bytes: 1, now: Self.start + Self.age - 1)
        #expect(planner.due(now: Self.start + Self.age - 1) == nil)
        #expect(planner.due(now: Self.start + Self.age) == .age)
        planner.closed(next: Self.oneWorker, now: Self.start)
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
        planner.closed(next: Self.oneWorker, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
    }

    /// Last batches of many clients that end at once end one window; the last of them ends another one 10 s later.
    @Test func lastBatchesAreHeldApartAndNoneIsDropped() {
        var planner = WindowPlanner(Self.oneWorker)
        let next = Self.start + 10 * Self.second
        planner.lastBatch(now: Self.start)
        #expect(planner.due(now: Self.start) == .lastBatch)
        planner.closed(next: Self.oneWorker, now: Self.start)
        #expect(planner.due(now: next) == nil)
        for delay in [1, 5, 9] {
            let now = Self.start + Int64(delay) * Self.second
            planner.lastBatch(now: now)
            #expect(planner.due(now: now) == nil)
        }
        #expect(planner.due(now: next - 1) == nil)
        #expect(planner.due(now: next) == .lastBatch)
        // Noticed a little late: the next window may end 10 s after that.
        planner.closed(next: Self.oneWorker, now: next + Self.second / 2)
        planner.lastBatch(now: next + Self.second)
        #expect(planner.due(now: next + 10 * Self.second) == nil)
        #expect(planner.due(now: next + 10 * Self.second + Self.second / 2) == .lastBatch)
    }

    /// A window that ends for another reason includes the last batch that waited for its end.
    @Test func anotherEndServesALastBatchThatWaits() {
        var planner = WindowPlanner(Self.oneWorker)
        planner.lastBatch(now: Self.start)
        planner.closed(next: Self.oneWorker, now: Self.start)
        planner.lastBatch(now: Self.start + Self.second)
        planner.request(.command)
        #expect(planner.due(now: Self.start + 2 * Self.second) == .command)
        planner.closed(next: Self.oneWorker, now: Self.start + 2 * Self.second)
        #expect(planner.due(now: Self.start + 100 * Self.second) == nil)
        planner.lastBatch(now: Self.start + 10 * Self.second)
        #expect(planner.due(now: Self.start + 10 * Self.second) == .lastBatch)
    }

    /// The bytes that workers have written end a window whose estimate was lower.
    @Test func sizeIsAlsoWhatWorkersReport() {
        var planner = WindowPlanner(SlotMap(workers: [.cpu: 2]))
        planner.logged(.cpu, events: 1, bytes: 100, now: Self.start)
        planner.logged(.io, events: 1, bytes: 100, now: Self.start)
        func report(_ resource: Resource, _ bytes: Int) -> BarrierPayload.Reason? {
            var reported: InlineArray<6, Int> = InlineArray(repeating: 0)
            reported[Int(resource.rawValue)] = bytes
            planner.reported(reported)
            return planner.due(now: Self.start)
        }
        #expect(report(.io, Limits.windowOutputBytesMax - 1) == nil)
        #expect(report(.io, Limits.windowOutputBytesMax) == .size)
        #expect(report(.cpu, 2 * Limits.windowOutputBytesMax - 1) == nil)
        #expect(report(.cpu, 2 * Limits.windowOutputBytesMax) == .size)
        planner.closed(next: Self.oneWorker, now: Self.start)
        planner.logged(.cpu, events: 1, bytes: 100, now: Self.start)
        #expect(planner.due(now: Self.start) == nil)
    }

    /// A router continues the open window after a restart.
    @Test func aWindowLeftOpenGoesOn() {
        var window = OpenWindow()
        var events: InlineArray<6, Int> = InlineArray(repeating: 0)
        var bytes: InlineArray<6, Int> = InlineArray(repeating: 0)
        events[Int(Resource.io.rawValue)] = 1
        bytes[Int(Resource.io.rawValue)] = Limits.windowWireBytesMax - 1
        window.add(events: events, wireBytes: bytes, isLastBatch: false, arrival: 5)
        func planner(_ window: OpenWindow) -> WindowPlanner {
            WindowPlanner(Self.oneWorker, continuing: window, age: Self.second, now: Self.start)
        }
        var continued = planner(window)
        #expect(continued.due(now: Self.start + Self.age - Self.second - 1) == nil)
        #expect(continued.due(now: Self.start + Self.age - Self.second) == .age)
        continued.logged(.io, events: 1, bytes: 1, now: Self.start)
        #expect(continued.due(now: Self.start) == .size)
        window.add(events: events, wireBytes: bytes, isLastBatch: true, arrival: 6)
        #expect(planner(window).due(now: Self.start) == .lastBatch)
        #expect(planner(OpenWindow()).due(now: Self.start + 10 * Self.age) == nil)
    }
}
