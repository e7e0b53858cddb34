import Testing
import TraceModel

@testable import TraceMetrics

@Suite struct ChartHistoryTests {
    private static let measure = ChartMeasure.network

    private static func samples(_ values: [String?: Float]) -> [ChartSampler.Sample] {
        values.map { host, value in
            ChartSampler.Sample(
                host: host.map(TextKey.init),
                values: ChartMeasure.allCases.map { $0 == measure ? value : .nan }
            )
        }
    }

    private static func points(
        _ history: ChartHistory,
        host: String? = "a",
        from first: Int64,
        count: Int,
        step: Int64 = 1
    ) -> [Float?] {
        history.points(
            measure,
            host: host,
            from: first,
            count: count,
            step: step,
            step < 10 ? .second : .tenSeconds
        ).map { $0.isNaN ? nil : $0 }
    }

    @Test func everySecondHasItsPoint() {
        var history = ChartHistory()
        for second in Int64(1_000)..<1_020 {
            history.append(Self.samples(["a": Float(second), nil: 5]), at: second)
        }
        #expect(Self.points(history, from: 998, count: 4) == [nil, nil, 1_000, 1_001])
        #expect(Self.points(history, from: 1_018, count: 4) == [1_018, 1_019, nil, nil])
        #expect(Self.points(history, from: 1_000, count: 2, step: 2) == [1_000.5, 1_002.5])
        #expect(Self.points(history, from: 1_000, count: 2, step: 10) == [1_004.5, 1_014.5])
        #expect(Self.points(history, host: nil, from: 1_000, count: 1) == [5])
        #expect(Self.points(history, host: "b", from: 1_000, count: 1) == [nil])
    }

    /// The rings are longer than the loop's steps divide, so that cells of an earlier round are met at every offset.
    @Test(arguments: [1, 11, 600, 3_599, 3_600, 86_399, 100_000] as [Int64])
    func secondsWithoutPointsShowNothingOfEarlierRounds(_ pause: Int64) {
        var history = ChartHistory()
        for second in Int64(50_000)..<54_000 {
            history.append(Self.samples(["a": 1]), at: second)
        }
        let next = 53_999 + pause
        history.append(Self.samples(["a": 2]), at: next)
        let last = Self.points(history, from: next - 3_599, count: 3_600)
        let expected = (next - 3_599...next).map { second -> Float? in
            second == next ? 2 : second < 54_000 ? 1 : nil
        }
        #expect(last == expected)
    }

    @Test func aLateSampleCountsForTheSecondsBefore() {
        var history = ChartHistory()
        history.append(Self.samples(["a": 1]), at: 1_000)
        history.append(Self.samples(["a": 2]), at: 1_003)
        #expect(Self.points(history, from: 999, count: 6) == [nil, 1, 2, 2, 2, nil])
    }

    @Test func aClockThatIsSetBackRemovesWhatIsToCome() {
        var history = ChartHistory()
        for second in Int64(1_000)..<1_100 { history.append(Self.samples(["a": 1]), at: second) }
        history.append(Self.samples(["a": 2]), at: 1_050)
        #expect(Self.points(history, from: 1_048, count: 5) == [1, 1, 2, nil, nil])
        #expect(Self.points(history, from: 1_040, count: 3, step: 10) == [1, 2, nil])
    }

    @Test func measuresThatAreAlwaysZeroTakeNoRoom() {
        var history = ChartHistory(bytesMax: 0)
        history.append(Self.samples(["a": 0]), at: 1_000)
        #expect(history.omitted == 0)
        history.append(Self.samples(["a": 1]), at: 1_001)
        #expect(history.omitted == 1)
        #expect(history.hosts.isEmpty)
    }

    @Test func theQuietestHostGivesWay() {
        var history = ChartHistory(bytesMax: 3 * 48_960)
        history.append(Self.samples([nil: 1, "a": 1, "b": 1]), at: 1_000)
        history.append(Self.samples([nil: 0, "a": 1, "b": 0, "c": 1]), at: 1_059)
        #expect(history.hosts == ["a", "b"])
        history.append(Self.samples([nil: 0, "a": 1, "b": 0, "c": 1]), at: 1_060)
        #expect(history.hosts == ["a", "c"])
        #expect(Self.points(history, host: nil, from: 1_000, count: 1) == [1])
        #expect(Self.points(history, host: "b", from: 1_000, count: 1) == [nil])
    }

