import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import RouterRole

/// Tests the state that the router keeps from barrier to barrier and over a restart.
@Suite struct RouterStateTests {
    private static let map = SlotMap(workers: [.function: 2])

    /// Makes a barrier as the committer does.
    private func pass(
        _ second: String,
        map: SlotMap = RouterStateTests.map,
        end: LSN = 100,
        in state: inout RouterState
    ) -> BarrierPayload {
        let barrier = BarrierPayload(
            window: state.window,
            reason: .size,
            stem: state.stem(second: second),
            slotMap: map
        )
        state.passed(barrier, end: end)
        return barrier
    }

    private func restarted(_ state: RouterState) throws -> RouterState {
        var buffer = RawBuffer()
        state.encodeHead(into: &buffer)
        var fresh = RouterState(slotMap: SlotMap(workers: [.gpu: 9]))
        try fresh.restoreHead(buffer.bytes)
        return fresh
    }

    @Test func stemsWithinOneSecondAreNumbered() {
        var state = RouterState(slotMap: Self.map)
        let stems = (0..<4).map { _ in pass("20251122_101500", in: &state).stem }
        #expect(
            stems == [
                "20251122_101500", "20251122_101500_2", "20251122_101500_3", "20251122_101500_4",
            ]
        )
        #expect(pass("20251122_101501", in: &state).stem == "20251122_101501")
        #expect(state.window == 5)
    }

    /// No stem may repeat, although clocks are set back and an hour repeats at the end of summer time: the second
    /// file would replace the first.
    @Test(arguments: 0..<20 as Range<UInt64>) func stemsAreUniqueWhateverTheClockDoes(
        seed: UInt64
    ) throws {
        var generator = SeededGenerator(seed: seed)
        var state = RouterState(slotMap: Self.map)
        var seen: Set<String> = []
        var second = 5_000
        for step in 0..<400 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<5: break
            case 5..<9: second += Int.random(in: 0..<3, using: &generator)
            default: second -= Int.random(in: 0..<20, using: &generator)
            }
            let barrier = pass("20251026_02\(second)", in: &state)
            let isNew = seen.insert(barrier.stem).inserted
            try #require(isNew, "seed \(seed), step \(step): \(barrier.stem)")
            if step % 7 == 0 { state = try restarted(state) }
            // Same as a replay of the log.
            if step % 11 == 0 { state.passed(barrier, end: 100) }
        }
    }

    @Test func aHeadCarriesEverything() throws {
        var state = RouterState(slotMap: Self.map)
        let wider = Self.map.rescaled(.io, to: 5)
        _ = pass("20251122_101500", end: 640, in: &state)
        _ = pass("20251122_101500", map: wider, end: 1_280, in: &state)
        state.dedup.insert(client: [1], sequence: 3, digest: 4)
        var copy = try restarted(state)
        #expect(copy.window == 2 && copy.windowBegin == 1_280)
        #expect(copy.slotMap == wider)
        #expect(copy.dedup.check(client: [1], sequence: 3, digest: 4) == .duplicate)
        #expect(pass("20251122_101500", in: &copy).stem == "20251122_101500_3")
        let place = try restarted(state).history.place(at: 5_000)
        #expect(place.window == 2 && place.windowBegin == 1_280 && place.map == wider)
    }

    @Test func theHeadOfANewLogHoldsItsFirstMap() throws {
        let copy = try restarted(RouterState(slotMap: Self.map))
        #expect(copy.window == 0 && copy.windowBegin == 0)
        #expect(copy.slotMap == Self.map)
        #expect(copy.stem(second: "20251122_101500") == "20251122_101500")
    }

    @Test func aHeadCutOffIsRefused() throws {
        var state = RouterState(slotMap: Self.map)
        _ = pass("20251122_101500", in: &state)
        state.dedup.insert(client: [1], sequence: 3, digest: 4)
        var buffer = RawBuffer()
        state.encodeHead(into: &buffer)
        for length in stride(from: 0, to: buffer.count, by: 7) {
            var fresh = RouterState(slotMap: Self.map)
            #expect(throws: TraceError.self) {
                try fresh.restoreHead(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<length]))
            }
        }
    }
}
