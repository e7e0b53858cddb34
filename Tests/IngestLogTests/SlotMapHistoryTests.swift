import IngestLog
import Testing
import TraceModel

/// Tests which map and window are valid at an LSN.
@Suite struct SlotMapHistoryTests {
    private static let one = SlotMap(workers: [:])
    private static let two = one.rescaled(.function, to: 2)
    private static let second = WorkerName(resource: .function, index: 1)

    /// Makes a history with windows of 100 bytes and the given maps.
    private func history(_ maps: [SlotMap]) -> SlotMapHistory {
        var history = SlotMapHistory(maps[0], window: 0, windowBegin: 0)
        for (index, map) in maps.enumerated().dropFirst() {
            let barrier = BarrierPayload(
                window: UInt64(index - 1),
                reason: .scale,
                stem: "s",
                slotMap: map
            )
            history.append(barrier, end: LSN(100 * index))
        }
        return history
    }

    @Test func slotsAreHeldSinceTheBarrierThatMovedThem() {
        let holdings = history([Self.one, Self.two, Self.two, Self.one]).holdings
        let first = holdings.filter { $0.worker == WorkerName(resource: .function, index: 0) }
        #expect(first.map(\.since) == [0, 300])
        #expect(first.map(\.count) == [128, 128])
        #expect(holdings.count == Resource.count + 1)
        let others = holdings.filter { $0.worker.resource != .function }
        #expect(others.allSatisfy { $0.since == 0 && $0.slotText == "0-255" })
        #expect(!holdings.contains { $0.worker == Self.second })
    }

    @Test func aRecordBelongsToTheWindowItBeginsIn() {
        let history = history([Self.one, Self.two, Self.two])
        for (lsn, window, map) in [
            (LSN(0), UInt64(0), Self.one), (99, 0, Self.one), (100, 1, Self.two),
            (199, 1, Self.two),
            (200, 2, Self.two), (9_999, 2, Self.two),
        ] {
            let place = history.place(at: lsn)
            #expect(place.window == window && place.map == map, "LSN \(lsn)")
            #expect(place.windowBegin == 100 * window)
        }
        #expect(history.current == Self.two)
    }

    @Test func aWorkerBeginsWhereItFirstOwnedSlots() {
        let name = Self.second
        #expect(history([Self.one]).firstOwned(by: name) == nil)
        #expect(history([Self.one, Self.two, Self.two]).firstOwned(by: name) == 100)
        #expect(history([Self.two, Self.two]).firstOwned(by: name) == 0)
        // It must still hand over slots that it has lost again.
        #expect(history([Self.one, Self.two, Self.one]).firstOwned(by: name) == 100)
        let again = history([Self.two, Self.one, Self.two, Self.two])
        #expect(again.firstOwned(by: name) == 0)
        let first = WorkerName(resource: .function, index: 0)
        #expect(again.firstOwned(by: first) == 0)
    }

    /// Returns how far the log can be trimmed, given the checkpoints of the second worker and of all others.
    private func trimmable(_ maps: [SlotMap], second: LSN?, others: LSN?) -> LSN? {
        history(maps).trimmable { $0 == Self.second ? second : others }
    }

    @Test func theLogIsTrimmedBelowTheOldestCheckpoint() {
        #expect(trimmable([Self.two], second: 30, others: 50) == 30)
        #expect(trimmable([Self.two], second: 50, others: 30) == 30)
        #expect(trimmable([Self.two], second: nil, others: 30) == nil)
        #expect(trimmable([Self.one], second: nil, others: 30) == 30)
    }

    /// A worker that has lost all its slots may still have to read the log up to the change, to hand them over.
    @Test func theLogIsKeptForAWorkerThatHasNotHandedOver() {
        let maps = [Self.two, Self.one]
        #expect(trimmable(maps, second: 20, others: 100) == 20)
        #expect(trimmable(maps, second: nil, others: 100) == nil)
        // A worker behind the barrier has taken over what it was given.
        #expect(trimmable(maps, second: 20, others: 101) == 101)
        #expect(trimmable(maps, second: nil, others: 101) == 101)
        // A worker was given slots and lost them again before it started.
        let there = [Self.one, Self.two, Self.one]
        #expect(trimmable(there, second: 0, others: 200) == 0)
        #expect(trimmable(there, second: nil, others: 200) == nil)
        #expect(trimmable(there, second: nil, others: 201) == 201)
    }

    @Test func trimmingKeepsWhatTheRestOfTheLogNeeds() {
        for lsn in stride(from: LSN(0), through: 500, by: 50) {
            let whole = history([Self.one, Self.two, Self.one, Self.two])
            var trimmed = whole
            trimmed.trim(below: lsn)
            for at in stride(from: lsn, through: 600, by: 10) {
                #expect(trimmed.place(at: at).window == whole.place(at: at).window)
                #expect(trimmed.place(at: at).map == whole.place(at: at).map)
            }
            #expect(trimmed.current == whole.current)
        }
    }
}
