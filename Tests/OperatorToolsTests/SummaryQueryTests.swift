import Foundation
import OperatorTools
import Testing
import TraceFiles
import TraceModel
import TraceSummaries

/// Summary files, from their writer to the table.
struct SummaryQueryTests {
    private final class DataDirectory {
        let path = NSTemporaryDirectory() + "trace-summary-" + UUID().uuidString

        init() throws { try makeDirectory("output/summary") }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        private func makeDirectory(_ name: String) throws {
            try FileManager.default.createDirectory(
                atPath: "\(path)/\(name)",
                withIntermediateDirectories: true
            )
        }

        func add(_ summary: WindowSummary, window: UInt64) throws {
            let document = try #require(
                try SummaryFile.document(
                    summary.resource,
                    stem: "20251009_08532\(window)",
                    window: window,
                    summaries: [[], summary.encoded]
                )
            )
            try Data(document.bytes).write(to: URL(filePath: "\(path)/\(document.path)"))
        }
    }

    /// A window in which each function was called once, for so many milliseconds.
    private static func functions(_ calls: [(name: String, milliseconds: UInt64)]) -> WindowSummary
    {
        var summary = WindowSummary(.function)
        summary.addProcess(
            events: 2,
            from: 1_760_000_000_000_000_000,
            to: 1_760_000_001_000_000_000
        )
        var place = UInt32.max
        for call in calls {
            var values = SummaryValues()
            var sketch = QuantileSketch()
            let nanoseconds = call.milliseconds * 1_000_000
            values[0] = 1
            values[1] = 1
            values[2] = nanoseconds
            values[3] = nanoseconds
            values[6] = nanoseconds
            values[7] = nanoseconds
            values[8] = 1
            sketch.insert(nanoseconds)
            var name = call.name
            name.withUTF8 { name in
                withUnsafePointer(to: sketch) { sketch in
                    summary.add(
                        SummaryPart(
                            item: ByteView(UnsafeRawBufferPointer(name)),
                            values: values,
                            sketch: sketch
                        ),
                        of: SummaryOwner(
                            host: Array("beta".utf8),
                            pid: 3,
                            process: Array("worker".utf8)
                        ),
                        toTable: 1,
                        position: &place
                    )
                }
            }
        }
        return summary
    }

    private static func report(
        _ directory: DataDirectory,
        isLastWindowOnly: Bool = false
    ) throws -> SummaryReport {
        let query = SummaryQuery(
            dataDirectory: directory.path,
            resource: nil,
            isLastWindowOnly: isLastWindowOnly
        )
        return SummaryReport(try query.run(), topRows: 2, terminal: .error)
    }

    private static func slowest(_ report: SummaryReport) throws -> [[String: Any]] {
        let array =
            try JSONSerialization.jsonObject(with: Data(report.json.utf8)) as? [[String: Any]]
        let object = try #require(array?.first)
        let tables = try #require(object["tables"] as? [String: [String: Any]])
        return try #require((tables["functions"]?["top"] as? [String: [[String: Any]]])?["slowest"])
    }

    @Test func windowsAreMerged() throws {
        let directory = try DataDirectory()
        try directory.add(Self.functions([("main", 40), ("a\u{1B}[b", 5)]), window: 1)
        try directory.add(Self.functions([("main", 400), ("late", 70)]), window: 2)
        let report = try Self.report(directory)
        let rows = try Self.slowest(report)
        #expect(rows.map { $0["function"] as? String } == ["main", "late"])
        #expect(rows[0]["calls"] as? Int == 2 && rows[0]["max_ms"] as? Double == 400)
        #expect(rows[0]["mean_ms"] as? Double == 220)
        #expect(report.text.contains("functions, slowest") && report.text.contains("440.000"))
        #expect(!report.text.contains("\u{1B}[b"))
        // Over all processes, without columns that say which.
        let lines = report.text.split(separator: "\n", omittingEmptySubsequences: false)
        let title = try #require(lines.firstIndex { $0 == "  functions overall, busiest" })
        #expect(lines[title + 1].hasPrefix("  FUNCTION  CALLS"))
        #expect(lines[title + 2].hasPrefix("  main          2"))

        let last = try Self.slowest(try Self.report(directory, isLastWindowOnly: true))
        #expect(last[0]["calls"] as? Int == 1)
    }

    /// Times of connections over all windows, as dates in the table.
    @Test func connectionsShowTheirTimes() throws {
        let directory = try DataDirectory()
        let start: UInt64 = 1_760_000_000_000_000_000
        for (window, times) in [(start, start + 5), (start - 20, 0)].enumerated() {
            var summary = WindowSummary(.network)
            summary.addProcess(events: 1, from: 1, to: 2)
            var values = SummaryValues()
            (values[0], values[1], values[3], values[4]) = (1, 10, times.0, times.1)
            var place = UInt32.max
            Array("a -> b TCP".utf8).withUnsafeBytes { name in
                withUnsafePointer(to: QuantileSketch()) { sketch in
                    summary.add(
                        SummaryPart(item: ByteView(name), values: values, sketch: sketch),
                        of: SummaryOwner(host: Array("beta".utf8), pid: 3, process: []),
                        toTable: 1,
                        position: &place
                    )
                }
            }
            try directory.add(summary, window: UInt64(window))
        }
        let report = try Self.report(directory)
        let opened = "\"opened_ts_ns\":\(start - 20),\"last_seen_ts_ns\":\(start + 5)}"
        #expect(report.json.contains(opened))
        let lines = report.text.split(separator: "\n").map(String.init)
        let title = try #require(lines.firstIndex { $0 == "  connections, top talkers" })
        #expect(lines[title + 1].contains("RECEIVED BYTES") && lines[title + 1].contains(" OPENED"))
        #expect(lines[title + 1].hasSuffix("LAST SEEN"))
        #expect(lines[title + 2].hasSuffix("2025-10-09T08:53:20.000"))
    }

    @Test func damageAndAbsenceAreTold() throws {
        let directory = try DataDirectory()
        #expect(try Self.report(directory).text == "No window has been finalized yet.")
        #expect(try Self.report(directory).json == "[]")
        try directory.add(Self.functions([("main", 40)]), window: 1)
        let path = "\(directory.path)/output/summary/summary_20251009_085321_function.json"
        var text = try String(contentsOfFile: path, encoding: .utf8)
        text = text.replacing("\"state\":\"Aw", with: "\"state\":\"AA")
        try Data(text.utf8).write(to: URL(filePath: path))
        #expect(throws: TraceError.self) { try Self.report(directory) }
        let nowhere = SummaryQuery(
            dataDirectory: "/no/such",
            resource: nil,
            isLastWindowOnly: false
        )
        #expect(throws: TraceError.self) { try nowhere.run() }
    }
}
