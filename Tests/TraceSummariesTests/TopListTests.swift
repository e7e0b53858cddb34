import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import TraceSummaries

/// Top lists contain the rows that a sort of all rows puts first.
struct TopListTests {
    /// Few weights with many rows each, hosts and items with common prefixes, and rows of weight 0.
    @Test func tiesGoByHostProcessAndItem() throws {
        var random = SeededGenerator(seed: 11)
        let hosts = ["", "a", "ab", "b", "\u{e9}"]
        var rows: [(key: SummaryRow.Key, weight: UInt64)] = []
        var summary = WindowSummary(.function)
        var place = UInt32.max
        for number in 0..<9_000 {
            let key = SummaryRow.Key(
                host: Array(hosts[number % hosts.count].utf8),
                pid: UInt32.random(in: 1...3, using: &random),
                item: Array("f\(number / hosts.count)".utf8)
            )
            let weight = UInt64.random(in: 0...40, using: &random)
            rows.append((key, weight))
            var values = SummaryValues()
            values.add(weight, to: 0)
            let sketch = QuantileSketch()
            key.item.withUnsafeBytes { item in
                withUnsafePointer(to: sketch) { sketch in
                    summary.add(
                        SummaryPart(item: ByteView(item), values: values, sketch: sketch),
                        of: SummaryOwner(host: key.host, pid: key.pid, process: []),
                        toTable: 1,
                        position: &place
                    )
                }
            }
        }
        summary.keepTop()

        let table = summary.tables[1]
        let list = try #require(table.schema.lists.first { $0.name == "most_calls" })
        let expected = rows.filter { $0.weight > 0 }.sorted { left, right in
            if left.weight != right.weight { return left.weight > right.weight }
            let (a, b) = (left.key, right.key)
            if a.host != b.host { return a.host.lexicographicallyPrecedes(b.host) }
            if a.pid != b.pid { return a.pid < b.pid }
            return a.item.lexicographicallyPrecedes(b.item)
        }
        for count in [1, 7, 100] {
            #expect(table.top(list, count).map(\.key) == expected.prefix(count).map(\.key))
        }
        #expect(table.top(list, 0).isEmpty)
    }
}
