import Testing
import TraceModel

/// Slots as ranges, and as text.
@Suite struct SlotHoldingTests {
    private let worker = WorkerName(resource: .gpu, index: 3)

    @Test(
        arguments: [
            ([], ""), ([7], "7"), ([0, 1, 2], "0-2"), ([0, 2, 3, 255], "0,2-3,255"),
            ([254, 255], "254-255"),
        ] as [([UInt8], String)]
    ) func slotsBecomeRangesAndText(slots: [UInt8], text: String) {
        let holding = SlotHolding(worker: worker, slots: SlotHolding.ranges(of: slots), since: 9)
        #expect(holding.slotText == text)
        #expect(holding.count == slots.count)
        #expect(holding.slots.flatMap { Array($0) } == slots)
        guard !text.isEmpty else { return }
        #expect(SlotHolding(worker: worker, slotText: text, since: 9) == holding)
    }

    @Test(arguments: ["", "x", "256", "3-2", "1,,2", "1-2-3", "-1"]) func whatIsNoListIsRefused(
        text: String
    ) {
        #expect(SlotHolding(worker: worker, slotText: text, since: 0) == nil)
    }
}
