package import TraceModel

/// The sums behind the charts at one moment: of each host, and of all together.
package struct ChartTotals: Sendable {
    /// The sums of one host.
    struct Sums: Sendable {
        /// Counters and gauges by measure; nil where the host has no such series.
        var values = [Double?](repeating: nil, count: ChartMeasure.allCases.count)
        /// Durations of calls by bucket.
        var durations = [UInt64](repeating: 0, count: MetricBounds.functionSeconds.count + 1)

        mutating func add(_ value: Double, to measure: ChartMeasure) {
            values[Int(measure.rawValue)] = (values[Int(measure.rawValue)] ?? 0) + value
        }
    }

    var all = Sums()
    var hosts: [TextKey: Sums] = [:]
}

extension MetricStore {
    /// Adds up what the charts show, by host. Folded series count with their host; gauges beyond a family's limit have
    /// no series, and are missing. O(rows): about 10 ms for a million.
    package func chartTotals() -> ChartTotals {
        var totals = ChartTotals()
        var hosts: [ChartTotals.Sums] = []
        var positions: [UInt32: Int] = [:]
        let showsGauges = gaugeSections()
        for row in table.rows where row.state.isSuperset(of: [.isAlive, .isValued]) {
            guard let measure = ChartMeasure.ofFamilies[Int(row.family)],
                MetricCatalog.kinds[Int(row.family)] != .gauge || showsGauges.contains(row.owner)
            else { continue }
            var position: Int?
            if MetricCatalog.haveHosts[Int(row.family)] {
                position = positions[row.labels[0]]
                if position == nil {
                    position = hosts.count
                    positions[row.labels[0]] = hosts.count
                    hosts.append(ChartTotals.Sums())
                }
            }
            let numbers = table.numbers(of: row)
            if MetricCatalog.kinds[Int(row.family)] == .histogram {
                for (bucket, count) in numbers.dropLast().enumerated() {
                    totals.all.durations[bucket] &+= count
                    if let position { hosts[position].durations[bucket] &+= count }
                }
            } else {
                let value = Double(bitPattern: numbers[numbers.startIndex])
                totals.all.add(value, to: measure)
                if let position { hosts[position].add(value, to: measure) }
            }
        }
        for (text, position) in positions {
            totals.hosts[TextKey(table.texts.texts[Int(text)])] = hosts[position]
        }
        return totals
    }
}

/// Turns the sums of successive moments into the values of charts: counters into rates, histograms into a quantile.
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

    package init() {}

    /// Returns the values between the previous call and this one. The first call has only gauges.
    /// - Parameter seconds: The time since the previous call.
    package mutating func samples(of totals: ChartTotals, after seconds: Double) -> [Sample] {
        defer { before = totals }
        var samples = [
            Sample(host: nil, values: Self.values(totals.all, before?.all, seconds: seconds))
        ]
        for (host, sums) in totals.hosts {
            // Nothing was counted of a host before it came.
            let earlier = before.map { $0.hosts[host] ?? ChartTotals.Sums() }
            samples.append(
                Sample(host: host, values: Self.values(sums, earlier, seconds: seconds))
            )
        }
        return samples
    }

    private static func values(
        _ sums: ChartTotals.Sums,
        _ before: ChartTotals.Sums?,
        seconds: Double
    ) -> [Float] {
        ChartMeasure.allCases.map { measure in
            if measure == .functionP99 {
                guard let before else { return .nan }
                return p99(of: zip(sums.durations, before.durations).map { $0 > $1 ? $0 - $1 : 0 })
            }
            guard let value = sums.values[Int(measure.rawValue)] else { return .nan }
            if measure.family.descriptor.kind == .gauge { return Float(value) }
            guard let before, seconds > 0 else { return .nan }
            // A sum falls where series expire.
            return Float(max(0, value - (before.values[Int(measure.rawValue)] ?? 0)) / seconds)
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
