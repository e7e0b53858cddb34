import Foundation
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import TraceSummaries

/// Rows that sum others over processes: exact, and independent of how the rows are split into parts.
struct OverallTableTests {
    private static let table = 1

    static func row(_ pid: UInt32, _ name: String, _ values: [UInt64]) -> SummaryRow {
        var numbers = SummaryValues()
        var sketch = QuantileSketch()
        for value in values {
            numbers.add(1, to: 0)
            numbers.add(value, to: 2)
            sketch.insert(value)
        }
        return SummaryRow(
            key: .init(host: Array("beta".utf8), pid: pid, item: Array(name.utf8)),
            process: [],
            values: numbers,
            sketch: sketch
        )
    }

    static func summary(_ rows: some Sequence<SummaryRow>) -> WindowSummary {
        var summary = WindowSummary(.function)
        var place = UInt32.max
        for row in rows {
            row.key.item.withUnsafeBytes { item in
                withUnsafePointer(to: row.sketch) { sketch in
                    summary.add(
                        SummaryPart(item: ByteView(item), values: row.values, sketch: sketch),
                        of: SummaryOwner(host: row.key.host, pid: row.key.pid, process: []),
                        toTable: table,
                        position: &place
                    )
                }
            }
        }
        summary.keepTop()
        return summary
    }

    private static func overall(_ summary: WindowSummary) throws -> SummaryTable {
        try #require(summary.tables.first { $0.schema.source == table })
    }

    /// Far more names than there is room for, each in several parts.
    @Test func partsDoNotAffectTheResult() throws {
        var random = SeededGenerator(seed: 7)
        let pad = String(repeating: "n", count: 450)
        let rows = (0..<6_000).map { number in
            let values = (0..<80).map { _ in UInt64.random(in: 1...1 << 40, using: &random) }
            return Self.row(UInt32(number), "\(number % 2_500) \(pad)", values)
        }
        let whole = Self.summary(rows)
        let table = try Self.overall(whole)
        #expect(!table.isComplete && table.rows.count > 500 && table.rows.count < 2_500)
        for count in [2, 7] {
            var parts = (0..<count).map { part in
                Self.summary(rows.enumerated().filter { $0.offset % count == part }.map(\.element))
            }
            parts.shuffle(using: &random)
            var merged = WindowSummary(.function)
            for part in parts { merged.merge(try WindowSummary(part.encoded)) }
            merged.keepTop()
            #expect(try Self.overall(merged) == table, "\(count) parts")
        }
        // A row that is kept contains everything of its name.
        let kept = try #require(table.rows.first)
        let own = rows.filter { $0.key.item == kept.key.item }
        #expect(kept.values[0] == 80 * UInt64(own.count) && own.count > 1)
        #expect(kept.sketch.count == kept.values[0])
        #expect(table.totals[0] == 80 * 6_000)
    }

    @Test func fewNamesAreAllKept() throws {
        let summary = Self.summary((0..<900).map { Self.row($0, "f\($0 % 3)", [UInt64($0)]) })
        let table = try Self.overall(summary)
        #expect(table.isComplete && table.rowCount == 3)
        #expect(table.rows.map { $0.values[0] } == [300, 300, 300])
        #expect(summary.tables[Self.table].rowCount == 900)
        var twice = summary
        twice.merge(summary, isLater: true)
        #expect(try Self.overall(twice).rows.map { $0.values[0] } == [600, 600, 600])
    }
}
