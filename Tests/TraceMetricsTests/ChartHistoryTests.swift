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
            return sampler.samples(of: store.chartTotals(after: 2), after: 2)
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

    // MARK: Processes that come and go

    /// A host whose processes are sampled once a second, as `tracectl agent` does: memory only where it changes.
    private struct Fleet {
        var store = MetricStore()
        var sampler = ChartSampler()
        private var lsn: LSN = 0

        static func sample(
            _ family: MetricFamily,
            _ value: Double,
            pid: Int,
            _ labels: [String] = []
        ) -> MetricSample {
            MetricSample(
                family: family,
                labels: ["a", "\(pid)", "p"] + labels,
                value: family.descriptor.kind == .gauge ? .gauge(value) : .counter(value)
            )
        }

        /// Reports what each worker has, and returns a second's points.
        mutating func report(
            cpu: [MetricSample] = [],
            memory: [MetricSample] = [],
            io: [MetricSample] = [],
            isFull: Bool = false,
            after seconds: Double = 1
        ) throws -> [ChartSampler.Sample] {
            lsn += 1
            for (worker, samples) in [("cpu.0", cpu), ("memory.0", memory), ("io.0", io)] {
                let slot = Make.slot(1, lsn: lsn, full: isFull, samples)
                try store.apply(Make.snapshot(worker, slots: [slot]))
            }
            return sampler.samples(of: store.chartTotals(after: seconds), after: seconds)
        }
    }

    /// A process begins each second and is sampled three times: it uses a CPU, holds 100 bytes, had written 1,000 bytes
    /// before it was first sampled, and writes 10 a second. The charts stay where they are, however many have ended.
    @Test func shortProcessesDoNotAddUp() throws {
        var fleet = Fleet()
        for second in 0..<300 {
            var (cpu, memory, io) = ([MetricSample](), [MetricSample](), [MetricSample]())
            for age in 0..<min(3, second + 1) {
                let pid = 1_000 + second - age
                cpu.append(
                    Fleet.sample(.cpuTimeSecondsTotal, 0.5 + Double(age), pid: pid, ["on"])
                )
                cpu.append(Fleet.sample(.cpuTimeSecondsTotal, 7, pid: pid, ["off"]))
                let written = 1_000 + 10 * Double(age)
                io.append(Fleet.sample(.ioBytesTotal, written, pid: pid, ["write"]))
                if age == 0 { memory.append(Fleet.sample(.memoryUsageBytes, 100, pid: pid)) }
            }
            let samples = try fleet.report(cpu: cpu, memory: memory, io: io)
            guard second >= 10 else { continue }
            for host in [nil, "a"] {
                #expect(Self.value(samples, .cpu, host: host) == 2.5)
                #expect(Self.value(samples, .io, host: host) == 20)
                // Three that live, and one whose silence is not longer than an interval yet.
                #expect(Self.value(samples, .memory, host: host) == 400)
            }
        }
    }

    /// What all processes of a host have used before its agent began is not used in the first second.
    @Test func aHostThatComesAddsNoSpike() throws {
        var fleet = Fleet()
        _ = try fleet.report()
        func used(_ seconds: Double) -> [MetricSample] {
            (1...50).map { Fleet.sample(.cpuTimeSecondsTotal, seconds, pid: $0, ["on"]) }
        }
        var samples = try fleet.report(cpu: used(500))
        #expect(Self.value(samples, .cpu, host: "a") == 0)
        samples = try fleet.report(cpu: used(500.5))
        #expect(Self.value(samples, .cpu, host: nil) == 25)
        // Those of the first sample need not come in one second.
        func one(_ pid: Int) -> [MetricSample] {
            [Fleet.sample(.cpuTimeSecondsTotal, 900, pid: pid, ["on"])]
        }
        samples = try fleet.report(cpu: one(51))
        #expect(Self.value(samples, .cpu, host: "a") == 0)
        for _ in 0..<10 { _ = try fleet.report() }
        // A process that comes later counts for no more than the time since then.
        samples = try fleet.report(cpu: one(52), after: 2)
        #expect(Self.value(samples, .cpu, host: "a") == 1)
        #expect(Self.value(samples, .cpu, host: nil) == 1)
    }

    /// An agent that samples every 30 s leaves no gaps, and a process that has ended goes within a minute.
    @Test func gaugesStayBetweenSamples() throws {
        var fleet = Fleet()
        var points: [Float?] = []
        for second in 0..<150 {
            let isSampled = second % 30 == 0 && second <= 60
            let samples = try fleet.report(
                cpu: isSampled
                    ? [Fleet.sample(.cpuTimeSecondsTotal, Double(second), pid: 1, ["on"])] : [],
                memory: second == 0 ? [Fleet.sample(.memoryUsageBytes, 5, pid: 1)] : []
            )
            points.append(Self.value(samples, .memory, host: "a"))
        }
        #expect(points[0...1].allSatisfy { $0 == 5 })
        #expect(points[30...90].allSatisfy { $0 == 5 })
        #expect(points[121...].allSatisfy { $0 == nil })
    }

    /// A full section names all processes of a slot, also those that have ended.
    @Test func aRepeatedValueIsNoSignOfLife() throws {
        var fleet = Fleet()
        let both = (1...2).map { Fleet.sample(.memoryUsageBytes, 5, pid: $0) }
        var samples = try fleet.report(memory: both)
        #expect(Self.value(samples, .memory, host: "a") == 10)
        for _ in 0..<3 { samples = try fleet.report(memory: [both[0]]) }
        #expect(Self.value(samples, .memory, host: "a") == 5)
        samples = try fleet.report(memory: both, isFull: true)
        #expect(Self.value(samples, .memory, host: "a") == 5)
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
