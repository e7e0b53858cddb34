package import TraceModel

/// A range of the log without valid records, `to_lsn` excluded.
package struct LogRange: Encodable, Equatable, Sendable {
    package let fromLsn: LSN
    package let toLsn: LSN

    package init(_ range: Range<LSN>) {
        fromLsn = range.lowerBound
        toLsn = range.upperBound
    }

    var text: String {
        "LSN \(fromLsn) to \(toLsn) (\(Report.grouped(Int(toLsn - fromLsn))) bytes)"
    }
}
