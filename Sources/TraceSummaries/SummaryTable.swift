package import SystemIO
package import TraceModel

/// One table of a summary: totals over all rows, and those rows that stand in a top list.
package struct SummaryTable: Sendable, Equatable {
    package let schema: SummaryTableSchema
    /// How many rows there were; of several windows, the most in one.
    package private(set) var rowCount: UInt64 = 0
    package private(set) var totals = SummaryValues()
    package private(set) var sketch = QuantileSketch()
    package private(set) var rows: [SummaryRow] = []

    /// Rows kept before those in no top list are let go: it bounds the memory, and changes nothing.
    private static let pendingRowsMax = 4_096

    package init(_ schema: SummaryTableSchema) { self.schema = schema }

    package static func == (left: SummaryTable, right: SummaryTable) -> Bool {
        left.rowCount == right.rowCount && left.totals == right.totals
            && left.sketch == right.sketch && left.rows == right.rows
    }

    /// Adds a row that is not there yet.
    package mutating func add(_ row: SummaryRow) {
        count(row.values, row.sketch)
        rows.append(row)
        if rows.count >= Self.pendingRowsMax { keepTop() }
    }

    /// Adds a row to the totals only: its process is not known any more.
    package mutating func count(_ values: SummaryValues, _ sketch: QuantileSketch) {
        rowCount += 1
        schema.combine(values, into: &totals, isLater: false)
        self.sketch.merge(sketch)
    }

    /// Adds another worker's table of the same window, or one of a later window.
    package mutating func merge(_ other: SummaryTable, isLater: Bool) {
        rowCount = isLater ? max(rowCount, other.rowCount) : rowCount + other.rowCount
        schema.combine(other.totals, into: &totals, isLater: isLater)
        sketch.merge(other.sketch)
        var positions: [SummaryRow.Key: Int] = [:]
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
        if rows.count >= Self.pendingRowsMax { keepTop() }
    }

    /// Lets go of the rows in no top list, and orders the others by their keys.
    package mutating func keepTop() {
        var kept = Set<Int>()
        for list in schema.lists { kept.formUnion(positions(of: list, Limits.summaryRowsMax)) }
        rows = kept.map { rows[$0] }.sorted { $0.key < $1.key }
    }

    /// The first `count` rows of a list.
    package func top(_ list: SummaryTableSchema.List, _ count: Int) -> [SummaryRow] {
        positions(of: list, count).map { rows[$0] }
    }

    private func positions(of list: SummaryTableSchema.List, _ count: Int) -> ArraySlice<Int> {
        rows.indices.map { (weight: schema.weight(of: rows[$0], in: list), position: $0) }
            .filter { $0.weight > 0 }
            .sorted {
                if $0.weight != $1.weight { return $0.weight > $1.weight }
                return rows[$0.position].key < rows[$1.position].key
            }
            .map(\.position).prefix(count)
    }

    // MARK: State

    package func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: rowCount)
        totals.encode(into: &buffer)
        sketch.encode(into: &buffer)
        buffer.append(integer: UInt32(rows.count))
        for row in rows { row.encode(into: &buffer) }
    }

    /// - Throws: `TraceError(.corrupt)` where the bytes are no table.
    package init(
        _ schema: SummaryTableSchema,
        decoding reader: inout StateReader
    ) throws(TraceError) {
        self.schema = schema
        rowCount = try reader.integer(UInt64.self)
        totals = try SummaryValues(decoding: &reader)
        sketch = try QuantileSketch(decoding: &reader)
        for _ in 0..<(try reader.integer(UInt32.self)) {
            rows.append(try SummaryRow(decoding: &reader))
        }
    }
}
