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
        case .nanoseconds, .microseconds, .millionths, .percent:
            .real(Double(number) / unit.scale)
        }
    }
}
