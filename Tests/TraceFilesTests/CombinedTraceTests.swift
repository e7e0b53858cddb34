import Compression
import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// One trace of the final files of all resources.
struct CombinedTraceTests {
    private static let start = 1_760_000_000_000_000

    private static func object(_ data: Data) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    fileprivate static func events(_ data: Data) throws -> [[String: Any]] {
        try #require(try object(data)["traceEvents"] as? [[String: Any]])
    }

    /// Describes events as `<phase><microseconds> <pid> <name>`, and names as `M <pid>[/<tid>] <value>`.
    private static func describe(_ events: [[String: Any]]) -> [String] {
        events.map { event in
            let phase = event["ph"] as? String ?? "?"
            let pid = event["pid"] as? Int ?? -1
            guard phase == "M" else {
                return "\(phase)\((event["ts"] as? Int ?? 0) - start) \(pid) \(event["name"] ?? "")"
            }
            let arguments = event["args"] as? [String: Any] ?? [:]
            let thread = (event["tid"] as? Int).map { "/\($0)" } ?? ""
            return "M \(pid)\(thread) \(arguments["name"] ?? arguments["sort_index"] ?? "")"
        }
    }

    // MARK: Rows

    private static func at(_ time: Int) -> EpochNanoseconds {
        EpochNanoseconds(start + time) * 1_000
    }

    private static func call(
        _ phase: String,
        _ time: Int,
        _ cookie: Int,
        pid: Int = 7,
        tid: Int? = nil,
        category: String = "function",
        name: String = "f"
    ) -> String {
        """
        {"ts":\(start + time),"pid":\(pid),"tid":\(tid ?? pid),"ph":"\(phase)","cat":"\(category)","name":"\(name)",\
        "args":{"cookie":\(cookie)}}
        """
    }

    private static func instant(
        _ resource: Resource,
        _ time: Int,
        pid: Int = 7,
        category: String? = nil,
        name: String = "n"
    ) -> String {
        """
        {"ts":\(start + time),"pid":\(pid),"tid":\(pid),"ph":"i","cat":"\(category ?? resource.name)",\
        "name":"\(name)","args":{"ts":0,"pid":1},"s":"t"}
        """
    }

    private static func network(_ time: Int, sent: Int, received: Int, pid: Int = 7) -> String {
        """
        {"ts":\(start + time),"pid":\(pid),"ph":"C","name":"network","args":{"tx_bytes":\(sent),\
        "rx_bytes":\(received)}}
        """
    }

    private static func io(_ time: Int, read: Int, written: Int, pid: Int = 7) -> String {
        """
        {"ts":\(start + time),"pid":\(pid),"ph":"C","name":"io","args":{"read":\(read),"write":\(written)}}
        """
    }

    private static func process(_ pid: Int, _ name: String) -> String {
        #"{"ph":"M","pid":\#(pid),"name":"process_name","args":{"name":"\#(name)"}}"#
    }

    private static func thread(_ pid: Int, _ tid: Int, _ name: String) -> String {
        #"{"ph":"M","pid":\#(pid),"tid":\#(tid),"name":"thread_name","args":{"name":"\#(name)"}}"#
    }

    // MARK: Order and names