    @Test func hostsAreDistinguishedByTheirBytes() {
        var history = ChartHistory()
        history.append(
            Self.samples(["\u{E9}": 1]) + Self.samples(["e\u{301}": 2]),
            at: 1_000
        )
        #expect(Self.points(history, host: "\u{E9}", from: 1_000, count: 1) == [1])
        #expect(Self.points(history, host: "e\u{301}", from: 1_000, count: 1) == [2])
    }

    // MARK: Blocks

    @Test func blocksAreRead() throws {
        var history = ChartHistory()
        for second in Int64(1_000)..<1_060 {
            history.append(
                Self.samples(["a": Float(second), nil: 3, "b": second < 1_030 ? 1 : .nan]),
                at: second
            )
        }
        var other = ChartHistory()
        let coarse = history.block(.tenSeconds, from: 1_000, count: 6)
        let fine = [
            history.block(.second, from: 1_000, count: 30),
            history.block(.second, from: 1_030, count: 30),
        ]
        for block in [coarse] + fine { try block.withUnsafeBytes { try other.restore($0) } }
        for host in ["a", "b", nil] {
            for (first, count, step) in [(1_000, 60, 1), (1_000, 6, 10)] {
                let expected = Self.points(
                    history,
                    host: host,
                    from: Int64(first),
                    count: count,
                    step: Int64(step)
                )
                #expect(
                    Self.points(
                        other,
                        host: host,
                        from: Int64(first),
                        count: count,
                        step: Int64(step)
                    ) == expected
                )
            }
        }
        #expect(other.second == 1_059)
    }

    /// A block that is damaged in any way is refused or read, and traps never.
    @Test func damagedBlocksAreHarmless() {
        var history = ChartHistory()
        for second in Int64(1_000)..<1_005 {
            history.append(Self.samples(["host": Float(second), nil: 3]), at: second)
        }
        let block = history.block(.second, from: 1_000, count: 5)
        var refused = 0
        for length in 0..<block.count {
            var other = ChartHistory(bytesMax: 1 << 20)
            do { try block[..<length].withUnsafeBytes { try other.restore($0) } } catch {
                refused += 1
            }
        }
        #expect(refused > block.count / 2)
        for position in block.indices {
            for bit in 0..<8 {
                var damaged = block
                damaged[position] ^= 1 << bit
                var other = ChartHistory(bytesMax: 1 << 20)
                try? damaged.withUnsafeBytes { try other.restore($0) }
            }
        }
    }
}

@Suite struct ChartSamplerTests {
    private typealias Make = SampleFactory

    private static func value(
        _ samples: [ChartSampler.Sample],
        _ measure: ChartMeasure,
        host: String?
    ) -> Float? {
        let values = samples.first { $0.host?.text == host }?.values
        return values.flatMap { $0[Int(measure.rawValue)].isNaN ? nil : $0[Int(measure.rawValue)] }
    }

    @Test func countersBecomeRatesByHost() throws {
        var store = MetricStore()
        var sampler = ChartSampler()
        func report(_ lsn: LSN, _ calls: [String: Double]) throws -> [ChartSampler.Sample] {
            let samples = calls.map { host, count in
                MetricSample(
                    family: .functionCallsTotal,
                    labels: [host, "7", "pid-7", "f"],
                    value: .counter(count)
                )
            }
            try store.apply(
                Make.snapshot(slots: [Make.slot(1, lsn: lsn, samples + [Make.events(0)])])
            )
            return sampler.samples(of: store.chartTotals(), after: 2)
        }
        var samples = try report(10, ["a": 100])
        #expect(Self.value(samples, .functionCalls, host: nil) == nil)
        samples = try report(20, ["a": 104, "b": 6])
        #expect(Self.value(samples, .functionCalls, host: "a") == 2)
        #expect(Self.value(samples, .functionCalls, host: "b") == 3)
        #expect(Self.value(samples, .functionCalls, host: nil) == 5)
        samples = try report(30, ["a": 104, "b": 6])
        #expect(Self.value(samples, .functionCalls, host: nil) == 0)
    }

    @Test func theQuantileIsInterpolatedInItsBucket() {
        var buckets = [UInt64](repeating: 0, count: MetricBounds.functionSeconds.count + 1)
        #expect(ChartSampler.p99(of: buckets).isNaN)
        buckets[2] = 100
        #expect(abs(ChartSampler.p99(of: buckets) - 0.000_995) < 1e-7)
        buckets[10] = 2
        #expect(ChartSampler.p99(of: buckets) == 5)
    }
}
