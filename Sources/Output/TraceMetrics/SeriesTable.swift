/// The series that slots hold: one row for each series of each slot, and the decision whether the series is exposed by
/// its own labels or folded into `other`.
///
/// The decision holds for the life of the series, because a counter whose value moved between series would go back.
/// Only histograms change sides, and they leave behind what is counted already (`chooseHistograms`).
///
/// Only series of processes and hosts are limited in number. Series of a slot as a whole always have a row: they are few, and the
/// accounting of events depends on them.
///
/// Rows are small (24 bytes, and 8 for each number of the value), because there may be a million. A row's number is
/// valid until the row is released.
struct SeriesTable: Sendable {
    /// One series of one slot.
    struct Row: Sendable {
        var labels: SeriesLabels
        /// The position of its first number in `values`.
        fileprivate var value: UInt32
        /// The slot (of a resource) that holds the series.
        var owner: UInt16
        /// The family's catalog position.
        var family: UInt8
        fileprivate(set) var state: State
    }

    /// The state of a row.
    struct State: OptionSet, Sendable {
        let rawValue: UInt8

        static let isAlive = State(rawValue: 1)
        static let isFolded = State(rawValue: 2)
        /// The row has a value; a row without one is not shown.
        static let isValued = State(rawValue: 4)
        /// The full section that is being read names the row.
        static let isNamed = State(rawValue: 8)
        /// The row was reported since the charts' last totals.
        static let isFresh = State(rawValue: 16)
        /// The charts' totals have counted the row.
        static let isCharted = State(rawValue: 32)
    }

    /// The result of looking a slot's series up.
    enum Lookup: Sendable {
        /// The row. `wasFolded` is true for a new series beyond its family's limit.
        case row(UInt32, wasFolded: Bool)
        /// A gauge beyond its family's limit. It has no row, because a sum of gauges of several processes would mean
        /// nothing.
        case hidden
        /// There is no room for a row.
        case none
    }

    private(set) var rows: [Row] = []
    private(set) var texts = TextTable()
    private var values: [UInt64] = []
    private var freeRows: [UInt32] = []
    /// Free ranges of `values` by their length in numbers.
    private var freeValues: [UInt8: [UInt32]] = [:]

    /// Hash index over family and labels with linear probing, at most half full. A cell holds 32 bits of the hash, so
    /// that rows of other series are not read, and below them the row number + 1; an empty cell is 0.
    private var index = [UInt64](repeating: 0, count: 1_024)
    private(set) var count = 0
    /// How many of the rows are series of processes and hosts.
    private var limitedCount = 0

    /// Distinct exposed series by family.
    private(set) var exposed: [Int]
    /// Rows of folded series by family.
    private(set) var folded: [Int]
    /// What `other` counts of exposed series, by row: what a histogram had counted before it was exposed, and what a
    /// series took over from folded ones. The numbers are laid out as those of the row.
    private(set) var bases: [UInt32: [UInt64]] = [:]
    /// Rows of exposed series in label order, by family; nil where rows were added or removed since.
    private var orders: [[UInt32]?]

    var limits: SeriesLimits

    init(limits: SeriesLimits) {
        self.limits = limits
        exposed = [Int](repeating: 0, count: MetricCatalog.all.count)
        folded = [Int](repeating: 0, count: MetricCatalog.all.count)
        orders = [[UInt32]?](repeating: [], count: MetricCatalog.all.count)
    }

    /// Returns the identity of a row's series.
    func key(of row: Row) -> SeriesKey {
        let descriptor = MetricCatalog.all[Int(row.family)]
        let labels = descriptor.labels.indices.map { texts.texts[Int(row.labels[$0])] }
        return SeriesKey(family: descriptor.family, labels: labels)
    }

    // MARK: Adding and releasing

