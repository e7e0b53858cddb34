import Glibc
package import SystemIO
package import TraceModel

/// One number of a row as it is shown.
package struct SummaryCell: Sendable, Equatable {
    /// The value of a cell.
    package enum Value: Sendable, Equatable {
        case whole(UInt64)
        case real(Double)
        /// Nanoseconds since the epoch.
        case time(UInt64)
        /// Nothing was measured.
        case none
    }

    /// The column's name with its unit.
    package let name: String
    package let value: Value
}

extension SummaryTableSchema {
    private static let quantiles = [("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99)]

    /// Returns the numbers of a row, or of all rows together, as they are shown, in the table's order.
    package func cells(
        of values: SummaryValues,
        _ sketch: QuantileSketch,
        isTotal: Bool = false
    ) -> [SummaryCell] {
        var cells: [SummaryCell] = []
        for (position, column) in columns.enumerated() where !column.isHidden {
            cells.append(
                SummaryCell(
                    name: column.name + column.unit.suffix,
                    value: Self.value(values[position], column.unit)
                )
            )
        }
        if let mean, !(isTotal && mean.isShare) {
            let value = mean.value(of: values).map { $0 / mean.unit.scale }
            cells.append(
                SummaryCell(
                    name: mean.name + mean.unit.suffix,
                    value: value.map { .real($0) } ?? .none
                )
            )
        }
        guard hasQuantiles else { return cells }
        // A sketch is exact within 1 %, but the maximum is known exactly, so no quantile exceeds it.
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

/// One row of a summary: a process, or an item of a process.
package struct SummaryRow: Sendable, Equatable {
    /// A row's key, compared by bytes, so that names which only look alike stay apart.
    package struct Key: Hashable, Comparable, Sendable {
        package var host: [UInt8]
        package var pid: UInt32
        /// Empty where the row is the process itself.
        package var item: [UInt8]

        package init(host: [UInt8], pid: UInt32, item: [UInt8]) {
            self.host = host
            self.pid = pid
            self.item = item
        }

        /// Hashes whole names at once, where arrays would hash byte by byte.
        package func hash(into hasher: inout Hasher) {
            hasher.combine(pid)
            hasher.combine(host.count)
            unsafe host.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
            unsafe item.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        }

        package static func < (left: Key, right: Key) -> Bool {
            let host = order(left.host, right.host)
            if host != 0 { return host < 0 }
            if left.pid != right.pid { return left.pid < right.pid }
            return order(left.item, right.item) < 0
        }

        private static func order(_ left: [UInt8], _ right: [UInt8]) -> Int {
            unsafe left.withUnsafeBytes { left in
                unsafe right.withUnsafeBytes { unsafe order(left, $0) }
            }
        }

        /// Compares by bytes: negative where `left` comes first, positive where `right` does.
        static func order(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
            guard let start = left.baseAddress, let other = right.baseAddress else {
                return left.count - right.count
            }
            let common = unsafe memcmp(start, other, min(left.count, right.count))
            return common != 0 ? Int(common) : left.count - right.count
        }
    }

    package var key: Key
    /// The process's last known name.
    package var process: [UInt8]
    package var values: SummaryValues
    package var sketch: QuantileSketch

    package init(key: Key, process: [UInt8], values: SummaryValues, sketch: QuantileSketch) {
        self.key = key
        self.process = process
        self.values = values
        self.sketch = sketch
    }

    /// The row's cost against the budget of a table over processes, in bytes. Adding to a row never lowers it.
    var cost: Int {
        Self.fixedCost + key.host.count + key.item.count + Self.cost(ofBuckets: sketch.bucketCount)
    }

    static func cost(ofBuckets count: Int) -> Int { bucketCost * count }

    /// Bytes of an encoded row without its names and its sketch's buckets, and bytes of one bucket.
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
        let host = unsafe Array(try reader.counted())
        let pid = try reader.integer(UInt32.self)
        let item = unsafe Array(try reader.counted())
        key = Key(host: host, pid: pid, item: item)
        process = unsafe Array(try reader.counted())
        values = try SummaryValues(decoding: &reader, isFixed: isFixed)
        sketch = try QuantileSketch(decoding: &reader)
    }
}

/// One table of a summary: totals over all rows, and the rows that are in a top list.
package struct SummaryTable: Sendable, Equatable {
    package let schema: SummaryTableSchema
    /// The number of rows; for several windows, the greatest of one window.
    package private(set) var rowCount: UInt64 = 0
    package private(set) var totals = SummaryValues()
    package private(set) var sketch = QuantileSketch()
    package private(set) var rows: [SummaryRow] = []
    /// In a table over processes, rows whose name hash is this or greater are dropped.
    private var hashEnd = UInt64.max
    private var cost = 0
    /// The budget, in bytes, for the rows of a table over processes.
    var overallBytesMax = Limits.summaryOverallBytesMax
    /// The last row of each list when rows were last dropped. A row that comes behind them in all lists will be in
    /// none.
    private var floors: [Floor] = []
    /// Row positions by key in a table over processes; nil until they are needed again after a reordering.
    private var positions: [SummaryRow.Key: Int]? = [:]

    /// The last row of a full list.
    private struct Floor {
        let weight: Double
        /// Nil where the list is not full, so that any weight enters it.
        let key: SummaryRow.Key?
    }

    /// The number of rows at which those in no top list are dropped. This bounds memory and, because later rows are
    /// compared with the floors, work. It does not change the result.
    private var pendingRowsMax: Int { 2 * schema.lists.count * Limits.summaryRowsMax }

    package init(_ schema: SummaryTableSchema) { self.schema = schema }

    package static func == (left: SummaryTable, right: SummaryTable) -> Bool {
        left.rowCount == right.rowCount && left.hashEnd == right.hashEnd
            && left.totals == right.totals
            && left.sketch == right.sketch && left.rows == right.rows
    }

    /// Whether every name has its row. Always true of tables by process, whose lists are exact in any case.
    package var isComplete: Bool { hashEnd == .max }

    /// Adds a row that the table does not contain yet.
    mutating func add(_ part: SummaryPart, of owner: () -> SummaryOwner) {
        count(part)
        guard mayStandInList(part, of: owner) else { return }
        rows.append(part.row(of: owner()))
        if rows.count >= pendingRowsMax { rows = rowsInLists().map { rows[$0] } }
    }

    /// Weights are often equal; keys decide then, as they do in the lists.
    private func mayStandInList(_ part: SummaryPart, of owner: () -> SummaryOwner) -> Bool {
        floors.isEmpty
            || floors.indices.contains { list in
                let weight = unsafe schema.weight(
                    of: part.values,
                    part.sketch.pointee,
                    inList: list
                )
                guard weight == floors[list].weight else { return weight > floors[list].weight }
                guard let key = floors[list].key else { return true }
                return part.precedes(key, of: owner())
            }
    }

    /// Adds a row to the totals only, because its process is no longer known.
    mutating func count(_ part: SummaryPart) {
        rowCount += 1
        schema.combine(part.values, into: &totals, isLater: false)
        unsafe sketch.merge(part.sketch.pointee)
    }

    /// Adds another worker's table of the same window, or a table of a later window.
    package mutating func merge(_ other: SummaryTable, isLater: Bool) {
        if isLater, schema.isSnapshot {
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

    // MARK: Rows over processes

    // Any number of workers may contribute to a row over processes, so a small contribution must not be dropped.
    // Instead, rows are kept in the order of their names' hashes as long as they fit into a budget of bytes. A
    // contribution never costs more than the complete row, so a partial table keeps a superset of the rows that survive
    // the final merge. Those rows are therefore exact, and the same for any number of workers.

    /// Adds a process's row to the row over processes, which is usually at `position`; `position` is updated. The
    /// totals are those of the table by process.
    mutating func addUp(_ part: SummaryPart, of owner: SummaryOwner, _ position: inout UInt32) {
        if isComplete {
            if combine(part, of: owner, intoRowAt: Int(position)) { return keepWithinMemory() }
        } else if unsafe Self.hash(part.item.buffer) >= hashEnd {
            // Of many names, most lie beyond the end: no row is built for them.
            position = .max
            return
        }
        let key = schema.key(of: part, of: owner)
        let row = unsafe SummaryRow(
            key: key,
            process: [],
            values: part.values,
            sketch: part.sketch.pointee
        )
        position = addUp(row, isLater: false).map { UInt32($0) } ?? .max
    }

    /// Adds a contribution to the row at a position. Returns false, and does nothing, if that row has another key.
    private mutating func combine(
        _ part: SummaryPart,
        of owner: SummaryOwner,
        intoRowAt position: Int
    ) -> Bool {
        let (schema, before) = (schema, cost)
        cost = unsafe rows.withUnsafeMutableBufferPointer { rows in
            guard position < rows.count,
                let row = unsafe rows.baseAddress.map({ unsafe $0 + position }),
                unsafe schema.addsUp(part, of: owner, in: row)
            else { return -1 }
            let buckets = unsafe row.pointee.sketch.bucketCount
            unsafe schema.combine(part.values, into: &row.pointee.values, isLater: false)
            unsafe row.pointee.sketch.merge(part.sketch.pointee)
            return unsafe before
                + SummaryRow.cost(ofBuckets: row.pointee.sketch.bucketCount - buckets)
        }
        guard cost < 0 else { return true }
        cost = before
        return false
    }

    private mutating func keepWithinMemory() {
        if cost > 2 * overallBytesMax { keepWithinBudget() }
    }

    mutating func takeTotals(of source: SummaryTable) {
        totals = source.totals
        sketch = source.sketch
    }

    /// Adds a row to the one with its key. Returns the row's position, or nil where rows were dropped or reordered, so
    /// that it is not known.
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

    /// Drops all rows but those at these positions, and orders these by key. Positions are sorted instead of rows,
    /// because rows are large and own memory.
    private mutating func keep(_ kept: [Int]) {
        let order = kept.sorted { rows[$0].key < rows[$1].key }
        rows = order.map { rows[$0] }
    }

    /// Updates what depends on the rows and their order.
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
        unsafe row.key.item.withUnsafeBytes { unsafe hash($0) }
    }

    private static func hash(_ item: UnsafeRawBufferPointer) -> UInt64 {
        // The greatest hash is reserved for "nothing dropped".
        unsafe min(Slot.hash(host: item), .max - 1)
    }

    // MARK: Top lists

    /// Drops the rows that are in no top list, and orders the others by key.
    package mutating func keepTop() {
        guard schema.source == nil else { return keepWithinBudget() }
        keep(rowsInLists())
    }

    /// Returns the distinct positions of the rows in top lists, in no order, and updates the floors.
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

    /// Returns the first `count` rows of a list.
    package func top(_ list: SummaryTableSchema.List, _ count: Int) -> [SummaryRow] {
        positions(of: list, count).map { rows[$0] }
    }

    private func positions(of list: SummaryTableSchema.List, _ count: Int) -> ArraySlice<Int> {
        var weights = rows.indices.map {
            (weight: schema.weight(of: rows[$0], in: list), position: $0)
        }
        weights.removeAll { !($0.weight > 0) }
        // Weights are often equal and comparing keys is slow, so only rows that may enter the list are sorted.
        if weights.count > count {
            let last = weights.map(\.weight).sorted(by: >)[max(count, 1) - 1]
            weights.removeAll { $0.weight < last }
        }
        return weights.sorted {
            if $0.weight != $1.weight { return $0.weight > $1.weight }
            return rows[$0.position].key < rows[$1.position].key
        }.map(\.position).prefix(count)
    }

    // MARK: Encoding

    /// Appends the table as `init(_:decoding:isFixed:)` reads it.
    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: rowCount)
        buffer.append(integer: hashEnd)
        totals.encode(into: &buffer)
        sketch.encode(into: &buffer)
        buffer.append(integer: UInt32(rows.count))
        for row in rows { row.encode(into: &buffer) }
    }

    /// Decodes a table.
    /// - Parameter isFixed: Whether rows are in the format of 0.1.0.
    /// - Throws: `TraceError(.corrupt)` where the bytes are no table.
    package init(
        _ schema: SummaryTableSchema,
        decoding reader: inout StateReader,
        isFixed: Bool
    ) throws(TraceError) {
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