    @Test func allResourcesStandInOrderUnderTheBestNames() throws {
        let archive = try PublishedTraces()
        try archive.add(
            .function,
            [Self.call("B", 10, 1), Self.call("E", 40, 1)],
            names: [
                Self.process(7, "pid-7"), Self.thread(7, 7, "main \\\"loop\\\""),
                #"{"ph":"M","pid":7,"name":"process_sort_index","args":{"sort_index":-3}}"#,
            ]
        )
        try archive.add(
            .cpu,
            [Self.instant(.cpu, 20)],
            names: [Self.process(7, "python"), Self.thread(7, 7, "python")]
        )
        try archive.add(.memory, [Self.instant(.memory, 10)], names: [Self.process(7, "python")])
        try archive.add(
            .gpu,
            [
                Self.instant(.gpu, 30, pid: 8),
                Self.instant(.gpu, 31, category: "anomaly", name: "slow"),
            ],
            names: [Self.process(8, "pid-8"), Self.thread(8, 8, "tid-8")]
        )
        let (data, report) = try archive.document(CombinedTraceSelection())
        #expect(
            Self.describe(try Self.events(data)) == [
                "M 7 python", "M 7 -3", "M 7/7 main \"loop\"", "i10 7 n", "B10 7 f", "i20 7 n",
                "M 8 pid-8", "i30 8 n", "i31 7 slow", "E40 7 f",
            ]
        )
        let counts = Resource.allCases.map { report.written[$0] }
        #expect(counts == [2, 1, 1, 0, 0, 1] && report.written.anomalies == 1)
        #expect(report.written.events == 5 && report.leftOut.events == 0 && report.cutAt == nil)
        #expect(report.hosts == 1 && report.processes == 2)
        let metadata = try #require(try Self.object(data)["metadata"] as? [String: Any])
        #expect(metadata["complete"] as? Bool == true)
        #expect((metadata["events"] as? [String: Int])?["function"] == 2)
        #expect((metadata["events"] as? [String: Int])?["anomaly"] == 1)
    }

    @Test func processesOfHostsKeepApart() throws {
        let archive = try PublishedTraces()
        let names = [Self.process(4_000, "python")]
        try archive.add(
            .function,
            host: "web-1",
            [Self.call("B", 10, 1, pid: 4_000), Self.call("E", 30, 1, pid: 4_000)],
            names: [Self.thread(4_000, 4_000, "worker")]
        )
        try archive.add(
            .function,
            host: "web-2",
            [Self.call("B", 15, 1, pid: 4_000), Self.call("E", 25, 1, pid: 4_000)]
        )
        for host in ["web-1", "web-2"] {
            try archive.add(.cpu, host: host, [Self.instant(.cpu, 20, pid: 4_000)], names: names)
        }
        // This process really has the id that is free first.
        try archive.add(.io, host: "web-1", [Self.instant(.io, 5, pid: 1 << 22)])
        #expect(
            Self.describe(try archive.events()) == [
                "M 4194304 pid-4194304 on web-1", "i5 4194304 n",
                "M 4000 python (pid 4000) on web-1", "M 4000/4000 worker", "B10 4000 f",
                "M 4194305 python (pid 4000) on web-2", "B15 4194305 f", "i20 4000 n",
                "i20 4194305 n",
                "E25 4194305 f", "E30 4000 f",
            ]
        )
        let alone = Self.describe(try archive.events(CombinedTraceSelection(host: "web-2")))
        #expect(alone == ["M 4000 python", "B15 4000 f", "i20 4000 n", "E25 4000 f"])
        #expect(try archive.events(CombinedTraceSelection(pid: 4_000)).count == 9)
        #expect(try archive.events(CombinedTraceSelection(host: "web")).isEmpty)
    }

    @Test func namesAndProcessesAreBounded() throws {
        var processes = CombinedProcesses(namesBytesMax: 250, processesMax: 2)
        for pid in 1...4 {
            let line = Array(Self.process(pid, "program").utf8)
            line.withUnsafeBytes { processes.add(TraceName($0)!, host: 1) }
        }
        #expect(processes.namesLeftOut == 2)
        var text = RawBuffer()
        _ = try processes.show(host: 1, pid: 2, tid: nil, names: &text)
        _ = try processes.show(host: 1, pid: 3, tid: nil, names: &text)
        _ = try processes.show(host: 1, pid: 2, tid: 5, names: &text)
        let lines = String(decoding: text.bytes, as: UTF8.self)
        #expect(lines == Self.process(2, "program") + ",\n" + Self.process(3, "pid-3") + ",\n")
        let error = #expect(throws: TraceError.self) {
            try processes.show(host: 2, pid: 2, tid: nil, names: &text)
        }
        #expect(error?.code == .exhausted)
    }

    // MARK: Spans

    @Test func callsThatASpanCutsAreClippedAndMarked() throws {
        let archive = try PublishedTraces()
        try archive.add(
            .function,
            window: 1,
            [
                Self.call("B", 10, 1, name: "outer"), Self.call("B", 11, 2, name: "inner"),
                Self.call("B", 12, 3, pid: 8, name: "other"),
            ]
        )
        try archive.add(
            .function,
            window: 2,
            [
                Self.call("B", 10, 1, category: "continued", name: "outer"),
                Self.call("B", 11, 2, category: "continued", name: "inner"),
                Self.call("B", 12, 3, pid: 8, category: "continued", name: "other"),
                Self.call("B", 22, 4, pid: 8, name: "late"), Self.call("E", 30, 2, name: "inner"),
                // Its begin is in no file.
                Self.call("E", 31, 9, name: "lost"),
            ]
        )
        try archive.add(.cpu, window: 1, [Self.instant(.cpu, 19)])
        try archive.add(.cpu, window: 2, [Self.instant(.cpu, 20), Self.instant(.cpu, 33)])
        let span = CombinedTraceSelection(from: Self.at(20), to: Self.at(32))
        let (data, report) = try archive.document(span)
        let events = try Self.events(data)
        #expect(
            Self.describe(events).filter { !$0.hasPrefix("M") } == [
                "B20 7 outer", "B20 7 inner", "B20 8 other", "i20 7 n", "B22 8 late", "E30 7 inner",
                "i31 7 lost", "E32 8 late", "E32 8 other", "E32 7 outer",
            ]
        )
        let opening = try #require(events.first { $0["name"] as? String == "outer" })
        #expect(opening["cat"] as? String == "continued")
        #expect((opening["args"] as? [String: Int])?["began"] == Self.start + 10)
        #expect((events.last?["args"] as? [String: Bool])?["clipped"] == true)
        // Events that were received, without those of clipped calls.
        #expect(report.written[.function] == 3 && report.written[.cpu] == 1)

        let whole = Self.describe(try archive.events()).filter { !$0.hasPrefix("M") }
        #expect(
            whole == [
                "B10 7 outer", "B11 7 inner", "B12 8 other", "i19 7 n", "i20 7 n", "B22 8 late",
                "E30 7 inner", "i31 7 lost", "i33 7 n", "E33 8 late", "E33 8 other", "E33 7 outer",
            ]
        )
        // Beyond all events: what is open is still open.
        let after = CombinedTraceSelection(from: Self.at(50), to: Self.at(60))
        #expect(
            Self.describe(try archive.events(after)).filter { !$0.hasPrefix("M") } == [
                "B50 7 outer", "B50 8 other", "B50 8 late", "E60 8 late", "E60 8 other",
                "E60 7 outer",
            ]
        )
    }

    /// The names of windows that end within one second sort otherwise.
    @Test func filesAreReadInTheOrderOfWindows() throws {
        let archive = try PublishedTraces()
        try archive.add(.function, window: 1, [Self.call("B", 10, 1)], stem: "1001")
        try archive.add(
            .function,
            window: 2,
            [Self.call("B", 10, 1, category: "continued"), Self.call("E", 30, 1)],
            stem: "1002"
        )
        try archive.add(.function, window: 3, [Self.call("B", 40, 2)], stem: "1002_2")
        let span = CombinedTraceSelection(from: Self.at(20), to: Self.at(45))
        let calls = Self.describe(try archive.events(span)).filter { !$0.hasPrefix("M") }
        #expect(calls == ["B20 7 f", "E30 7 f", "B40 7 f", "E45 7 f"])
    }

    /// A host whose calls are only open in the time span is shown like one with events.
    @Test func hostsWithoutEventsAreNamed() throws {
        let archive = try PublishedTraces()
        for (host, late) in [("a", 50), ("b", 25)] {
            try archive.add(.function, host: host, [Self.call("B", 10, 1)])
            try archive.add(
                .function,
                window: 2,
                host: host,
                [Self.call("B", 10, 1, category: "continued"), Self.call("E", late, 1)],
                names: [Self.process(7, "python")]
            )
        }
        let span = CombinedTraceSelection(from: Self.at(20), to: Self.at(30))
        #expect(
            Self.describe(try archive.events(span)) == [
                "M 7 python (pid 7) on a", "B20 7 f", "M 4194304 python (pid 7) on b",
                "B20 4194304 f", "E25 4194304 f", "E30 7 f",
            ]
        )
    }

    /// Files that end before the time span, or begin after it, are not read but at their ends.
    @Test func onlyFilesOfTheSpanAreRead() throws {
        let archive = try PublishedTraces()
        let damage = "{\"ts\":x}"
        try archive.add(
            .function,
            window: 1,
            [Self.call("B", 1, 1), damage, Self.call("B", 2, 2)],
            names: [Self.process(7, "old")]
        )
        try archive.add(.cpu, window: 1, [Self.instant(.cpu, 1), damage, Self.instant(.cpu, 9)])
        try archive.add(
            .function,
            window: 2,
            [Self.call("B", 2, 2, category: "continued"), Self.call("E", 30, 2)],
            names: [Self.process(7, "new")]
        )
        try archive.add(.cpu, window: 3, [Self.instant(.cpu, 40), damage, Self.instant(.cpu, 50)])
        let span = CombinedTraceSelection(from: Self.at(20), to: Self.at(35))
        #expect(Self.describe(try archive.events(span)) == ["M 7 new", "B20 7 f", "E30 7 f"])
        for span in [
            CombinedTraceSelection(from: Self.at(2), to: Self.at(35)),
            CombinedTraceSelection(to: Self.at(35)), CombinedTraceSelection(from: Self.at(20)),
        ] {
            let error = #expect(throws: TraceError.self) { try archive.events(span) }
            #expect(error?.code == .corrupt)
        }
    }

    /// Files that end before the span are not read if their windows are known; anomalies may be later than all events.
    @Test func filesOfEarlierWindowsAreNotRead() throws {
        let archive = try PublishedTraces()
        try archive.add(.function, [Self.call("B", 10, 1), Self.instant(.function, 500)])
        let later = [Self.call("B", 1_000, 2), Self.call("E", 1_100, 2)]
        try archive.add(.function, window: 2, later, isCompressed: true)
        let files = "\(archive.directory.path)/output/anomalies"
        try FileManager.default.createDirectory(atPath: files, withIntermediateDirectories: true)
        let finding = #"{"rule":"stuck_call","pid":7,"ts":\#(Self.start + 500)}"# + "\n"
        try Data(finding.utf8).write(to: URL(filePath: "\(files)/found.jsonl"))
        func window(_ file: CatalogWindow.File...) throws -> CatalogWindow {
            let head = """
                {"resource":"function","events":1,"processes":1,"first_ts_ns":\(Self.at(10)),\
                "last_ts_ns":\(Self.at(10)),
                """
            return CatalogWindow(
                window: FinalWindow(resource: .function, window: 1, finalAt: 1),
                files: [
                    CatalogWindow.File(
                        name: "json/function_trace_1001_a.json",
                        kind: "json",
                        bytes: 1,
                        host: Array("\"a\"".utf8)
                    )
                ] + file,
                head: Array(head.utf8).withUnsafeBytes { CatalogWindow.Head($0) }
            )
        }
        let anomalies = CatalogWindow.File(
            name: "anomalies/found.jsonl",
            kind: "anomalies",
            bytes: 1,
            host: nil
        )
        func describe(from: Int, _ windows: [CatalogWindow]) throws -> [String] {
            var data = Data()
            _ = try CombinedTrace(
                CombinedTraceSelection(from: Self.at(from), to: Self.at(2_000)),
                windows: windows,
                root: archive.directory.path
            ) { data.append(contentsOf: $0) }.run()
            return Self.describe(try Self.events(data)).filter { !$0.hasPrefix("M") }
        }
        let whole = ["B400 7 f", "i500 7 n", "B1000 7 f", "E1100 7 f", "E2000 7 f"]
        #expect(try describe(from: 400, []) == whole)
        #expect(try describe(from: 400, [try window(anomalies)]) == whole)
        #expect(try describe(from: 600, [try window(anomalies)]) == describe(from: 600, []))
        // The record says that there is nothing after 10.
        let known = ["B1000 7 f", "E1100 7 f"]
        #expect(try describe(from: 400, [try window()]) == known)
    }

    @Test func memoryIsTakenFromABudget() throws {
        let archive = try PublishedTraces()
        try archive.add(
            .function,
            (0..<500).map { Self.call("B", $0, $0, tid: $0 % 50, name: "f\($0)") }
        )
        func run(_ bytes: Int) throws {
            _ = try CombinedTrace(
                CombinedTraceSelection(),
                root: archive.directory.path,
                budget: ReadingBudget(bytes: bytes)
            ) { _ in }.run()
        }
        #expect(throws: Never.self) { try run(1 << 20) }
        for bytes in [0, 66_000, 80_000] {
            let error = #expect(throws: TraceError.self) { try run(bytes) }
            #expect(error?.code == .exhausted)
        }
    }

    /// A trace that takes too long ends like one that is too large.
    @Test func aTraceEndsWhenItsTimeIsUp() throws {
        let archive = try PublishedTraces()
        try archive.add(.function, (0..<5_000).map { Self.call("B", $0, $0, tid: $0) })
        var asked = 0
        var data = Data()
        let report = try CombinedTrace(
            CombinedTraceSelection(),
            root: archive.directory.path,
            isOverdue: { isCut in
                #expect(!isCut)
                asked += 1
                return asked > 2
            },
            write: { data.append(contentsOf: $0) }
        ).run()
        #expect(report.written.events == 2_048 && !report.isLeftOutCounted)
        #expect(report.cutAt == Self.at(2_047))
        let events = try Self.events(data).filter { $0["ph"] as? String != "M" }
        #expect(events.count == 2 * 2_048)
        let metadata = try #require(try Self.object(data)["metadata"] as? [String: Any])
        #expect(metadata["complete"] as? Bool == false)
        #expect(metadata["left_out_counted"] as? Bool == false)
    }

    @Test func aFileThatIsCutOffIsReported() throws {
        let archive = try PublishedTraces()
        try archive.add(.cpu, [Self.instant(.cpu, 1)], ending: ",\n")
        let error = #expect(throws: TraceError.self) { try archive.events() }
        #expect(error?.code == .corrupt && error?.message.hasSuffix("is cut off") == true)
    }

    @Test func compressedFilesMakeTheSameTrace() throws {
        let (plain, packed) = (try PublishedTraces(), try PublishedTraces())
        for (archive, isCompressed) in [(plain, false), (packed, true)] {
            for window in 1...3 {
                let base = 100 * window
                try archive.add(
                    .function,
                    window: window,
                    [Self.call("B", base, window), Self.call("E", base + 50, window)],
                    names: [Self.process(7, "f\(window)")],
                    isCompressed: isCompressed
                )
                try archive.add(
                    .io,
                    window: window,
                    [Self.instant(.io, base + 10)],
                    isCompressed: isCompressed
                )
            }
        }
        for span in [
            CombinedTraceSelection(),
            CombinedTraceSelection(from: Self.at(220), to: Self.at(230)),
        ] {
            #expect(try plain.document(span).data == packed.document(span).data)
        }
        let middle = CombinedTraceSelection(from: Self.at(205), to: Self.at(230))
        #expect(
            Self.describe(try packed.events(middle)) == [
                "M 7 f2", "B205 7 f", "i210 7 n", "E230 7 f",
            ]
        )
    }

    /// More names than are read at once at the end of a file.
    @Test func namesAreFoundAtTheEndOfLargeFiles() throws {
        let archive = try PublishedTraces()
        let threads = (1...2_000).map { Self.thread(7, $0, "thread \($0)") }
        try archive.add(
            .function,
            [
                Self.call("B", 1, 1, tid: 1), Self.call("E", 2, 1, tid: 1),
                Self.call("B", 3, 1, tid: 2_000),
            ],
            names: [Self.process(7, "many")] + threads
        )
        let names = Self.describe(try archive.events()).filter { $0.hasPrefix("M") }
        #expect(names == ["M 7 many", "M 7/1 thread 1", "M 7/2000 thread 2000"])
    }

    // MARK: Rates

    @Test func ratesAddUpToTheTotals() throws {
        var random = SeededGenerator(seed: 11)
        let archive = try PublishedTraces()
        var expected: [String: Int] = [:]
        var times = (0..<400).map { _ in Int(random.next() % 3_000_000) }.sorted()
        for index in 100...200 { times[index] = times[100] }
        for kind in [Resource.network, .io] {
            var totals: [Int: (Int, Int)] = [:]
            var firsts: [Int: (Int, Int)] = [:]
            let rows = times.flatMap { time in
                let pid = 7 + Int(random.next() % 2)
                var total = totals[pid] ?? (1_000, 0)
                total.0 += Int(random.next() % 10_000)
                total.1 += Int(random.next() % 3) * 1_000
                totals[pid] = total
                firsts[pid] = firsts[pid] ?? total
                return [
                    Self.instant(kind, time, pid: pid),
                    kind == .network
                        ? Self.network(time, sent: total.0, received: total.1, pid: pid)
                        : Self.io(time, read: total.0, written: total.1, pid: pid),
                ]
            }
            for (pid, total) in totals {
                let names = kind == .network ? ("tx", "rx") : ("read", "write")
                expected["\(pid) \(names.0)"] = total.0 - (firsts[pid]?.0 ?? 0)
                expected["\(pid) \(names.1)"] = total.1 - (firsts[pid]?.1 ?? 0)
            }
            try archive.add(kind, rows)
        }
        let events = try archive.events(CombinedTraceSelection(to: Self.at(4_000_000)))
        var sums: [String: Int] = [:]
        var last: [String: Int] = [:]
        for event in events where (event["name"] as? String)?.hasSuffix("bytes/s") == true {
            for (name, value) in try #require(event["args"] as? [String: Int]) {
                sums["\(event["pid"] ?? "") \(name)", default: 0] += value / 10
                last["\(event["pid"] ?? "") \(name)"] = value
            }
            #expect((event["ts"] as? Int ?? 1) % 100_000 == 0)
        }
        #expect(sums == expected && expected.count == 8)
        #expect(last.values.allSatisfy { $0 == 0 }, "a rate ends with the traffic")
        let stamps = events.compactMap { $0["ts"] as? Int }
        #expect(stamps == stamps.sorted())
    }

    @Test func aTotalThatFallsIsNoRate() {
        var rates = RateTracks()
        var found: [UInt64] = []
        for (number, total) in ([500, 800, 100, 150] as [UInt64]).enumerated() {
            let ts = EpochNanoseconds(number) * RateTracks.intervalNanoseconds
            rates.takeDue(at: ts) { rate, _, _, _ in found.append(rate.first) }
            rates.take(RateTracks.Pair(first: total, second: 0), pid: 1, kind: .io, ts: ts)
        }
        rates.takeLast(at: 4 * RateTracks.intervalNanoseconds) { rate, _, _, _ in
            found.append(rate.first)
        }
        #expect(found == [3_000, 0, 500])
    }

    // MARK: Limits

    /// Whatever the limit: the trace is not larger, all its calls have both ends, and each event is written or counted.
    @Test func aLimitEndsTheTrace() throws {
        let archive = try PublishedTraces()
        var random = SeededGenerator(seed: 3)
        var open: [Int] = []
        var calls: [String] = []
        for time in 0..<1_500 {
            if !open.isEmpty, random.next() % 2 == 0 {
                calls.append(Self.call("E", time, open.removeLast(), name: "name of a function"))
            } else {
                open.append(time)
                calls.append(Self.call("B", time, time, name: "name of a function"))
            }
        }
        try archive.add(.function, calls, names: [Self.process(7, "program")])
        let others = (0..<500).flatMap { time in
            [
                Self.instant(.network, 3 * time, pid: 8),
                Self.network(3 * time, sent: 100 * time, received: 0, pid: 8),
            ]
        }
        try archive.add(.network, others)
        let whole = try archive.document(CombinedTraceSelection())
        #expect(whole.report.written[.function] == 1_500 && whole.report.written[.network] == 500)
        var limits = (0..<8).map { _ in 65_536 + Int(random.next() & 0x1_FFFF) }
        limits += [65_536, whole.data.count, whole.data.count + 8_000]
        for limit in limits {
            let (data, report) = try archive.document(CombinedTraceSelection(bytesMax: limit))
            #expect(data.count <= limit)
            #expect(report.written[.function] + report.leftOut[.function] == 1_500)
            #expect(report.written[.network] + report.leftOut[.network] == 500)
            let events = try Self.events(data)
            var depth = 0
            for event in events {
                if event["ph"] as? String == "B" { depth += 1 }
                if event["ph"] as? String == "E" { depth -= 1 }
                #expect(depth >= 0)
            }
            #expect(depth == 0)
            let stamps = events.compactMap { $0["ts"] as? Int }
            #expect(stamps == stamps.sorted())
            let received = events.filter { ["function", "network"].contains($0["cat"] as? String) }
            #expect(received.count == Int(report.written.events))
            let metadata = try #require(try Self.object(data)["metadata"] as? [String: Any])
            let isWhole = report.cutAt == nil
            #expect(metadata["complete"] as? Bool == isWhole)
            #expect(isWhole == (report.leftOut.events == 0))
            #expect(isWhole || data.count > limit - 8_000, "room is left unused")
            #expect(
                (metadata["left_out"] as? [String: Int])?["function"]
                    == Int(report.leftOut[.function])
            )
        }
        #expect(
            try archive.document(CombinedTraceSelection(bytesMax: limits.last)).report.cutAt == nil
        )
    }

    @Test func openCallsThatDoNotFitAreAnError() throws {
        let archive = try PublishedTraces()
        let name = String(repeating: "n", count: 1_000)
        try archive.add(
            .function,
            (0..<50).map { Self.call("B", $0, $0, name: name) } + [Self.call("B", 90, 90)]
        )
        let span = CombinedTraceSelection(from: Self.at(60), bytesMax: Limits.traceBytesMin)
        let error = #expect(throws: TraceError.self) { try archive.events(span) }
        #expect(error?.code == .exhausted && error?.remedy != nil)
    }

    @Test func readingIsCancelled() throws {
        struct Cancelled: Error {}
        let archive = try PublishedTraces()
        try archive.add(.cpu, (0..<5_000).map { Self.instant(.cpu, $0) })
        // Also while rows are read that are not selected.
        for selection in [CombinedTraceSelection(), CombinedTraceSelection(pid: 99)] {
            var checks = 0
            #expect(throws: Cancelled.self) {
                try archive.document(selection) {
                    checks += 1
                    if checks == 4 { throw Cancelled() }
                }
            }
        }
    }

    @Test func nothingMakesAnEmptyTrace() throws {
        let archive = try PublishedTraces()
        let (data, report) = try archive.document(CombinedTraceSelection())
        #expect(
            try Self.events(data).isEmpty && report.written.events == 0 && report.processes == 0
        )
        try archive.add(.cpu, [Self.instant(.cpu, 10)])
        let before = CombinedTraceSelection(from: Self.at(1), to: Self.at(9))
        #expect(try archive.events(before).isEmpty)
    }
}

extension PublishedTraces {
    /// Returns the document and its report.
    fileprivate func document(
        _ selection: CombinedTraceSelection,
        filesMax: Int = 8,
        checkCancelled: @escaping () throws -> Void = {}
    ) throws -> (data: Data, report: CombinedTraceReport) {
        var data = Data()
        let trace = CombinedTrace(
            selection,
            root: directory.path,
            filesMax: filesMax,
            checkCancelled: checkCancelled
        ) { data.append(contentsOf: $0) }
        let report = try trace.run()
        #expect(report.bytes == data.count)
        return (data, report)
    }

    fileprivate func events(
        _ selection: CombinedTraceSelection = CombinedTraceSelection(),
        filesMax: Int = 8
    ) throws -> [[String: Any]] {
        try CombinedTraceTests.events(document(selection, filesMax: filesMax).data)
    }
}
