/// The series that slots hold, a row for each slot that holds one, with the decision whether the series is
/// exposed by its own labels or folded into `other`. The decision holds for the series' life: a series that
/// moved between the two would make a counter go back.
///
/// Rows are small (24 bytes, and 8 for each number of the value), as there may be a million. A row's number is
/// valid until it is released.
struct SeriesTable: Sendable {
    struct Row: Sendable {
        var labels: SeriesLabels
        /// Where its numbers begin in `values`.
        fileprivate var value: UInt32
        /// Which slot of which resource holds it.
        var owner: UInt16
        /// The family's place in the catalog.
        var family: UInt8
        var state: State
    }

    struct State: OptionSet, Sendable {
        let rawValue: UInt8

        static let isAlive = State(rawValue: 1)
        static let isFolded = State(rawValue: 2)
        /// It has been given a value; what has none is not shown.
        static let isValued = State(rawValue: 4)
        /// The full section being read names it.
        static let isNamed = State(rawValue: 8)
    }

    private(set) var rows: [Row] = []
    private(set) var texts = TextTable()
    private var values: [UInt64] = []
    private var freeRows: [UInt32] = []
    /// By how many numbers they hold.
    private var freeValues: [UInt8: [UInt32]] = [:]

    /// Row + 1 by the hash of family and labels; 0 is an empty cell. Linear probing, at most half full.
    private var index = [UInt32](repeating: 0, count: 1_024)
    private(set) var count = 0

    /// Distinct exposed series by family.
    private var exposed: [Int]
    /// By family: rows of exposed series in the order of their labels; nil where some came or went.
    private var orders: [[UInt32]?]

    private let perFamilyMax: Int
    private let heldMax: Int

    init(perFamilyMax: Int, heldMax: Int) {
        self.perFamilyMax = perFamilyMax
        self.heldMax = heldMax
        exposed = [Int](repeating: 0, count: MetricCatalog.all.count)
        orders = [[UInt32]?](repeating: [], count: MetricCatalog.all.count)
    }

    // MARK: Coming and going

    /// The row of a series of a slot, which is added without a value where there is none. nil where the table is
    /// full. `wasFolded` says that the series is new and beyond its family's limit. `isFolded` takes the
    /// decision over from an earlier run.
    mutating func row(
        _ family: UInt8,
        _ labels: [String],
        owner: UInt16,
        isFolded decided: Bool? = nil
    ) -> (row: UInt32, wasFolded: Bool)? {
        var sibling: UInt32?
        if let known = numbers(of: labels) {
            let found = find(family, known, owner: owner)
            if let row = found.row { return (row, false) }
            sibling = found.sibling
        }
        guard count < heldMax else { return nil }
        var held = SeriesLabels()
        for (position, text) in labels.enumerated() { held[position] = texts.hold(text) }
        let isFolded =
            sibling.map { rows[Int($0)].state.contains(.isFolded) } ?? decided
            ?? (exposed[Int(family)] >= perFamilyMax)
        if sibling == nil, !isFolded { exposed[Int(family)] += 1 }
        if !isFolded { orders[Int(family)] = nil }
        let row = Row(
            labels: held,
            value: place(for: family),
            owner: owner,
            family: family,
            state: isFolded ? [.isAlive, .isFolded] : .isAlive
        )
        return (insert(row), isFolded && sibling == nil)
    }

