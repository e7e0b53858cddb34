import Glibc
package import SystemIO
package import TraceModel

/// One number of a row as it is shown.
package struct SummaryCell: Sendable, Equatable {
    package enum Value: Sendable, Equatable {
        case whole(UInt64)
        case real(Double)
        /// Nanoseconds since the epoch.
        case time(UInt64)
        /// There is none: nothing was measured.
        case none
    }

    /// With its unit.
    package let name: String
    package let value: Value
}

extension SummaryTableSchema {
    private static let quantiles = [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99)]

    /// The numbers of a row, or of all rows together, as they are shown, in the table's order.
    package func cells(of values: SummaryValues, _ sketch: QuantileSketch, isTotal: Bool = false) -> [SummaryCell] {
        var cells: [SummaryCell] = []
        for (position, column) in columns.enumerated() where !column.isHidden {
            cells.append(
                SummaryCell(name: column.name + column.unit.suffix, value: Self.value(values[position], column.unit)))
        }
        if let mean, !(isTotal && mean.isShare) {
            let value = mean.value(of: values).map { $0 / mean.unit.scale }
            cells.append(SummaryCell(name: mean.name + mean.unit.suffix, value: value.map { .real($0) } ?? .none))
        }
        guard hasQuantiles else { return cells }
        // A sketch knows values within 1 %, the column exactly.
        let greatest = columns.firstIndex { $0.kind == .max }.map { values[$0] } ?? .max
        for (name, share) in Self.quantiles {
            let value = sketch.quantile(share).map { Double(min($0, greatest)) / 1e6 }
            cells.append(SummaryCell(name: name, value: value.map { .real($0) } ?? .none))
        }
        return cells
    }

    private static func value(_ number: UInt64, _ unit: SummaryUnit) -> SummaryCell.Value {
        switch unit {
        case .count: .whole(number)
        case .time: number == 0 ? .none : .time(number)
        case .nanoseconds, .microseconds, .millionths, .percent: .real(Double(number) / unit.scale)
        }
    }
}

/// One process, or one item of it, in a summary.
package struct SummaryRow: Sendable, Equatable {
    /// By bytes, so that names which only look the same stay apart.
    package struct Key: Hashable, Comparable, Sendable {
        package var host: [UInt8]
        package var pid: UInt32
        /// Empty where the row is the process.
        package var item: [UInt8]

        package init(host: [UInt8], pid: UInt32, item: [UInt8]) {
            self.host = host
            self.pid = pid
            self.item = item
        }

        /// Whole names at once, where arrays would hash byte by byte.
        package func hash(into hasher: inout Hasher) {
            hasher.combine(pid)
            hasher.combine(host.count)
            host.withUnsafeBytes { hasher.combine(bytes: $0) }
            item.withUnsafeBytes { hasher.combine(bytes: $0) }
        }

        package static func < (left: Key, right: Key) -> Bool {
            let host = order(left.host, right.host)
            if host != 0 { return host < 0 }
            if left.pid != right.pid { return left.pid < right.pid }
            return order(left.item, right.item) < 0
        }

        private static func order(_ left: [UInt8], _ right: [UInt8]) -> Int {
            left.withUnsafeBytes { left in right.withUnsafeBytes { order(left, $0) } }
        }

        /// Below 0 where `left` comes first by its bytes, above 0 where `right` does.
        static func order(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
            guard let start = left.baseAddress, let other = right.baseAddress else { return left.count - right.count }
            let common = memcmp(start, other, min(left.count, right.count))
            return common != 0 ? Int(common) : left.count - right.count
        }
    }

    package var key: Key
    /// The process's name as it was last.
    package var process: [UInt8]
    package var values: SummaryValues
    package var sketch: QuantileSketch

    package init(key: Key, process: [UInt8], values: SummaryValues, sketch: QuantileSketch) {
        self.key = key
        self.process = process
        self.values = values
        self.sketch = sketch
    }

    /// What it takes of the budget of rows that add up others: never less when more is added to it.
    var cost: Int { Self.fixedCost + key.host.count + key.item.count + Self.cost(ofBuckets: sketch.bucketCount) }

    static func cost(ofBuckets count: Int) -> Int { bucketCost * count }

    /// Bytes of an encoded row without its names and the buckets of its sketch, and those of one bucket.
    private static let fixedCost = 16 + SummaryValues.encodedBytesMax + 2
    private static let bucketCost = 10

    func encode(into buffer: inout RawBuffer) {
        buffer.append(counted: key.host)
        buffer.append(integer: key.pid)
        buffer.append(counted: key.item)
        buffer.append(counted: process)
        values.encode(into: &buffer)
        sketch.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader, isFixed: Bool) throws(TraceError) {
        let host = Array(try reader.counted())
        let pid = try reader.integer(UInt32.self)
        let item = Array(try reader.counted())
        key = Key(host: host, pid: pid, item: item)
        process = Array(try reader.counted())
        values = try SummaryValues(decoding: &reader, isFixed: isFixed)
        sketch = try QuantileSketch(decoding: &reader)
    }
}