    /// Finds the row of a slot's series, or adds one without a value. `isFolded` carries the decision of an earlier run
    /// over.
    mutating func findOrAdd(
        _ family: UInt8,
        _ labels: [String],
        owner: UInt16,
        isFolded decided: Bool? = nil
    ) -> Lookup {
        var sibling: UInt32?
        let known = texts.numbers(of: labels)
        if let known {
            let found = find(family, known, owner: owner)
            if let row = found.row { return .row(row, wasFolded: false) }
            sibling = found.sibling
        }
        let isLimited = MetricCatalog.areLimited[Int(family)]
        let isFull = isLimited && exposed[Int(family)] >= limits.exposed(of: family)
        let isFolded = sibling.map { rows[Int($0)].state.contains(.isFolded) } ?? decided ?? isFull
        if isFolded, MetricCatalog.kinds[Int(family)] == .gauge { return .hidden }
        guard !isLimited || limitedCount < limits.held else { return .none }
        let held = texts.hold(labels, known: known)
        if isLimited { limitedCount += 1 }
        if isFolded {
            folded[Int(family)] += 1
        } else {
            if sibling == nil { exposed[Int(family)] += 1 }
            orders[Int(family)] = nil
        }
        let row = Row(
            labels: held,
            value: allocateValues(for: family),
            owner: owner,
            family: family,
            state: isFolded ? [.isAlive, .isFolded] : .isAlive
        )
        return .row(insert(row), wasFolded: isFolded && sibling == nil)
    }

    /// Releases a row, and returns what is to be counted in its place from now on.
    mutating func retire(_ number: UInt32) -> [(SeriesKey, MetricValue)] {
        let row = rows[Int(number)]
        var values: [(SeriesKey, MetricValue)] = []
        if let value = otherValue(of: number) {
            values.append((.overflow(of: MetricCatalog.families[Int(row.family)]), value))
        }
        if row.state.contains(.isValued), !row.state.contains(.isFolded),
            MetricCatalog.kinds[Int(row.family)] != .gauge
        {
            values.append((key(of: row), shownValue(of: number)))
        }
        release(number)
        return values
    }

    mutating func release(_ number: UInt32) {
        let row = rows[Int(number)]
        remove(number)
        if MetricCatalog.areLimited[Int(row.family)] { limitedCount -= 1 }
        if row.state.contains(.isFolded) {
            folded[Int(row.family)] -= 1
        } else {
            orders[Int(row.family)] = nil
            bases[number] = nil
            if find(row.family, row.labels, owner: row.owner).sibling == nil {
                exposed[Int(row.family)] -= 1
            }
        }
        for position in 0..<SeriesLabels.countMax where row.labels[position] != SeriesLabels.none {
            texts.release(row.labels[position])
        }
        freeValues[MetricCatalog.widths[Int(row.family)], default: []].append(row.value)
        rows[Int(number)].state = []
        rows[Int(number)].owner = .max
        freeRows.append(number)
        count -= 1
    }

    // MARK: Exposing and folding

    /// Exposes a folded histogram. What it has counted so far stays in `other`.
    mutating func expose(_ number: UInt32) {
        let row = rows[Int(number)]
        rows[Int(number)].state.remove(.isFolded)
        bases[number] = Array(numbers(of: row))
        folded[Int(row.family)] -= 1
        exposed[Int(row.family)] += 1
        orders[Int(row.family)] = nil
    }

    /// Folds an exposed counter or histogram with all that it has counted.
    mutating func fold(_ number: UInt32) {
        let row = rows[Int(number)]
        rows[Int(number)].state.insert(.isFolded)
        bases[number] = nil
        folded[Int(row.family)] += 1
        exposed[Int(row.family)] -= 1
        orders[Int(row.family)] = nil
    }

    /// Whether `other` counts anything of the series.
    @inline(__always) func isInOther(_ number: UInt32) -> Bool {
        rows[Int(number)].state.contains(.isFolded) || (!bases.isEmpty && bases[number] != nil)
    }

    /// Returns the row of a slot's series.
    func row(_ family: UInt8, _ labels: SeriesLabels, owner: UInt16) -> UInt32? {
        find(family, labels, owner: owner).row
    }

    /// Sets what `other` counts of an exposed series, or nothing.
    mutating func setBase(_ base: [UInt64]?, of number: UInt32) { bases[number] = base }

