import ClusterMessages
import Testing
import TraceModel

@testable import AggregatorRole

@Suite struct SlotCoverageTests {
    private func range(_ slots: ClosedRange<UInt8>, _ from: LSN, _ to: LSN) -> SlotRange {
        WindowFactory.range(slots, from, to)
    }

    @Test func oneOwnerOfAllSlotsIsComplete() {
        #expect(SlotCoverage.of([range(0...255, 10, 90)], from: 10, to: 90) == .complete)
    }

    @Test func severalOwnersAndHandoversJoin() {
        let ranges = [
            range(0...99, 10, 90), range(100...255, 40, 90), range(100...180, 20, 40),
            range(181...255, 10, 40),
            range(100...180, 10, 20),
            // An owner that gained or lost slots without applying a record of the window.
            range(0...255, 50, 50), range(7...7, 10, 10), range(7...7, 90, 90),
        ]
        #expect(SlotCoverage.of(ranges, from: 10, to: 90) == .complete)
        #expect(SlotCoverage.of(ranges.reversed(), from: 10, to: 90) == .complete)
    }

    @Test func gapsAreFoundAtTheBeginInTheMiddleAndAtTheEnd() {
        #expect(SlotCoverage.of([], from: 10, to: 90) == .gap(slot: 0, at: 10))
        let late = [range(0...4, 10, 90), range(5...255, 11, 90)]
        #expect(SlotCoverage.of(late, from: 10, to: 90) == .gap(slot: 5, at: 10))
        let torn = [range(0...255, 10, 30), range(0...254, 30, 90), range(255...255, 31, 90)]
        #expect(SlotCoverage.of(torn, from: 10, to: 90) == .gap(slot: 255, at: 30))
        let short = [range(0...254, 10, 90), range(255...255, 10, 89)]
        #expect(SlotCoverage.of(short, from: 10, to: 90) == .gap(slot: 255, at: 89))
    }

    @Test func recordsAppliedTwiceAreAnOverlap() {
        let twice = [range(0...255, 10, 90), range(9...9, 40, 50)]
        #expect(SlotCoverage.of(twice, from: 10, to: 90) == .overlap(slot: 9, at: 40))
        let early = [range(0...255, 5, 90)]
        #expect(SlotCoverage.of(early, from: 10, to: 90) == .overlap(slot: 0, at: 5))
        let beyond = [range(0...255, 10, 91)]
        #expect(SlotCoverage.of(beyond, from: 10, to: 90) == .overlap(slot: 0, at: 90))
    }

    @Test func anEmptyWindowIsComplete() {
        #expect(SlotCoverage.of([range(0...255, 90, 90)], from: 90, to: 90) == .complete)
    }

    @Test func withoutABeginAllSlotsMustAgreeOnOne() {
        #expect(SlotCoverage.of([range(0...255, 40, 90)], from: nil, to: 90) == .complete)
        let uneven = [range(0...100, 40, 90), range(101...255, 50, 90)]
        #expect(SlotCoverage.of(uneven, from: nil, to: 90) == .gap(slot: 101, at: 40))
        #expect(SlotCoverage.of([], from: nil, to: 90) == .gap(slot: 0, at: 90))
    }
}