    mutating func release(_ number: UInt32) {
        let row = rows[Int(number)]
        remove(number)
        let isFolded = row.state.contains(.isFolded)
        if !isFolded { orders[Int(row.family)] = nil }
        if !isFolded, find(row.family, row.labels, owner: row.owner).sibling == nil {
            exposed[Int(row.family)] -= 1
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

    mutating func mark(_ number: UInt32) { rows[Int(number)].state.insert(.isNamed) }

    mutating func unmark(_ number: UInt32) { rows[Int(number)].state.remove(.isNamed) }

    private func numbers(of labels: [String]) -> SeriesLabels? {
        var numbers = SeriesLabels()
        for (position, text) in labels.enumerated() {
            guard let number = texts.number(of: text) else { return nil }
            numbers[position] = number
        }
        return numbers
    }

    private mutating func place(for family: UInt8) -> UInt32 {
        let width = MetricCatalog.widths[Int(family)]
        if let free = freeValues[width]?.popLast() {
            for offset in 0..<Int(width) { values[Int(free) + offset] = 0 }
            return free
        }
        values.append(contentsOf: repeatElement(0, count: Int(width)))
        return UInt32(values.count - Int(width))
    }

    // MARK: Index

    /// The row itself, and a row of the same series held by another slot.
    private func find(
        _ family: UInt8,
        _ labels: SeriesLabels,
        owner: UInt16
    ) -> (row: UInt32?, sibling: UInt32?) {
        let mask = index.count - 1
        var sibling: UInt32?
        var at = Int(truncatingIfNeeded: labels.hash(in: family)) & mask
        while index[at] != 0 {
            let number = index[at] - 1
            let row = rows[Int(number)]
            if row.family == family, row.labels == labels {
                if row.owner == owner { return (number, sibling) }
                sibling = number
            }
            at = (at + 1) & mask
        }
        return (nil, sibling)
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
        file(number)
        count += 1
        return number
    }

    private mutating func file(_ number: UInt32) {
        let mask = index.count - 1
        var at = home(of: number) & mask
        while index[at] != 0 { at = (at + 1) & mask }
        index[at] = number + 1
    }

    private func home(of number: UInt32) -> Int {
        let row = rows[Int(number)]
        return Int(truncatingIfNeeded: row.labels.hash(in: row.family))
    }

    private mutating func remove(_ number: UInt32) {
        let mask = index.count - 1
        var hole = home(of: number) & mask
        while index[hole] != number + 1 { hole = (hole + 1) & mask }
        // What stands behind the hole moves into it unless it would come before its own home: no
        // tombstones (Knuth, The Art of Computer Programming, 6.4, algorithm R).
        var at = (hole + 1) & mask
        while index[at] != 0 {
            let home = home(of: index[at] - 1) & mask
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
        index = [UInt32](repeating: 0, count: old.count * 2)
        for cell in old where cell != 0 { file(cell - 1) }
    }

    // MARK: Values

    @inline(__always)
    mutating func set(_ number: UInt32, _ value: Double) {
        values[Int(rows[Int(number)].value)] = value.bitPattern
        rows[Int(number)].state.insert(.isValued)
    }

    mutating func set(_ number: UInt32, _ buckets: UnsafeBufferPointer<UInt64>, sum: Double) {
        let place = Int(rows[Int(number)].value)
        for index in buckets.indices { values[place + index] = buckets[index] }
        values[place + buckets.count] = sum.bitPattern
        rows[Int(number)].state.insert(.isValued)
    }

    /// The value is of the row's family's kind.
    mutating func set(_ number: UInt32, _ value: MetricValue) {
        let place = Int(rows[Int(number)].value)
        for (index, pattern) in value.numbers.enumerated() { values[place + index] = pattern }
        rows[Int(number)].state.insert(.isValued)
    }

    /// As they are held: bit patterns of a double, or buckets and the pattern of the sum.
    @inline(__always)
    func numbers(of row: Row) -> ArraySlice<UInt64> {
        values[Int(row.value)..<Int(row.value) + Int(MetricCatalog.widths[Int(row.family)])]
    }

    func value(of number: UInt32) -> MetricValue {
        let row = rows[Int(number)]
        return MetricValue(MetricCatalog.all[Int(row.family)].kind, numbers(of: row))
    }

    // MARK: Order

    /// Rows of the family's exposed series in the order of their labels; those of one series follow one another.
    /// O(all rows) after some came or went, else O(1).
    mutating func order(of family: UInt8) -> [UInt32] {
        if let known = orders[Int(family)] { return known }
        sortAll()
        return orders[Int(family)] ?? []
    }

    /// One pass over the rows for all families that changed.
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
                // A family's series have the same number of labels.
                return ranks[Int(a)] < ranks[Int(b)]
            }
            return left.owner < right.owner
        }
        for family in orders.indices where changed[family] {
            orders[family] = found[family].sorted(by: areInOrder)
        }
    }
}
