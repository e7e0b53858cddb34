import Testing
import TraceModel

@testable import RouterRole

/// Tests how long slots are paused, as measured by the receivers' progress.
@Suite struct HandoverPausesTests {
    private let one = SlotMap(workers: [:])
    private let first = WorkerName(resource: .cpu, index: 0)
    private let second = WorkerName(resource: .cpu, index: 1)
    private let third = WorkerName(resource: .cpu, index: 2)

    @Test func eachSlotHasItsReceiversPause() {
        let three = one.rescaled(.cpu, to: 3)
        var pauses = HandoverPauses()
        pauses.begin(from: one, to: three, at: 100, now: 1_000)
        #expect(Set(pauses.waiting.map(\.worker)) == [second, third])
        #expect(pauses.waiting.allSatisfy { $0.lsn == 100 })
        #expect(pauses.end(second, now: 1_010) == [Int64](repeating: 10, count: 85))
        #expect(pauses.report() == nil)
        #expect(pauses.end(third, now: 1_050) == [Int64](repeating: 50, count: 85))
        #expect(pauses.report() == .init(slots: 170, median: 10, worst: 50))
        #expect(pauses.report() == nil)
        #expect(pauses.waiting.isEmpty)
    }

    @Test func whoGainsNothingDoesNotWait() {
        var pauses = HandoverPauses()
        pauses.begin(from: one, to: one, at: 100, now: 1_000)
        #expect(pauses.waiting.isEmpty)
        #expect(pauses.end(first, now: 2_000).isEmpty)
        #expect(pauses.report() == nil)
    }

    @Test func aSecondChangeProlongsTheFirst() {
        var pauses = HandoverPauses()
        let two = one.rescaled(.cpu, to: 2)
        pauses.begin(from: one, to: two, at: 100, now: 1_000)
        pauses.begin(from: two, to: one, at: 200, now: 1_500)
        pauses.begin(from: one, to: two, at: 300, now: 1_600)
        #expect(pauses.end(first, now: 1_700) == [Int64](repeating: 200, count: 128))
        #expect(pauses.end(second, now: 1_700) == [Int64](repeating: 700, count: 256))
        #expect(pauses.report()?.worst == 700)
    }
}
