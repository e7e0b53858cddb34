import SystemIO
import Testing
import TraceModel

@testable import AnomalyRules

/// State that a test's expectations may change: they see values only.
final class Box<State> {
    var state: State
    init(_ state: State) { self.state = state }
}

@Suite struct PrimitiveTests {
    private let second: Int64 = 1_000_000_000
    private let minute: Int64 = 60_000_000_000

    // MARK: Mean and deviation

    @Test func thereIsNoScoreBeforeThirtySamples() {
        let box = Box(Ewma())
        for _ in 0..<30 { #expect(box.state.observe(10, limit: 4, samplesMin: 30) == nil) }
        #expect(box.state.observe(10, limit: 4, samplesMin: 30) == 0)
        #expect(box.state.score(of: 11, samplesMin: 40) == nil)
    }

    @Test func theVarianceHasAFloor() {
        var low = Ewma()
        var high = Ewma()
        for _ in 0..<50 {
            low.note(16)
            high.note(1e6)
        }
        #expect(abs(low.deviation - 0.4) < 1e-9)
        #expect(abs(high.deviation - 1e4) < 1e-6)
        var zero = Ewma()
        for _ in 0..<50 { zero.note(0) }
        #expect(zero.score(of: 0, samplesMin: 30) == 0)
        #expect(zero.score(of: 1, samplesMin: 30) == 1_000)
        #expect(zero.score(of: -1, samplesMin: 30) == -1_000)
    }

    @Test func anOutlierIsNotTheMeasureOfTheNext() throws {
        var series = Ewma()
        for index in 0..<200 { series.note(index % 2 == 0 ? 9 : 11) }
        #expect(abs(series.mean - 10) < 0.2 && abs(series.variance - 1) < 0.2)
        let scores = (0..<2).compactMap { _ in series.observe(100, limit: 4, samplesMin: 30) }
        try #require(scores.count == 2)
        #expect(scores[0] > 80 && scores[1] > 50 && series.mean < 11)
        // A lasting change becomes usual.
        for _ in 0..<400 { _ = series.observe(100, limit: 4, samplesMin: 30) }
        #expect(abs(series.mean - 100) < 1)
    }

    @Test func stateComesBack() throws {
        var series = Ewma()
        for index in 0..<40 { series.note(Double(index)) }
        let copy = try copied(series.encode, Ewma.init(decoding:))
        #expect(copy.mean == series.mean && copy.variance == series.variance)
        #expect(copy.count == 40)
    }

    // MARK: Raise and clear

    @Test func aLastingConditionIsToldOnce() throws {
        var alarm = Alarm()
        func evaluate(_ value: Int, _ time: Int64) -> FindingVerdict? {
            alarm.observe(isAbove: value > 85, isClear: value < 75, at: time, cooldown: 60)
        }
        func observe(_ value: Int, _ time: Int64) -> Bool { evaluate(value, time) == .raised }
        #expect(!observe(85, 0))
        #expect(observe(86, 1))
        #expect(!observe(99, 1_000))
        // Neither cleared between the thresholds, nor raised again.
        #expect(!observe(80, 1_001) && !observe(90, 1_002))
        #expect(!observe(70, 1_003))
        #expect(observe(90, 1_004))
        #expect(!observe(70, 1_005) && !observe(90, 1_010), "within the cool-down")
        alarm = try copied(alarm.encode, Alarm.init(decoding:))
        #expect(observe(90, 1_064), "it lasts beyond the cool-down")
    }

    @Test func findingsKeepApart() {
        var alarm = Alarm()
        let verdicts = [100, 109, 91, 110, 0, Int64.max, -5].map {
            alarm.fire(at: $0, cooldown: 10)
        }
        let within = FindingVerdict.suppressed(since: 100)
        #expect(verdicts == [.raised, within, within, .raised, .raised, .raised, .raised])
    }

    @Test func aConditionIsSuppressedOnceForEachTimeItBegins() throws {
        var alarm = Alarm()
        func evaluate(_ value: Int, _ time: Int64) -> FindingVerdict? {
            alarm.observe(isAbove: value > 85, isClear: value < 75, at: time, cooldown: 60)
        }
        let within = FindingVerdict.suppressed(since: 0)
        #expect(evaluate(90, 0) == .raised)
        #expect(evaluate(95, 1) == nil, "it lasts")
        #expect(evaluate(70, 2) == nil && evaluate(90, 3) == within)
        #expect(evaluate(99, 4) == nil && evaluate(80, 5) == nil && evaluate(90, 6) == nil)
        alarm = try copied(alarm.encode, Alarm.init(decoding:))
        #expect(evaluate(90, 7) == nil, "it has not cleared")
        #expect(evaluate(70, 8) == nil && evaluate(90, 9) == within)
        #expect(evaluate(90, 60) == .raised, "it lasts beyond the cool-down")
        #expect(evaluate(70, 61) == nil && evaluate(90, 62) == .suppressed(since: 60))
    }

    @Test func aSpikeIsAboveTheFloor() throws {
        var watch = SpikeWatch()
        func evaluate(
            _ value: Double,
            _ time: Int64,
            floor: Double
        ) -> (score: Double, verdict: FindingVerdict)? {
            watch.observe(value, limit: 4, samplesMin: 30, floor: floor, at: time, cooldown: 60)
        }
        func observe(_ value: Double, _ time: Int64, floor: Double) -> Double? {
            evaluate(value, time, floor: floor).flatMap { $0.verdict == .raised ? $0.score : nil }
        }
        for time in 0..<60 { #expect(observe(1_000, Int64(time), floor: 0) == nil) }
        #expect(observe(9_000, 60, floor: 10_000) == nil)
        let reported = try #require(observe(20_000, 61, floor: 10_000))
        #expect(reported >= 4)
        let suppressed = try #require(evaluate(900_000, 62, floor: 10_000))
        #expect(suppressed.verdict == .suppressed(since: 61), "within the cool-down")
        #expect(suppressed.score >= reported)
        watch = try copied(watch.encode, SpikeWatch.init(decoding:))
        #expect(observe(900_000, 130, floor: 10_000) != nil)
        #expect(observe(-900_000, 300, floor: -.infinity) == nil, "a fall is no spike")
    }

    // MARK: Windows

    @Test func aSlidingMeanForgets() throws {
        let box = Box(SlidingMean())
        var last: Double?
        for step in 0..<60 {
            last = box.state.note(10, at: Int64(step) * 10 * second, window: 10 * minute)
            #expect(last == nil, "ten minutes are not over")
        }
        last = box.state.note(10, at: 10 * minute, window: 10 * minute)
        #expect(last == 10)
        box.state = try copied(box.state.encode, SlidingMean.init(decoding:))
        for step in 1...60 {
            last = box.state.note(
                90,
                at: 10 * minute + Int64(step) * 10 * second,
                window: 10 * minute
            )
        }
        #expect(last == 90)
        // After a silence there are too few samples again, and never those of before.
        #expect(box.state.note(1, at: 90 * minute, window: 10 * minute) == nil)
        for step in 1..<9 {
            _ = box.state.note(1, at: 90 * minute + Int64(step), window: 10 * minute)
        }
        #expect(box.state.note(1, at: 91 * minute, window: 10 * minute) == 1)
        #expect(box.state.note(1, at: .max, window: 10 * minute) == nil)
    }

    @Test func aTrendIsByLeastSquares() throws {
        var trend = Trend()
        var growth: Trend.Growth?
        // 1,000 to start with, 1 more a second: 3,600 an hour.
        for step in 0...700 {
            let value = 1_000 + Double(step)
            let found = trend.advance(to: Int64(step) * second, span: 10 * minute) { _ in value }
            if step < 615 { #expect(found == nil, "ten minutes are not over") }
            if let found { growth = found }
            if step == 400 { trend = try copied(trend.encode, Trend.init(decoding:)) }
        }
        let rising = try #require(growth)
        #expect(rising.rising == 1)
        #expect(abs(rising.perHour * rising.mean - 3_600) < 1)
        // A silence longer than all: nothing has grown.
        let silent = trend.advance(to: 3_600 * second, span: 10 * minute) { _ in 1_700 }
        #expect(silent?.rising == 0 && silent?.perHour == 0)
        let other = trend.advance(to: 3_601 * second, span: 20 * minute) { _ in 1 }
        #expect(other == nil)
    }

    @Test func occurrencesAreCountedBySecond() throws {
        var rate = OccurrenceRate()
        for step in 0..<120 { rate.note(at: Int64(step) * second / 2) }
        #expect(rate.count == 2 && rate.minuteMean == 118.0 / 60)
        rate = try copied(rate.encode, OccurrenceRate.init(decoding:))
        for _ in 0..<50 { rate.note(at: 60 * second) }
        #expect(rate.count == 50 && rate.minuteMean == 2)
        rate.note(at: 59 * second)
        #expect(rate.count == 51)
        rate.note(at: 10_000 * second)
        #expect(rate.count == 1 && rate.minuteMean == 0)
    }

    @Test func aScanIsManyValuesOfOneKey() throws {
        var watch = ScanWatch()
        func evaluate(
            _ value: UInt64,
            _ key: UInt64,
            _ seconds: Int64
        ) -> (count: Int, verdict: FindingVerdict)? {
            watch.observe(
                value,
                of: key,
                at: seconds * second,
                window: minute,
                limit: 20,
                cooldown: minute
            )
        }
        func meet(_ value: UInt64, _ key: UInt64, _ seconds: Int64) -> Int? {
            evaluate(value, key, seconds).flatMap { $0.verdict == .raised ? $0.count : nil }
        }
        for value in 0..<19 { #expect(meet(UInt64(value), 1, 0) == nil) }
        for value in 0..<19 { #expect(meet(UInt64(value), 1, 1) == nil, "met before") }
        for value in 0..<19 { #expect(meet(UInt64(value), 2, 1) == nil, "another key") }
        watch = try copied(watch.encode, ScanWatch.init(decoding:))
        #expect(meet(19, 1, 2) == 20)
        let further = try #require(evaluate(20, 1, 3))
        #expect(further.count == 21 && further.verdict == .suppressed(since: 2 * second))
        #expect(evaluate(20, 1, 3) == nil, "met before")
        #expect(meet(19, 2, 70) == nil, "too late")
        // Other keys push key 1 out, and values beyond the limit the oldest ones.
        for key in 0..<UInt64(Limits.scanKeysPerProcessMax) { _ = meet(0, 100 + key, 80) }
        for value in 0..<UInt64(Limits.scanValuesPerKeyMax) { _ = meet(value, 100, 81) }
        let last = watch.observe(
            9_999,
            of: 100,
            at: 200 * second,
            window: 300 * second,
            limit: 2,
            cooldown: 0
        )
        #expect(last?.count == Limits.scanValuesPerKeyMax && last?.verdict == .raised)
    }
}
