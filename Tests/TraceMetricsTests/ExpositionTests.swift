import Foundation
import Testing
import TraceMetrics
import TraceModel

@Suite struct ExpositionTests {
    typealias Make = SampleFactory

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// The lines of a page that belong to one family.
    private static func lines(_ page: String, about name: String) -> String {
        page.split(separator: "\n").filter {
            $0.hasPrefix("# HELP \(name) ") || $0.contains(" \(name) ") || $0.hasPrefix(name)
        }.joined(separator: "\n")
    }

    private static func store() throws -> MetricStore {
        var store = MetricStore()
        let odd = MetricSample(
            family: .functionCallsTotal,
            labels: ["h", "1", "a \"b\" \\ c\nd 🦊", "std::vector<int>"],
            value: .counter(2.5)
        )
        let duration = MetricSample(
            family: .functionDurationSeconds,
            labels: ["h", "1", "java", "main"],
            value: .histogram(buckets: [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3], sum: 30.25)
        )
        try store.apply(Make.routerSnapshot(workers: ["function.0"], received: 12))
        try store.apply(
            Make.snapshot(
                slots: [Make.slot(0, lsn: 1, [odd, duration, Make.events(12)])],
                own: [Make.processing(2, sum: 0.001)]
            )
        )
        return store
    }

    @Test func textFormat() throws {
        var store = try Self.store()
        let page = Self.text(Exposition.render(store.reading(), .trace, .text, now: 0))
        let expectedCalls = """
            # HELP trace_function_calls_total Calls: entries, or the agent's own count where it sends only some events.
            # TYPE trace_function_calls_total counter
            trace_function_calls_total{host="h",pid="1",process="a \\"b\\" \\\\ c\\nd 🦊",function="std::vector<int>"} 2.5
            """
        #expect(Self.lines(page, about: "trace_function_calls_total") == expectedCalls)
        let labels = #"host="h",pid="1",process="java",function="main""#
        let name = "trace_function_duration_seconds"
        let bounds = [
            ("0.0001", 1), ("0.0005", 1), ("0.001", 3), ("0.005", 3), ("0.01", 3), ("0.05", 3),
            ("0.1", 3), ("0.5", 3),
            ("1.0", 3), ("5.0", 3), ("+Inf", 6),
        ]
        let expectedDuration =
            [
                "# HELP \(name) Duration of calls with both entry and exit.",
                "# TYPE \(name) histogram",
            ]
            + bounds.map { "\(name)_bucket{\(labels),le=\"\($0)\"} \($1)" } + [
                "\(name)_sum{\(labels)} 30.25", "\(name)_count{\(labels)} 6",
            ]
        #expect(Self.lines(page, about: name) == expectedDuration.joined(separator: "\n"))
        #expect(page.contains("\ntrace_worker_up{worker=\"function.0\"} 1\n"))
        #expect(page.contains("\ntrace_received_events_total 12\n"))
        #expect(!page.contains("neutracer_"))
        #expect(page.hasSuffix("\n"))
        #expect(!page.contains("# EOF"))
    }