/// One table of a summary: totals over all rows, and those rows that stand in a top list.
package struct SummaryTable: Sendable, Equatable {
    package let schema: SummaryTableSchema
    /// How many rows there were; of several windows, the most in one.
    package private(set) var rowCount: UInt64 = 0
    package private(set) var totals = SummaryValues()
    package private(set) var sketch = QuantileSketch()
    package private(set) var rows: [SummaryRow] = []
    /// Of rows that add up others: those whose names have this hash or a greater one are let go.
    private var hashEnd = UInt64.max
    private var cost = 0
    /// What rows that add up others may cost.
    var overallBytesMax = Limits.summaryOverallBytesMax
    /// Of each list its last row when rows were let go last: what comes behind it in all lists will stand in none.
    private var floors: [Floor] = []
    /// Of rows that add up others; nil while nobody has asked since they were put in order.
    private var positions: [SummaryRow.Key: Int]? = [:]

    /// The last row of a list.
    private struct Floor {
        let weight: Double
        /// Nil where the list is not full: any weight has a place.
        let key: SummaryRow.Key?
    }

    /// Rows kept before those in no top list are let go: it bounds the memory and, as later rows are measured by what
    /// is kept, the work; and changes nothing.
    private var pendingRowsMax: Int { 2 * schema.lists.count * Limits.summaryRowsMax }

    package init(_ schema: SummaryTableSchema) { self.schema = schema }

    package static func == (left: SummaryTable, right: SummaryTable) -> Bool {
        left.rowCount == right.rowCount && left.hashEnd == right.hashEnd && left.totals == right.totals
            && left.sketch == right.sketch && left.rows == right.rows
    }

    /// Whether all names have their row; of tables by process, whether lists hold whom they should: always.
    package var isComplete: Bool { hashEnd == .max }

    /// Adds a row that is not there yet.
    mutating func add(_ part: SummaryPart, of owner: SummaryOwner) {
        count(part)
        guard mayStandInList(part, of: owner) else { return }
        rows.append(part.row(of: owner))
        if rows.count >= pendingRowsMax { rows = rowsInLists().map { rows[$0] } }
    }

    /// Weights are often alike: then keys decide, as in the lists.
    private func mayStandInList(_ part: SummaryPart, of owner: SummaryOwner) -> Bool {
        floors.isEmpty
            || floors.indices.contains { list in
                let weight = schema.weight(of: part.values, part.sketch.pointee, inList: list)
                let floor = floors[list]
                guard weight == floor.weight, let key = floor.key else { return weight >= floor.weight }
                return part.precedes(key, of: owner)
            }
    }

    /// Adds a row to the totals only: its process is not known any more.
    mutating func count(_ part: SummaryPart) {
        rowCount += 1
        schema.combine(part.values, into: &totals, isLater: false)
        sketch.merge(part.sketch.pointee)
    }

    /// Adds another worker's table of the same window, or one of a later window.
    package mutating func merge(_ other: SummaryTable, isLater: Bool) {
        if isLater, schema.isStanding {
            self = other
            return
        }
        rowCount = isLater ? max(rowCount, other.rowCount) : rowCount + other.rowCount
        schema.combine(other.totals, into: &totals, isLater: isLater)
        sketch.merge(other.sketch)
        guard schema.source == nil else {
            hashEnd = min(hashEnd, other.hashEnd)
            for row in other.rows { addUp(row, isLater: isLater) }
            return keepWithinBudget()
        }
        floors = []
        var positions: [SummaryRow.Key: Int] = [:]
        positions.reserveCapacity(rows.count + other.rows.count)
        for (position, row) in rows.enumerated() { positions[row.key] = position }
        for row in other.rows {
            guard let position = positions[row.key] else {
                positions[row.key] = rows.count
                rows.append(row)
                continue
            }
            schema.combine(row.values, into: &rows[position].values, isLater: isLater)
            rows[position].sketch.merge(row.sketch)
            rows[position].process = row.process
        }
        if rows.count >= pendingRowsMax { keepTop() }
    }

    // MARK: Rows that add up others

    // A row of one name may come in parts from any number of workers, so that no part can be let go for being
    // small. Rows are kept in the order of their names' hashes for as long as they fit into a budget of bytes:
    // as no part costs more than the whole, who has only parts keeps at least those that are kept in the end,
    // so that these are exact, and the same however many workers there were.

    /// Adds what a process's row adds to its own row here, which is at `place` as a rule. The totals are those of the
    /// table that it came from.
    mutating func addUp(_ part: SummaryPart, of owner: SummaryOwner, _ place: inout UInt32) {
        if isComplete, combine(part, of: owner, intoRowAt: Int(place)) { return keepWithinMemory() }
        let key = schema.key(of: part, of: owner)
        let row = SummaryRow(key: key, process: [], values: part.values, sketch: part.sketch.pointee)
        place = addUp(row, isLater: false).map { UInt32($0) } ?? .max
    }

    /// False, and nothing done, where the row of that place is another one's.
    private mutating func combine(_ part: SummaryPart, of owner: SummaryOwner, intoRowAt place: Int) -> Bool {
        let (schema, before) = (schema, cost)
        cost = rows.withUnsafeMutableBufferPointer { rows in
            guard place < rows.count, let row = rows.baseAddress.map({ $0 + place }),
                schema.addsUp(part, of: owner, in: row)
            else { return -1 }
            let buckets = row.pointee.sketch.bucketCount
            schema.combine(part.values, into: &row.pointee.values, isLater: false)
            row.pointee.sketch.merge(part.sketch.pointee)
            return before + SummaryRow.cost(ofBuckets: row.pointee.sketch.bucketCount - buckets)
        }
        guard cost < 0 else { return true }
        cost = before
        return false
    }

    private mutating func keepWithinMemory() { if cost > 2 * overallBytesMax { keepWithinBudget() } }

    mutating func takeTotals(of source: SummaryTable) {
        totals = source.totals
        sketch = source.sketch
    }

    /// Where the row is; nil where that is not known, as rows were let go, among which it may be.
    @discardableResult private mutating func addUp(_ row: SummaryRow, isLater: Bool) -> Int? {
        guard isComplete || Self.hash(row) < hashEnd else { return nil }
        if positions == nil { notePositions() }
        let known = positions?[row.key]
        if let known {
            cost -= rows[known].cost
            schema.combine(row.values, into: &rows[known].values, isLater: isLater)
            rows[known].sketch.merge(row.sketch)
            cost += rows[known].cost
        } else {
            positions?[row.key] = rows.count
            rows.append(row)
            cost += row.cost
        }
        let position = known ?? rows.count - 1
        keepWithinMemory()
        return positions == nil ? nil : position
    }

    private mutating func keepWithinBudget() {
        if cost > overallBytesMax {
            var left = overallBytesMax
            let order = rows.map { (hash: Self.hash($0), cost: $0.cost) }.sorted { $0 < $1 }
            let first = order.first { row in
                left -= row.cost
                return left < 0
            }
            hashEnd = min(hashEnd, first?.hash ?? .max)
        }
        let kept = rows.indices.filter { isComplete || Self.hash(rows[$0]) < hashEnd }
        keep(kept)
        rowCount = UInt64(rows.count)
        noteRows()
    }

    /// Lets go of all rows but those at these positions, and puts these in the order of their keys. Positions are sorted
    /// instead of rows, which are large and hold memory.
    private mutating func keep(_ kept: [Int]) {
        let order = kept.sorted { rows[$0].key < rows[$1].key }
        rows = order.map { rows[$0] }
    }

    /// The rows are others now, or in another order.
    private mutating func noteRows() {
        positions = nil
        cost = rows.reduce(0) { $0 + $1.cost }
    }

    private mutating func notePositions() {
        var positions: [SummaryRow.Key: Int] = [:]
        positions.reserveCapacity(rows.count)
        for (position, row) in rows.enumerated() { positions[row.key] = position }
        self.positions = positions
    }

    private static func hash(_ row: SummaryRow) -> UInt64 {
        // The greatest is for none let go.
        min(row.key.item.withUnsafeBytes { Slot.hash(host: $0) }, .max - 1)
    }

    // MARK: Top lists

    /// Lets go of the rows in no top list, and orders the others by their keys.
    package mutating func keepTop() {
        guard schema.source == nil else { return keepWithinBudget() }
        keep(rowsInLists())
    }

    /// The positions of the rows in the top lists, each once, in no order; notes where the lists end.
    private mutating func rowsInLists() -> [Int] {
        var kept = Set<Int>()
        floors = []
        for list in schema.lists {
            let top = positions(of: list, Limits.summaryRowsMax)
            kept.formUnion(top)
            if let last = top.last, top.count == Limits.summaryRowsMax {
                let weight = schema.weight(of: rows[last], in: list)
                floors.append(Floor(weight: weight, key: rows[last].key))
            } else {
                floors.append(Floor(weight: .leastNonzeroMagnitude, key: nil))
            }
        }
        return Array(kept)
    }

    /// The first `count` rows of a list.
    package func top(_ list: SummaryTableSchema.List, _ count: Int) -> [SummaryRow] {
        positions(of: list, count).map { rows[$0] }
    }

    private func positions(of list: SummaryTableSchema.List, _ count: Int) -> ArraySlice<Int> {
        var weights = rows.indices.map { (weight: schema.weight(of: rows[$0], in: list), position: $0) }
        weights.removeAll { !($0.weight > 0) }
        // Weights are often alike, and comparing keys takes long: only rows that may get a place are put in order.
        if weights.count > count {
            let last = weights.map(\.weight).sorted(by: >)[max(count, 1) - 1]
            weights.removeAll { $0.weight < last }
        }
        return weights.sorted {
            if $0.weight != $1.weight { return $0.weight > $1.weight }
            return rows[$0.position].key < rows[$1.position].key
        }.map(\.position).prefix(count)
    }

    // MARK: State

    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: rowCount)
        buffer.append(integer: hashEnd)
        totals.encode(into: &buffer)
        sketch.encode(into: &buffer)
        buffer.append(integer: UInt32(rows.count))
        for row in rows { row.encode(into: &buffer) }
    }

    /// - Parameter isFixed: whether rows have their numbers in the form of 0.1.0.
    /// - Throws: `TraceError(.corrupt)` where the bytes are no table.
    package init(_ schema: SummaryTableSchema, decoding reader: inout StateReader, isFixed: Bool) throws(TraceError) {
        self.schema = schema
        rowCount = try reader.integer(UInt64.self)
        hashEnd = try reader.integer(UInt64.self)
        totals = try SummaryValues(decoding: &reader, isFixed: isFixed)
        if isFixed { schema.complete(&totals) }
        sketch = try QuantileSketch(decoding: &reader)
        for _ in 0..<(try reader.integer(UInt32.self)) {
            rows.append(try SummaryRow(decoding: &reader, isFixed: isFixed))
            if isFixed { schema.complete(&rows[rows.count - 1].values) }
        }
        if schema.source != nil { noteRows() }
    }
}
