import Testing
import TraceModel

@testable import TraceSummaries

struct SummaryCellTests {
    /// A sketch may return a value 1 % above the greatest one; a cell must not.
    @Test func quantilesStayBelowTheGreatestValue() throws {
        let functions = try #require(SummarySchema.tables(of: .function).first { $0.hasQuantiles })
        let greatest = try #require(functions.columns.firstIndex { $0.kind == .max })
        let duration: UInt64 = 4_223_201_904
        var sketch = QuantileSketch()
        sketch.insert(duration)
        #expect(try #require(sketch.quantile(0.5)) > duration)
        var values = SummaryValues()
        values.raise(greatest, to: duration)
        let cells = functions.cells(of: values, sketch).filter { $0.name.hasPrefix("p") }
        #expect(cells.map(\.name) == ["p50_ms", "p90_ms", "p99_ms"])
        #expect(cells.allSatisfy { $0.value == .real(4223.201904) })
    }

    @Test func timesAndShares() throws {
        let connections = SummarySchema.tables(of: .network)[1]
        var values = SummaryValues()
        values[4] = 1_760_000_000_000_000_000
        let times = connections.cells(of: values, QuantileSketch()).suffix(2)
        #expect(times.map(\.name) == ["opened_ts_ns", "last_seen_ts_ns"])
        #expect(times.map(\.value) == [.none, .time(1_760_000_000_000_000_000)])

        let cpus = SummarySchema.tables(of: .cpu)[1]
        values = SummaryValues()
        (values[0], values[2]) = (29, 100)
        let share = try #require(cpus.cells(of: values, QuantileSketch()).last)
        #expect(share.name == "share_percent" && share.value == .real(29))
        let totals = cpus.cells(of: values, QuantileSketch(), isTotal: true)
        #expect(totals.map(\.name) == ["samples", "moves"])
    }
}
