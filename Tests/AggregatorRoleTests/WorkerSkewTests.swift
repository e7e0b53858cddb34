import Testing
import TraceModel

@testable import AggregatorRole

@Suite struct WorkerSkewTests {
    private static let first = WorkerName(resource: .function, index: 0)
    private static let second = WorkerName(resource: .function, index: 1)
    private static let other = WorkerName(resource: .io, index: 0)

    private static func at(_ step: Int) -> Int64 { Int64(step) * WorkerSkew.stepNanoseconds }

    @Test func whatAWorkerAppliedIsSetAgainstTheMeanOfItsResource() {
        var skew = WorkerSkew()
        skew.note([Self.first: 500, Self.second: 100, Self.other: 9], now: Self.at(0))
        #expect(skew.ratios.isEmpty)
        skew.note([Self.first: 800, Self.second: 200, Self.other: 9], now: Self.at(1))
        #expect(skew.ratios == [Self.first: 1.5, Self.second: 0.5])
        skew.note([Self.first: 800, Self.second: 200, Self.other: 10], now: Self.at(2))
        #expect(skew.ratios[Self.other] == 1)
    }

    @Test func whatIsOlderThanAMinuteCountsNoMore() {
        var skew = WorkerSkew()
        skew.note([Self.first: 0, Self.second: 0], now: Self.at(0))
        for step in 1...6 {
            skew.note([Self.first: 300, Self.second: 100], now: Self.at(step))
            #expect(skew.ratios == [Self.first: 1.5, Self.second: 0.5])
        }
        skew.note([Self.first: 300, Self.second: 100], now: Self.at(7))
        #expect(skew.ratios.isEmpty)
    }

    @Test func aNewWorkerBeganWithNothing() {
        var skew = WorkerSkew()
        skew.note([Self.first: 1_000], now: Self.at(0))
        skew.note([Self.first: 1_100, Self.second: 300], now: Self.at(1))
        #expect(skew.ratios == [Self.first: 0.5, Self.second: 1.5])
    }

    @Test func aStepIsDueWhenItHasPassed() {
        var skew = WorkerSkew()
        #expect(skew.isDue(now: 5))
        skew.note([:], now: 5)
        #expect(!skew.isDue(now: 4 + WorkerSkew.stepNanoseconds))
        #expect(skew.isDue(now: 5 + WorkerSkew.stepNanoseconds))
    }
}