    /// Marks a row as counted by the charts' totals.
    @inline(__always) mutating func markCharted(_ number: Int) {
        rows[number].state.remove(.isFresh)
        rows[number].state.insert(.isCharted)
    }

    // MARK: Full sections

    mutating func mark(_ number: UInt32) { rows[Int(number)].state.insert(.isNamed) }

    mutating func unmark(_ number: UInt32) { rows[Int(number)].state.remove(.isNamed) }

    private mutating func allocateValues(for family: UInt8) -> UInt32 {
        let width = MetricCatalog.widths[Int(family)]
        if let free = freeValues[width]?.popLast() {
            for offset in 0..<Int(width) { values[Int(free) + offset] = 0 }
            return free
        }
        values.append(contentsOf: repeatElement(0, count: Int(width)))
        return UInt32(values.count - Int(width))
    }

    // MARK: Index

    /// Finds the row itself, and a row of the same series held by another slot.
    private func find(
        _ family: UInt8,
        _ labels: SeriesLabels,
        owner: UInt16
    ) -> (row: UInt32?, sibling: UInt32?) {
        let mask = index.count - 1
        let hash = labels.hash(in: family)
        var sibling: UInt32?
        var at = Int(hash) & mask
        while index[at] != 0 {
            if Self.hash(in: index[at]) == hash {
                let number = Self.row(in: index[at])
                let row = rows[Int(number)]
                if row.family == family, row.labels == labels {
                    if row.owner == owner { return (number, sibling) }
                    sibling = number
                }
            }
            at = (at + 1) & mask
        }
        return (nil, sibling)
    }

    @inline(__always) private static func hash(in cell: UInt64) -> UInt32 { UInt32(cell >> 32) }