    /// Names that look the same, or come from several slots and workers: every series appears once.
    @Test func noSeriesAppearsTwice() throws {
        let names: [[UInt8]] = [[0x66, 0xFF], [0x66, 0xFE], Array("f\u{FFFD}".utf8)]
        let samples = names.flatMap { name in
            let function = name.withUnsafeBytes { MetricLabel.text(of: ByteView($0)) }
            return [Make.calls(1, pid: 1, function: function), Make.active(3, pid: 1)]
        }
        // The names of the original's page do not contain the host.
        let elsewhere = MetricSample(
            family: .activeFunctions,
            labels: ["other host", "1", "pid-1"],
            value: .gauge(2)
        )
        var store = MetricStore()
        let workers = ["function.0", "function.1"]
        try store.apply(Make.routerSnapshot(workers: workers))
        for (slot, worker) in workers.enumerated() {
            let own = [Make.slot(UInt8(slot), lsn: 1, samples + [elsewhere])]
            try store.apply(Make.snapshot(worker, slots: own))
        }
        let reading = store.reading()
        let pages = [MetricNames.trace, .neutracer, .all].flatMap { names in
            [Exposition.Format.text, .openMetrics].map {
                Self.text(Exposition.render(reading, names, $0, now: 0))
            }
        }
        for page in pages {
            let heads = page.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map {
                $0.split(separator: " ")[2]
            }
            #expect(Set(heads).count == heads.count)
            let series = page.split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
                String($0[..<($0.lastIndex(of: " ") ?? $0.endIndex)])
            }
            #expect(Set(series).count == series.count)
        }
        let calls = pages[0].split(separator: "\n").filter {
            $0.hasPrefix("trace_function_calls_total{")
        }
        #expect(calls.count == 3 && calls.allSatisfy { $0.hasSuffix("} 2") })
    }

    @Test func openMetricsFormat() throws {
        var store = try Self.store()
        let page = Self.text(Exposition.render(store.reading(), .trace, .openMetrics, now: 0))
        #expect(page.hasSuffix("\n# EOF\n"))
        #expect(page.contains("# TYPE trace_function_calls counter\n"))
        #expect(page.contains("\ntrace_function_calls_total{"))
        #expect(page.contains("# UNIT trace_function_duration_seconds seconds\n"))
        #expect(!page.contains("# TYPE trace_function_calls_total"))
    }

    @Test func theOriginalsPageIsDerivedFromOurs() throws {
        var store = try Self.store()
        let sent = MetricSample(
            family: .neutracerFunctionStats,
            labels: ["main", "pid-1", "avg_duration_us"],
            value: .gauge(17)
        )
        try store.apply(
            Make.snapshot(slots: [
                Make.slot(0, lsn: 2, full: false, [sent, Make.active(4, pid: 1)])
            ])
        )
        let page = Self.text(Exposition.render(store.reading(), .neutracer, .text, now: 1_000))
        #expect(page.contains("\nneutracer_traces_total{type=\"function\"} 12\n"))
        #expect(page.contains("neutracer_active_functions{process=\"pid-1\"} 4\n"))
        #expect(
            page.contains(
                "neutracer_function_stats{function=\"main\",process=\"pid-1\",metric=\"avg_duration_us\"} 17\n"
            )
        )
        let duration = "neutracer_function_duration_seconds_count"
        #expect(page.contains("\(duration){function=\"main\",process=\"pid-1\"} 6\n"))
        #expect(page.contains("neutracer_processing_time_seconds_sum 0.001\n"))
        #expect(!page.contains("trace_function_calls_total{host"))
    }

    /// A page of both sets is the concatenation of the two pages.
    @Test func bothSetsFitOnOnePage() throws {
        var store = try Self.store()
        let reading = store.reading()
        for format in [Exposition.Format.text, .openMetrics] {
            let ending = format == .openMetrics ? "# EOF\n" : ""
            let pages = [MetricNames.trace, .neutracer, .all].map { names in
                Self.text(Exposition.render(reading, names, format, now: 0))
            }
            #expect(pages.allSatisfy { $0.hasSuffix(ending) })
            #expect(pages[0].contains("\ntrace_events_total{resource=\"function\"} 12\n"))
            #expect(pages[1].contains("\nneutracer_traces_total{type=\"function\"} 12\n"))
            #expect(pages[2] == pages[0].dropLast(ending.count) + pages[1])
        }
    }

    /// The original's names break the naming rules, so promtool's opinion on names is ignored there.
    @Test(.enabled(if: PromTool.isInstalled, "promtool is not installed"))
    func promtoolAcceptsThePage() throws {
        var store = try Self.store()
        let reading = store.reading()
        let complaint = try PromTool.check(Exposition.render(reading, .trace, .text, now: 0))
        #expect(complaint.isEmpty)
        let both = try PromTool.check(Exposition.render(reading, .all, .text, now: 0))
        #expect(both.split(separator: "\n").allSatisfy { $0.hasPrefix("neutracer_") }, "\(both)")
        let broken = try PromTool.check(Array("a{b=c} 1\n".utf8))
        #expect(!broken.isEmpty)
    }

    @Test func fiftyThousandSeriesTakeWellUnderASecond() throws {
        var store = MetricStore(limits: SeriesLimits(perFamily: 60_000))
        let slots = (0..<250).map { slot in
            Make.slot(
                UInt8(slot),
                lsn: 1,
                (0..<200).map { Make.calls(Double($0), pid: slot, function: "function_\($0)") }
            )
        }
        try store.apply(Make.snapshot(slots: slots))
        let start = ContinuousClock.now
        let page = Exposition.render(store.reading(), .trace, .text, now: 0)
        let duration = ContinuousClock.now - start
        let lines = page.count { $0 == UInt8(ascii: "\n") }
        #expect(lines > 50_000)
        #expect(duration < .seconds(5), "even a debug build on a busy machine")
    }
}
