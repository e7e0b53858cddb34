import IngestLog
import Testing
import TraceModel

@testable import RouterRole

/// Which map and window hold where in the log.
@Suite struct SlotMapHistoryTests {
    private static let one = SlotMap(workers: [:])
    private static let two = one.rescaled(.function, to: 2)
    private static let second = WorkerName(resource: .function, index: 1)

    /// Windows of 100 bytes; maps as named.
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

    @Test func aRecordBelongsToTheWindowItBeginsIn() {
        let history = history([Self.one, Self.two, Self.two])
        for (lsn, window, map) in [
            (LSN(0), UInt64(0), Self.one), (99, 0, Self.one), (100, 1, Self.two),
            (199, 1, Self.two), (200, 2, Self.two), (9_999, 2, Self.two),
        ] {
            let place = history.place(at: lsn)
            #expect(place.window == window && place.map == map, "LSN \(lsn)")
            #expect(place.windowBegin == 100 * window)
        }
        #expect(history.current == Self.two)
    }

    @Test func aWorkerBeginsWhereItOwnsSlotsWithoutABreak() {
        let name = Self.second
        #expect(history([Self.one]).firstOwned(by: name) == nil)
        #expect(history([Self.one, Self.two, Self.two]).firstOwned(by: name) == 100)
        #expect(history([Self.two, Self.two]).firstOwned(by: name) == 0)
        #expect(history([Self.one, Self.two, Self.one]).firstOwned(by: name) == nil)
        let again = history([Self.two, Self.one, Self.two, Self.two])
        #expect(again.firstOwned(by: name) == 200)
        let first = WorkerName(resource: .function, index: 0)
        #expect(again.firstOwned(by: first) == 0)
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