    @inline(__always) private static func row(in cell: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: cell) - 1
    }

    private mutating func insert(_ row: Row) -> UInt32 {
        if (count + 1) * 2 > index.count { growIndex() }
        let number: UInt32
        if let reused = freeRows.popLast() {
            number = reused
            rows[Int(number)] = row
        } else {
            number = UInt32(rows.count)
            rows.append(row)
        }
        addToIndex(number)
        count += 1
        return number
    }

    private mutating func addToIndex(_ number: UInt32) {
        addToIndex(cell: UInt64(hash(of: number)) << 32 | UInt64(number + 1))
    }

    private mutating func addToIndex(cell: UInt64) {
        let mask = index.count - 1
        var at = Int(Self.hash(in: cell)) & mask
        while index[at] != 0 { at = (at + 1) & mask }
        index[at] = cell
    }

    private func hash(of number: UInt32) -> UInt32 {
        let row = rows[Int(number)]
        return row.labels.hash(in: row.family)
    }

    private mutating func remove(_ number: UInt32) {
        let mask = index.count - 1
        var hole = Int(hash(of: number)) & mask
        while Self.row(in: index[hole]) != number { hole = (hole + 1) & mask }
        // Cells behind the hole move into it unless that puts them before their home cell, so no tombstones are needed
        // (Knuth, The Art of Computer Programming, 6.4, algorithm R).
        var at = (hole + 1) & mask
        while index[at] != 0 {
            let home = Int(Self.hash(in: index[at])) & mask
            if (at - home) & mask >= (at - hole) & mask {
                index[hole] = index[at]
                hole = at
            }
            at = (at + 1) & mask
        }
        index[hole] = 0
    }

    private mutating func growIndex() {
        let old = index
        index = [UInt64](repeating: 0, count: old.count * 2)
        for cell in old where cell != 0 { addToIndex(cell: cell) }
    }

    // MARK: Values

    /// Sets the value of a counter or gauge. `isRepeated`: the report has all series of a slot, so that it says of an
    /// unchanged value nothing about when it was last measured.
    @inline(__always) mutating func set(
        _ number: UInt32,
        _ value: Double,
        isRepeated: Bool = false
    ) {
        let position = Int(rows[Int(number)].value)
        let isFresh =
            !isRepeated || values[position] != value.bitPattern
            || !rows[Int(number)].state.contains(.isValued)
        values[position] = value.bitPattern
        rows[Int(number)].state.insert(isFresh ? [.isValued, .isFresh] : .isValued)
    }

    mutating func set(_ number: UInt32, _ buckets: UnsafeBufferPointer<UInt64>, sum: Double) {
        let start = Int(rows[Int(number)].value)
        for index in buckets.indices { values[start + index] = unsafe buckets[index] }
        values[start + buckets.count] = sum.bitPattern
        rows[Int(number)].state.insert(.isValued)
    }

    /// Sets a value, which must be of the kind of the row's family.
    mutating func set(_ number: UInt32, _ value: MetricValue) {
        let start = Int(rows[Int(number)].value)
        for (index, pattern) in value.numbers.enumerated() { values[start + index] = pattern }
        rows[Int(number)].state.insert([.isValued, .isFresh])
    }

    /// The numbers as they are held: a double's bit pattern, or the buckets and the bit pattern of the sum.
    @inline(__always) func numbers(of row: Row) -> ArraySlice<UInt64> {
        values[Int(row.value)..<Int(row.value) + Int(MetricCatalog.widths[Int(row.family)])]
    }

    /// The value of a counter or gauge.
    @inline(__always) func number(of row: UInt32) -> Double {
        Double(bitPattern: values[Int(rows[Int(row)].value)])
    }

    /// Whether a histogram has a lower count in any bucket than before.
    @inline(__always) func hasFallen(
        _ number: UInt32,
        to buckets: UnsafeBufferPointer<UInt64>
    ) -> Bool {
        let start = Int(rows[Int(number)].value)
        return buckets.indices.contains { unsafe buckets[$0] < values[start + $0] }
    }

    func value(of number: UInt32) -> MetricValue {
        let row = rows[Int(number)]
        return MetricValue(MetricCatalog.all[Int(row.family)].kind, numbers(of: row))
    }

    // MARK: Order

    /// Returns the rows of a family's exposed series in label order; rows of one series are adjacent. O(all rows) after
    /// rows were added or removed, else O(1).
    mutating func order(of family: UInt8) -> [UInt32] {
        if let known = orders[Int(family)] { return known }
        sortAll()
        return orders[Int(family)] ?? []
    }

    /// Sorts all families that changed, in one pass over the rows.
    private mutating func sortAll() {
        let changed = orders.map { $0 == nil }
        var found = [[UInt32]](repeating: [], count: orders.count)
        for (number, row) in rows.enumerated()
        where row.state.contains(.isAlive) && !row.state.contains(.isFolded)
            && changed[Int(row.family)]
        {
            found[Int(row.family)].append(UInt32(number))
        }
        let ranks = texts.currentRanks()
        let rows = rows
        func areInOrder(_ left: UInt32, _ right: UInt32) -> Bool {
            let (left, right) = (rows[Int(left)], rows[Int(right)])
            for position in 0..<SeriesLabels.countMax {
                let (a, b) = (left.labels[position], right.labels[position])
                guard a != b else { continue }
                // All series of a family have the same number of labels.
                return ranks[Int(a)] < ranks[Int(b)]
            }
            return left.owner < right.owner
        }
        for family in orders.indices where changed[family] {
            orders[family] = found[family].sorted(by: areInOrder)
        }
    }
}

/// The division of a series' value between its own labels and `other`. The two add up to the value, and the part of
/// `other` never falls.
extension SeriesTable {
    /// Returns what the series itself shows: its value without the part that `other` counts.
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

    /// Returns what `other` counts of a series, or nil for nothing.
    func otherValue(of number: UInt32) -> MetricValue? {
        let row = rows[Int(number)]
        let kind = MetricCatalog.kinds[Int(row.family)]
        guard row.state.contains(.isValued), kind != .gauge else { return nil }
        if row.state.contains(.isFolded) { return MetricValue(kind, numbers(of: row)) }
        return bases[number].map { MetricValue(kind, $0[...]) }
    }

