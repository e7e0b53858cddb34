import Glibc
import TraceModel

/// The unit of a number in a summary, and how files show it.
package enum SummaryUnit: Sendable {
    /// A count, shown as it is.
    case count
    /// Shown in milliseconds.
    case nanoseconds
    /// Shown in milliseconds.
    case microseconds
    /// Millionths of a percent, shown in percent.
    case millionths
    /// Shown as it is.
    case percent
    /// Nanoseconds since the epoch, 0 for none. Reports show date and time.
    case time

    /// The suffix of a column's name in files.
    package var suffix: String {
        switch self {
        case .count: ""
        case .nanoseconds, .microseconds: "_ms"
        case .millionths, .percent: "_percent"
        case .time: "_ts_ns"
        }
    }

    /// How many of the unit make one of the unit that is shown.
    package var scale: Double {
        switch self {
        case .count, .percent, .time: 1
        case .nanoseconds, .millionths: 1e6
        case .microseconds: 1e3
        }
    }
}

/// The columns and top lists of one table of a summary. A row is a process, an item of a process, or the sum over the
/// items of one name of several processes.
package struct SummaryTableSchema: Sendable {
    /// A column: a number of each row, and how it is combined.
    package struct Column: Sendable {
        /// How numbers of one row are combined.
        package enum Kind: Sendable {
            case sum
            case max
            /// The least value that is not 0, which stands for none.
            case min
            /// The last value.
            case latest
        }

        package let name: String
        package let kind: Kind
        package let unit: SummaryUnit
        /// The column is only used for a mean and not shown.
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

        static func min(_ name: String, _ unit: SummaryUnit = .count) -> Column {
            Column(name: name, kind: .min, unit: unit)
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
        /// Whether it is a share, in percent, of the activity of the row's process. Such a mean has no meaning for all
        /// rows together.
        let isShare: Bool

        init(_ name: String, of dividend: Int, by divisor: Int, _ unit: SummaryUnit) {
            self.name = name
            self.unit = unit
            self.dividend = dividend
            self.divisor = divisor
            isShare = unit == .percent
        }

        /// Returns the mean, or nil where the divisor is 0.
        package func value(of values: SummaryValues) -> Double? {
            guard values[divisor] > 0 else { return nil }
            let factor = isShare ? 100.0 : 1
            return Double(values[dividend]) * factor / Double(values[divisor])
        }
    }

    /// A top list: the order of its rows, greatest first. Rows of weight 0 are left out.
    package struct List: Sendable {
        /// What a list is ordered by; numbers are column positions.
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

    /// The processes over which a row adds up.
    package enum Scope: Sendable {
        case process
        /// All processes of a host.
        case host
        /// All processes of all hosts.
        case everywhere
    }

    package let name: String
    /// The kind of item that a row is; nil where it is the process itself.
    package let item: String?
    package let scope: Scope
    /// For a table over processes, the position of the table by process that it adds up.
    package let source: Int?
    package let columns: [Column]
    /// The columns' kinds, apart for quick access: adding rows up is frequent.
    private let kinds: [Column.Kind]
    /// The lists' orders, for the same reason.
    private let orders: [List.Order]
    package let mean: Mean?
    /// Rows have quantiles of durations, in nanoseconds.
    package let hasQuantiles: Bool
    /// The table describes the state of all processes at the end of a window, so that of a later window replaces it.
    let isSnapshot: Bool
    package let lists: [List]

    init(
        _ name: String,
        item: String? = nil,
        scope: Scope = .process,
        source: Int? = nil,
        columns: [Column],
        mean: Mean? = nil,
        hasQuantiles: Bool = false,
        isSnapshot: Bool = false,
        lists: [List]
    ) {
        precondition(columns.count <= SummaryValues.count)
        self.name = name
        self.item = item
        self.scope = scope
        self.source = source
        self.columns = columns
        kinds = columns.map(\.kind)
        orders = lists.map(\.order)
        self.mean = mean
        self.hasQuantiles = hasQuantiles
        self.isSnapshot = isSnapshot
        self.lists = lists
    }

    /// Returns the table that adds up the rows of this one, which is at `position`.
    func overall(_ scope: Scope, of position: Int) -> SummaryTableSchema {
        SummaryTableSchema(
            "\(name)_overall",
            item: item,
            scope: scope,
            source: position,
            columns: columns,
            mean: mean,
            hasQuantiles: hasQuantiles,
            lists: lists
        )
    }

    /// Returns the key of the row that a process's row is added to.
    func key(of part: SummaryPart, of owner: SummaryOwner) -> SummaryRow.Key {
        unsafe SummaryRow.Key(
            host: scope == .everywhere ? [] : owner.host,
            pid: scope == .process ? owner.pid : 0,
            item: Array(part.item.buffer)
        )
    }

    /// Fills the columns of a row that 0.1.0 did not have.
    func complete(_ values: inout SummaryValues) {
        if item == "function" { SummarySchema.completeFunction(&values) }
    }

    /// Adds a row's numbers to those of the same row, or to the totals. With `isLater`, `other` is of a later window,
    /// so that a `.latest` number is replaced instead of added.
    package func combine(_ other: SummaryValues, into values: inout SummaryValues, isLater: Bool) {
        for position in kinds.indices {
            switch kinds[position] {
            case .sum: values.add(other[position], to: position)
            case .max: values.raise(position, to: other[position])
            case .min: values.lower(position, to: other[position])
            case .latest where isLater: values[position] = other[position]
            case .latest: values.add(other[position], to: position)
            }
        }
    }

    /// Whether `overall` is the row to which the part is added. It is passed by address, because the compiler would
    /// copy it.
    func addsUp(
        _ part: SummaryPart,
        of owner: SummaryOwner,
        in overall: UnsafePointer<SummaryRow>
    ) -> Bool {
        let isSame = unsafe overall.pointee.key.item.withUnsafeBytes { item in
            guard item.count == part.item.count else { return false }
            guard let left = item.baseAddress, let right = unsafe part.item.start else {
                return true
            }
            return unsafe memcmp(left, right, item.count) == 0
        }
        return unsafe isSame
            && (scope == .everywhere || (scope == .host && overall.pointee.key.host == owner.host))
    }

    /// Returns the number by which a list orders a row.
    package func weight(of row: SummaryRow, in list: List) -> Double {
        weight(of: row.values, row.sketch, by: list.order)
    }

    func weight(
        of values: SummaryValues,
        _ sketch: borrowing QuantileSketch,
        inList position: Int
    ) -> Double {
        weight(of: values, sketch, by: orders[position])
    }

    private func weight(
        of values: SummaryValues,
        _ sketch: borrowing QuantileSketch,
        by order: List.Order
    ) -> Double {
        switch order {
        case .column(let column): Double(values[column])
        case .sum(let left, let right): Double(SummaryValues.sum(values[left], values[right]))
        case .mean: mean?.value(of: values) ?? 0
        case .p99: Double(sketch.quantile(0.99) ?? 0)
        }
    }
}
