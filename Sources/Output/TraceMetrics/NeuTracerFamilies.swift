import TraceModel

/// The original's families out of a reading: those that were sent, and those that follow from ours.
enum NeuTracerFamilies {
    /// Returns a family's series, nil where it has none. O(series). `now`: the time of the reading.
    static func family(
        _ descriptor: MetricDescriptor,
        of reading: MetricReading,
        now: EpochNanoseconds
    ) -> FamilyReading? {
        if descriptor.family == .neutracerInactivityTimeSeconds {
            return inactivity(descriptor, of: reading, now: now)
        }
        guard let derivation = descriptor.derivation else {
            return reading.family(descriptor.family)
        }
        guard let source = reading.family(derivation.source) else { return nil }
        return derive(descriptor, derivation, from: source)
    }

    /// Since the last batch; nothing before the first one.
    private static func inactivity(
        _ descriptor: MetricDescriptor,
        of reading: MetricReading,
        now: EpochNanoseconds
    ) -> FamilyReading? {
        guard let last = reading.family(.lastActivityTimestampSeconds), last.count == 1,
            case .gauge(let seconds) = last.value(of: 0), seconds > 0
        else { return nil }
        var family = FamilyReading(descriptor)
        family.merge([], .gauge(max(0, Double(now) / 1e9 - seconds)))
        return family
    }

    /// Series that fall together for want of a label add up; of gauges the last one stays.
    private static func derive(
        _ descriptor: MetricDescriptor,
        _ derivation: MetricDescriptor.Derivation,
        from source: FamilyReading
    ) -> FamilyReading {
        var family = source.emptied(for: descriptor)
        var positions: [SeriesLabels: Int] = [:]
        var pidTexts: [UInt32: UInt32] = [:]
        for series in 0..<source.count {
            var labels = SeriesLabels()
            for (position, label) in derivation.labels.enumerated() {
                switch label {
                case .copy(let index): labels[position] = source.labelNumber(series, index)
                case .processOfPID(let index):
                    let pid = source.labelNumber(series, index)
                    let text = pidTexts[pid] ?? family.add(text: "pid-" + source.text(of: pid))
                    pidTexts[pid] = text
                    labels[position] = text
                }
            }
            if let position = positions[labels] {
                family.add(source.value(of: series), to: position)
            } else {
                positions[labels] = family.count
                family.append(labels, source.numbers(of: series))
            }
        }
        return family
    }
}