    /// Transfers a released function's or kernel's part of `other` to the same process's series named `other`, if the
    /// section names one. That series then includes the value, and the family's `other` keeps counting it there.
    /// Returns false where there is no such series.
    mutating func transferToOther(_ value: MetricValue, of row: Row) -> Bool {
        guard let position = MetricCatalog.all[Int(row.family)].sources.firstIndex(of: .name),
            let other = texts.number(of: MetricLabel.other), row.labels[position] != other
        else { return false }
        var labels = row.labels
        labels[position] = other
        guard let successor = self.row(row.family, labels, owner: row.owner),
            rows[Int(successor)].state.isSuperset(of: [.isNamed, .isValued])
        else { return false }
        if rows[Int(successor)].state.contains(.isFolded) { return true }
        var base = bases[successor].map { MetricValue(value.kind, $0[...]) }
        if base?.add(value) == nil { base = value }
        guard let base, self.value(of: successor).isAtLeast(base) else { return false }
        setBase(base.numbers, of: successor)
        return true
    }
}

/// The choice of histograms that are exposed: those of the functions (or processes) with the most calls. The choice
/// follows the calls without a counter that goes back or counts twice: a histogram that is exposed later starts at
/// zero, because `other` keeps what it had counted (`bases`), and one that is folded takes all its counts along.
extension SeriesTable {
    /// A folded histogram replaces an exposed one if it has this many times as many observations.
    static let leadMin: UInt64 = 2

    /// A histogram's row with its number of observations.
    private struct Candidate {
        let row: UInt32
        let calls: UInt64
    }

    /// Exposes the histograms with the most observations. The result depends only on what the table holds, not on the
    /// order of arrival. Returns false if nothing changed. O(rows) where any histogram is folded.
    mutating func chooseHistograms() -> Bool {
        let families = MetricCatalog.histogramsOfProcesses.filter { self.folded[Int($0)] > 0 }
        guard !families.isEmpty else { return false }
        var exposed: [UInt8: [Candidate]] = [:]
        var folded: [UInt8: [Candidate]] = [:]
        for (number, row) in rows.enumerated()
        where row.state.contains(.isAlive) && families.contains(row.family) {
            let calls = numbers(of: row).dropLast().reduce(0, &+)
            let candidate = Candidate(row: UInt32(number), calls: calls)
            if row.state.contains(.isFolded) {
                folded[row.family, default: []].append(candidate)
            } else {
                exposed[row.family, default: []].append(candidate)
            }
        }
        var isChanged = false
        for family in families {
            let isMoved = choose(
                exposed[family] ?? [],
                against: folded[family] ?? [],
                limit: limits.exposed(of: family)
            )
            isChanged = isChanged || isMoved
        }
        return isChanged
    }

    private mutating func choose(
        _ exposed: [Candidate],
        against folded: [Candidate],
        limit: Int
    ) -> Bool {
        var vacant = max(0, limit - exposed.count)
        let least = exposed.map(\.calls).min() ?? 0
        let challengers = folded.filter {
            $0.calls > 0 && (vacant > 0 || $0.calls / Self.leadMin > least)
        }
        guard !challengers.isEmpty else { return false }
        var weakest = exposed.sorted { isBefore($1, $0) }[...]
        var isChanged = false
        for challenger in challengers.sorted(by: isBefore) {
            if vacant > 0 {
                vacant -= 1
            } else {
                guard let loser = weakest.popFirst(), challenger.calls / Self.leadMin > loser.calls
                else { break }
                fold(loser.row)
            }
            expose(challenger.row)
            isChanged = true
        }
        return isChanged
    }

    /// Orders by observations, descending, then by labels.
    private func isBefore(_ left: Candidate, _ right: Candidate) -> Bool {
        if left.calls != right.calls { return left.calls > right.calls }
        let (a, b) = (rows[Int(left.row)].labels, rows[Int(right.row)].labels)
        for position in 0..<SeriesLabels.countMax where a[position] != b[position] {
            return texts.texts[Int(a[position])] < texts.texts[Int(b[position])]
        }
        return false
    }
}
