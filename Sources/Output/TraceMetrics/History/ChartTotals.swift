package import TraceModel

/// What the charts show of the time since the previous totals: of each host, and of all together.
package struct ChartTotals: Sendable {
    /// The sums of one host.
    struct Sums: Sendable {
        /// By measure, of counters the growth since the previous totals, of gauges the sum. Nil where the host has no
        /// such series, or of gauges none whose process is heard of.
        var values = [Double?](repeating: nil, count: ChartMeasure.allCases.count)
        /// The CPU time of processes without earlier series, which is part of no value: whether it lies in the time
        /// since the previous totals depends on whether the host's processes were known by then.
        var newcomersCPU = 0.0
        /// Durations of calls by bucket, since the series began.
        var durations = [UInt64](repeating: 0, count: MetricBounds.functionSeconds.count + 1)

        mutating func add(_ value: Double, to measure: ChartMeasure) {
            values[Int(measure.rawValue)] = (values[Int(measure.rawValue)] ?? 0) + value
        }
    }

    var all = Sums()
    var hosts: [TextKey: Sums] = [:]
}

/// What the store remembers between two totals of the charts. Not saved.
struct ChartState: Sendable {
    /// When a process was heard of, on this state's clock.
    private struct Process {
        var heardAt: Double
        /// How long the process may be silent before its gauges no longer count. Grows to the time between two reports
        /// at once, and falls slowly, so that neither the interval of the agent nor a process that reports now and
        /// then makes gaps.
        var silenceAllowed = silenceMin
    }

    private static let silenceMin = 1.0
    private static let silenceMax = 60.0
    /// How often processes that are silent for longer than any may be are forgotten, in totals.
    private static let forgettingInterval = 64

    /// Seconds since the first totals.
    private var clock = 0.0
    private var count = 0
    /// Processes by the text numbers of host and pid. A number that comes to mean another text only lets a new process
    /// inherit a time at which it would have been heard of anyway.
    private var processes: [UInt64: Process] = [:]
    /// The values of counters in the previous totals, by row. Only those of rows that are marked are meant.
    private var values: [Double] = []

    mutating func advance(by seconds: Double, rows: Int) {
        if count > 0 { clock += max(0, seconds) }
        count += 1
        if values.count < rows {
            values.append(contentsOf: repeatElement(0, count: rows - values.count))
        }
        if count % Self.forgettingInterval == 0 {
            let limit = clock - Self.silenceMax
            processes = processes.filter { $0.value.heardAt >= limit }
        }
    }

    /// Notes a counter's value, and returns the one in the previous totals.
    mutating func exchange(_ value: Double, of row: Int) -> Double {
        defer { values[row] = value }
        return values[row]
    }

    static func process(_ labels: SeriesLabels) -> UInt64 {
        UInt64(labels[0]) << 32 | UInt64(labels[1])
    }

    mutating func hear(_ process: UInt64) {
        guard let known = processes[process] else {
            processes[process] = Process(heardAt: clock)
            return
        }
        guard known.heardAt < clock else { return }
        let silence = max(clock - known.heardAt, known.silenceAllowed - 1)
        processes[process] = Process(
            heardAt: clock,
            silenceAllowed: min(max(silence, Self.silenceMin), Self.silenceMax)
        )
    }

    func isHeard(_ process: UInt64) -> Bool {
        processes[process].map { clock - $0.heardAt <= $0.silenceAllowed } ?? false
    }
}

extension MetricStore {
    /// Adds up what the charts show since the last call, by host.
    ///
    /// A counter counts by its growth. One that is seen for the first time counts from zero only if it is this server's
    /// own: those that follow an agent's contain what the process did before the agent saw it. A gauge counts while
    /// its process is heard of, by any of its series: an agent need not repeat a gauge that does not change. Folded
    /// series count with their host; gauges beyond a family's limit have no series, and are missing.
    ///
    /// O(rows): about 10 ms for a million.
    /// - Parameter seconds: The time since the last call.
    package mutating func chartTotals(after seconds: Double) -> ChartTotals {
        var totals = ChartTotals()
        var hosts: [ChartTotals.Sums] = []
        var positions: [UInt32: Int] = [:]
        var gauges: [Int] = []
        var heard: UInt64?
        let showsGauges = gaugeSections()
        let onCPU = table.texts.number(of: "on")
        charts.advance(by: seconds, rows: table.rows.count)

        /// Adds to all hosts, and to the one that the row names.
        func add(_ row: SeriesTable.Row, _ body: (inout ChartTotals.Sums) -> Void) {
            body(&totals.all)
            guard MetricCatalog.haveHosts[Int(row.family)] else { return }
            var position = positions[row.labels[0]]
            if position == nil {
                positions[row.labels[0]] = hosts.count
                position = hosts.count
                hosts.append(ChartTotals.Sums())
            }
            if let position { body(&hosts[position]) }
        }

        for number in table.rows.indices {
            let row = table.rows[number]
            guard row.state.isSuperset(of: [.isAlive, .isValued]),
                let measure = ChartMeasure.ofFamilies[Int(row.family)]
            else { continue }
            if row.state.contains(.isFresh), MetricCatalog.haveHostAndPID[Int(row.family)] {
                // The series of a process mostly lie together.
                let process = ChartState.process(row.labels)
                if process != heard { charts.hear(process) }
                heard = process
            }
            switch MetricCatalog.kinds[Int(row.family)] {
            case .histogram:
                let buckets = table.numbers(of: row).dropLast()
                add(row) { sums in
                    for (bucket, count) in buckets.enumerated() { sums.durations[bucket] &+= count }
                }
            case .gauge:
                if showsGauges.contains(row.owner) { gauges.append(number) }
            case .counter:
                guard measure != .cpu || row.labels[3] == onCPU else { break }
                let growth = growth(of: number, measure)
                let (known, new) = (
                    growth.isNew ? 0 : growth.value, growth.isNew ? growth.value : 0
                )
                add(row) { sums in
                    sums.add(measure.countsFromZero ? growth.value : known, to: measure)
                    if measure == .cpu { sums.newcomersCPU += min(new, max(0, seconds)) }
                }
            }
            if row.state.contains(.isFresh) { table.markCharted(number) }
        }
        for number in gauges {
            let row = table.rows[number]
            guard let measure = ChartMeasure.ofFamilies[Int(row.family)],
                charts.isHeard(ChartState.process(row.labels))
            else { continue }
            let value = table.number(of: UInt32(number))
            add(row) { $0.add(value, to: measure) }
        }
        for (text, position) in positions {
            totals.hosts[TextKey(table.texts.texts[Int(text)])] = hosts[position]
        }
        return totals
    }

