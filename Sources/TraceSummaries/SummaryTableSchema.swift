/// The columns and top lists of one table of a summary. A row is a process, or an item of a process.
package struct SummaryTableSchema: Sendable {
    package struct Column: Sendable {
        package enum Kind: Sendable {
            case sum
            case max
            /// As it stood last.
            case latest
        }

        package let name: String
        package let kind: Kind
        package let unit: SummaryUnit
        /// Serves a mean, and says nothing by itself.
        var isHidden = false

        static func hidden(_ name: String, _ unit: SummaryUnit = .count) -> Column {
            Column(name: name, kind: .sum, unit: unit, isHidden: true)
        }

        static func sum(_ name: String, _ unit: SummaryUnit = .count) -> Column {
            Column(name: name, kind: .sum, unit: unit)
        }

        static func max(_ name: String, _ unit: SummaryUnit = .count) -> Column {
            Column(name: name, kind: .max, unit: unit)
        }

        static func latest(_ name: String, _ unit: SummaryUnit = .count) -> Column {
            Column(name: name, kind: .latest, unit: unit)
        }
    }

    /// One column divided by another.
    package struct Mean: Sendable {
        package let name: String
        package let unit: SummaryUnit
        let dividend: Int
        let divisor: Int

        init(_ name: String, of dividend: Int, by divisor: Int, _ unit: SummaryUnit) {
            self.name = name
            self.unit = unit
            self.dividend = dividend
            self.divisor = divisor
        }

        /// Nil where there is nothing to divide by.
        package func value(of values: SummaryValues) -> Double? {
            guard values[divisor] > 0 else { return nil }
            return Double(values[dividend]) / Double(values[divisor])
        }
    }

    /// A top list: what its rows are ordered by, greatest first. Rows of 0 are left out.
    package struct List: Sendable {
        package enum Order: Sendable {
            case column(Int)
            case sum(Int, Int)
            case mean
            case p99
        }

        package let name: String
        package let order: Order

        init(_ name: String, by order: Order) {
            self.name = name
            self.order = order
        }
    }

    package let name: String
    /// What a row is of its process; nil where it is the process.
    package let item: String?
    package let columns: [Column]
    package let mean: Mean?
    /// Rows have quantiles of durations, in nanoseconds.
    package let hasQuantiles: Bool
    package let lists: [List]

    init(
        _ name: String,
        item: String? = nil,
        columns: [Column],
        mean: Mean? = nil,
        hasQuantiles: Bool = false,
        lists: [List]
    ) {
        precondition(columns.count <= SummaryValues.count)
        self.name = name
        self.item = item
        self.columns = columns
        self.mean = mean
        self.hasQuantiles = hasQuantiles
        self.lists = lists
    }

    /// Takes a row's numbers into those of the same row, or of all rows together. `isLater`: of a later
    /// window, so that what is latest is replaced rather than added.
    package func combine(_ other: SummaryValues, into values: inout SummaryValues, isLater: Bool) {
        for (position, column) in columns.enumerated() {
            switch column.kind {
            case .sum: values.add(other[position], to: position)
            case .max: values.raise(position, to: other[position])
            case .latest where isLater: values[position] = other[position]
            case .latest: values.add(other[position], to: position)
            }
        }
    }

    /// What a list is ordered by.
    package func weight(of row: SummaryRow, in list: List) -> Double {
        switch list.order {
        case .column(let column): Double(row.values[column])
        case .sum(let left, let right):
            Double(SummaryValues.sum(row.values[left], row.values[right]))
        case .mean: mean?.value(of: row.values) ?? 0
        case .p99: Double(row.sketch.quantile(0.99) ?? 0)
        }
    }
}
