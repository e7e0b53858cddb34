/// The original's families out of a reading: those that were sent, and those that follow from ours.
enum NeuTracerFamilies {
    static func families(of reading: MetricReading) -> [MetricReading.Family] {
        MetricCatalog.all.compactMap { descriptor in
            guard descriptor.family.isNeuTracer else { return nil }
            guard let derivation = descriptor.derivation else {
                return reading.family(descriptor.family)
            }
            guard let source = reading.family(derivation.source) else { return nil }
            return derive(descriptor, derivation, from: source)
        }
    }

    /// Series that fall together for want of a label add up; of gauges the last one stays.
    private static func derive(
        _ descriptor: MetricDescriptor,
        _ derivation: MetricDescriptor.Derivation,
        from source: MetricReading.Family
    ) -> MetricReading.Family {
        var positions: [[String]: Int] = [:]
        var keys: [[String]] = []
        var values: [MetricValue] = []
        for series in source.series {
            let labels = derivation.labels.map { label -> String in
                switch label {
                case .copy(let index): series.labels[index]
                case .processOfPID(let index): "pid-" + series.labels[index]
                }
            }
            if let position = positions[labels] {
                values[position].add(series.value)
            } else {
                positions[labels] = values.count
                keys.append(labels)
                values.append(series.value)
            }
        }
        let series = zip(keys, values).map { MetricReading.Series(labels: $0, value: $1) }
        return MetricReading.Family(descriptor: descriptor, series: series)
    }
}
