extension MetricStore {
    /// Goes by other limits from here on. Series for which a lower one has no room are folded, with what they have
    /// counted; gauges are not shown any more. What is folded stays so under a higher one. O(rows).
    package mutating func adopt(_ limits: SeriesLimits) {
        guard limits != table.limits else { return }
        table.limits = limits
        revision &+= 1
        var hidden: Set<UInt32> = []
        // The last ones go: those that came first tend to stand first.
        for number in table.rows.indices.reversed() {
            let row = table.rows[number]
            guard row.state.contains(.isAlive), !row.state.contains(.isFolded),
                MetricCatalog.areOfProcesses[Int(row.family)],
                table.exposed[Int(row.family)] > limits.exposed(of: row.family)
            else { continue }
            if MetricCatalog.kinds[Int(row.family)] == .gauge {
                hidden.insert(UInt32(number))
                table.release(UInt32(number))
            } else {
                table.fold(UInt32(number))
            }
            losses[.seriesOverflow, default: 0] += 1
        }
        forget(hidden)
    }

    /// Ids of rows that are gone mean hidden gauges from here on.
    private mutating func forget(_ hidden: Set<UInt32>) {
        guard !hidden.isEmpty else { return }
        for (process, source) in sources {
            var source = source
            for id in source.rows.indices where hidden.contains(source.rows[id]) {
                let row = table.rows[Int(source.rows[id])]
                source.rows[id] = SeriesSource.refused | UInt32(row.family)
            }
            sources[process] = source
        }
    }
}
