import Glibc
import TraceModel

/// What a whole number in a summary counts, and how its files show it.
package enum SummaryUnit: Sendable {
    /// Shown as it is.
    case count
    /// Shown in milliseconds.
    case nanoseconds
    /// Shown in milliseconds.
    case microseconds
    /// Millionths of a percent, shown in percent.
    case millionths
    /// Shown as it is.
    case percent
    /// Nanoseconds since the epoch, 0 for none. People see a date and time.
    case time

    /// Behind a column's name in files.
    package var suffix: String {
        switch self {
        case .count: ""
        case .nanoseconds, .microseconds: "_ms"
        case .millionths, .percent: "_percent"
        case .time: "_ts_ns"
        }
    }

    /// Of one shown.
    package var scale: Double {
        switch self {
        case .count, .percent, .time: 1
        case .nanoseconds, .millionths: 1e6
        case .microseconds: 1e3
        }
    }
}

/// The columns and top lists of one table of a summary. A row is a process, or an item of a process, or what
/// the items of one name of several processes add up to.
package struct SummaryTableSchema: Sendable {
    package struct Column: Sendable {
        package enum Kind: Sendable {
            case sum
            case max
            /// The least one that is not 0, which stands for none.
            case min
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
        /// Whether it is a share, in percent, of what the row's process did: of all rows together it says nothing.
        let isShare: Bool

        init(_ name: String, of dividend: Int, by divisor: Int, _ unit: SummaryUnit) {
            self.name = name
            self.unit = unit
            self.dividend = dividend
            self.divisor = divisor
            isShare = unit == .percent
        }

        /// Nil where there is nothing to divide by.
        package func value(of values: SummaryValues) -> Double? {
            guard values[divisor] > 0 else { return nil }
            let factor = isShare ? 100.0 : 1
            return Double(values[dividend]) * factor / Double(values[divisor])
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

    /// Whose numbers a row adds up.
    package enum Scope: Sendable {
        case process
        /// All processes of a host.
        case host
        /// All processes of all hosts.
        case everywhere
    }

    package let name: String
    /// What a row is of its process; nil where it is the process.
    package let item: String?
    package let scope: Scope
    /// Where rows are not a process's: position of the table by process that they add up.
    package let source: Int?
    package let columns: [Column]
    /// The columns' kinds, as rows are added up by them very often.
    private let kinds: [Column.Kind]
    /// The lists' orders, likewise.
    private let orders: [List.Order]
    package let mean: Mean?
    /// Rows have quantiles of durations, in nanoseconds.
    package let hasQuantiles: Bool
    /// The table says what there is at the end of a window, of all processes: that of a later window takes its place.
    let isStanding: Bool
    package let lists: [List]

    init(
        _ name: String, item: String? = nil, scope: Scope = .process, source: Int? = nil, columns: [Column],
        mean: Mean? = nil, hasQuantiles: Bool = false, isStanding: Bool = false, lists: [List]
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
        self.isStanding = isStanding
        self.lists = lists
    }

    /// The table that adds up the rows of this one, which stands at `position`.
    func overall(_ scope: Scope, of position: Int) -> SummaryTableSchema {
        SummaryTableSchema(
            "\(name)_overall", item: item, scope: scope, source: position, columns: columns, mean: mean,
            hasQuantiles: hasQuantiles, lists: lists)
    }

    /// What the row that adds it up goes by.
    func key(of part: SummaryPart, of owner: SummaryOwner) -> SummaryRow.Key {
        SummaryRow.Key(
            host: scope == .everywhere ? [] : owner.host, pid: scope == .process ? owner.pid : 0,
            item: Array(part.item.buffer))
    }

    /// Fills the columns of a row that 0.1.0 did not have.
    func complete(_ values: inout SummaryValues) { if item == "function" { SummarySchema.completeFunction(&values) } }

    /// Takes a row's numbers into those of the same row, or of all rows together. `isLater`: of a later
    /// window, so that what is latest is replaced rather than added.
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

    /// Whether `overall` is the row that adds up the part. By its address, as the compiler would copy it.
    func addsUp(_ part: SummaryPart, of owner: SummaryOwner, in overall: UnsafePointer<SummaryRow>) -> Bool {
        let isSame = overall.pointee.key.item.withUnsafeBytes { item in
            guard item.count == part.item.count else { return false }
            guard let left = item.baseAddress, let right = part.item.start else { return true }
            return memcmp(left, right, item.count) == 0
        }
        return isSame && (scope == .everywhere || (scope == .host && overall.pointee.key.host == owner.host))
    }

    /// What a list is ordered by.
    package func weight(of row: SummaryRow, in list: List) -> Double {
        weight(of: row.values, row.sketch, by: list.order)
    }

    func weight(of values: SummaryValues, _ sketch: borrowing QuantileSketch, inList position: Int) -> Double {
        weight(of: values, sketch, by: orders[position])
    }

    private func weight(of values: SummaryValues, _ sketch: borrowing QuantileSketch, by order: List.Order) -> Double {
        switch order {
        case .column(let column): Double(values[column])
        case .sum(let left, let right): Double(SummaryValues.sum(values[left], values[right]))
        case .mean: mean?.value(of: values) ?? 0
        case .p99: Double(sketch.quantile(0.99) ?? 0)
        }
    }
}
