/// What of a series is shown by its own labels, and what `other` counts of it. The two add up to its value, and
/// what `other` counts never falls.
extension SeriesTable {
    /// What the series itself shows: its value without what `other` keeps of it.
    func shownNumbers(of number: UInt32) -> ArraySlice<UInt64> {
        let numbers = numbers(of: rows[Int(number)])
        guard !bases.isEmpty, let base = bases[number] else { return numbers }
        var rest = zip(numbers.dropLast(), base).map { $0 &- $1 }
        let sum = Double(bitPattern: numbers.last ?? 0) - Double(bitPattern: base.last ?? 0)
        rest.append(max(0, sum).bitPattern)
        return rest[...]
    }

    func shownValue(of number: UInt32) -> MetricValue {
        MetricValue(MetricCatalog.kinds[Int(rows[Int(number)].family)], shownNumbers(of: number))
    }

    /// What `other` counts of a series, nil for nothing.
    func otherValue(of number: UInt32) -> MetricValue? {
        let row = rows[Int(number)]
        let kind = MetricCatalog.kinds[Int(row.family)]
        guard row.state.contains(.isValued), kind != .gauge else { return nil }
        if row.state.contains(.isFolded) { return MetricValue(kind, numbers(of: row)) }
        return bases[number].map { MetricValue(kind, $0[...]) }
    }

    /// Of a function or kernel that is gone: the process's one called `other`, if the section names it, counts for it
    /// from here on, and `other` of the family goes on counting `value` of that. False where there is none such.
    mutating func passOn(_ value: MetricValue, of row: Row) -> Bool {
        guard let position = MetricCatalog.all[Int(row.family)].sources.firstIndex(of: .name),
            let other = texts.number(of: MetricLabel.other), row.labels[position] != other
        else { return false }
        var labels = row.labels
        labels[position] = other
        guard let heir = self.row(row.family, labels, owner: row.owner),
            rows[Int(heir)].state.isSuperset(of: [.isNamed, .isValued])
        else { return false }
        if rows[Int(heir)].state.contains(.isFolded) { return true }
        var base = bases[heir].map { MetricValue(value.kind, $0[...]) }
        if base?.add(value) == nil { base = value }
        guard let base, self.value(of: heir).isAtLeast(base) else { return false }
        setBase(base.numbers, of: heir)
        return true
    }
}