    /// Returns how much a counter has grown since the last totals; all of its value where it was not in these, or has
    /// begun again.
    private mutating func growth(
        of number: Int,
        _ measure: ChartMeasure
    ) -> (value: Double, isNew: Bool) {
        let state = table.rows[number].state
        guard state.contains(.isFresh) else { return (0, false) }
        let value = table.number(of: UInt32(number))
        let before = charts.exchange(value, of: number)
        guard state.contains(.isCharted), value >= before else { return (value, true) }
        return (value - before, false)
    }
}

/// Turns successive totals into the values of charts: the growth of counters into rates, histograms into a quantile.
package struct ChartSampler: Sendable {
    /// The values of one host, or of all together, by measure; NaN where there is none.
    package struct Sample: Sendable, Equatable {
        /// nil: all hosts together.
        package let host: TextKey?
        package let values: [Float]

        package init(host: TextKey?, values: [Float]) {
            self.host = host
            self.values = values
        }
    }

    private var before: ChartTotals?
    /// Seconds since the first totals.
    private var clock = 0.0
    /// When the CPU of each host was first reported, on this clock.
    private var knownSince: [TextKey: Double] = [:]
    /// After this time, all processes that ran when a host's agent began have been reported.
    private static let knownSecondsMin = 10.0

    package init() {}

    /// Returns the values between the previous call and this one. The first call has only gauges.
    /// - Parameter seconds: The time since the previous call.
    package mutating func samples(of totals: ChartTotals, after seconds: Double) -> [Sample] {
        var totals = totals
        defer { before = totals }
        clock += before == nil ? 0 : max(0, seconds)
        for (host, sums) in totals.hosts where sums.values[Int(ChartMeasure.cpu.rawValue)] != nil {
            // An agent that samples a host's CPU sees all of its processes, so that a process which is new on a host
            // that is known began since then. On a new host, processes have run before, and are not reported at once.
            let since = knownSince[host] ?? clock
            knownSince[host] = since
            guard clock - since >= Self.knownSecondsMin else { continue }
            totals.hosts[host]?.add(sums.newcomersCPU, to: .cpu)
            totals.all.add(sums.newcomersCPU, to: .cpu)
        }
        if knownSince.count > totals.hosts.count {
            knownSince = knownSince.filter { totals.hosts[$0.key] != nil }
        }
        var samples = [
            Sample(host: nil, values: values(totals.all, before?.all, seconds: seconds))
        ]
        for (host, sums) in totals.hosts {
            // Nothing was counted of a host before it came.
            let earlier = before.map { $0.hosts[host] ?? ChartTotals.Sums() }
            samples.append(Sample(host: host, values: values(sums, earlier, seconds: seconds)))
        }
        return samples
    }

    private func values(
        _ sums: ChartTotals.Sums,
        _ before: ChartTotals.Sums?,
        seconds: Double
    ) -> [Float] {
        ChartMeasure.allCases.map { measure in
            if measure == .functionP99 {
                guard let before else { return .nan }
                return Self.p99(
                    of: zip(sums.durations, before.durations).map { $0 > $1 ? $0 - $1 : 0 }
                )
            }
            guard let value = sums.values[Int(measure.rawValue)] else { return .nan }
            if measure.family.descriptor.kind == .gauge { return Float(value) }
            guard before != nil, seconds > 0 else { return .nan }
            return Float(value / seconds)
        }
    }

    /// Returns the 99th percentile of durations in seconds, interpolated within its bucket as Prometheus does; NaN
    /// where there are none.
    static func p99(of buckets: [UInt64]) -> Float {
        let count = buckets.reduce(0, &+)
        guard count > 0 else { return .nan }
        let rank = 0.99 * Double(count)
        var below = 0.0
        for (bucket, bound) in MetricBounds.functionSeconds.enumerated() {
            let inside = Double(buckets[bucket])
            if below + inside >= rank {
                let lower = bucket == 0 ? 0 : MetricBounds.functionSeconds[bucket - 1]
                return Float(lower + (bound - lower) * (rank - below) / inside)
            }
            below += inside
        }
        return Float(MetricBounds.functionSeconds[MetricBounds.functionSeconds.count - 1])
    }
}
