import Foundation
import Testing
import TraceFiles
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// What agents call processes and threads beside their events.
@Suite struct GivenNamesTests {
    private static func name(
        _ text: String,
        thread: UInt32 = 0,
        sortIndex: Int32 = 0
    ) -> BatchEncoder.Name {
        var name = BatchEncoder.Name()
        (name.pid, name.tid, name.name, name.sortIndex) = (7, thread, text, sortIndex)
        return name
    }

    /// A call of the process, of 5 ms.
    private static func call(_ batch: inout BatchEncoder, at milliseconds: Int, tid: UInt32 = 7) {
        for type in Int32(0)...1 {
            var event = BatchEncoder.Function()
            event.timestamp = ProcessorBench.timestamp(milliseconds + Int(type) * 5)
            (event.eventType, event.functionName) = (type, "f")
            (event.tgid, event.pid, event.callCount) = (7, tid, UInt64(milliseconds + 1))
            batch.append(event)
        }
    }

    private static func metadata(_ output: ProcessorBench.Output) -> [String: String] {
        var found: [String: String] = [:]
        for event in output.events where event["ph"] as? String == "M" {
            guard let name = event["name"] as? String, event["pid"] as? Int == 7 else { continue }
            let arguments = event["args"] as? [String: Any]
            let key = name == "thread_name" ? "\(name) \(event["tid"] ?? "")" : name
            #expect(found[key] == nil, "\(key) stands twice")
            found[key] = "\(arguments?["name"] ?? arguments?["sort_index"] ?? "")"
        }
        return found
    }

    private static func summaryNames(_ bench: ProcessorBench) throws -> [String] {
        let tables = try #require(try bench.summary()?["tables"] as? [String: [String: Any]])
        let lists = try #require(tables["processes"]?["top"] as? [String: [[String: Any]]])
        return try #require(lists["busiest"]).compactMap { $0["process"] as? String }
    }

    @Test(arguments: [Semantics.neutracer, .cumulative]) func namesStandWhereverProcessesAreNamed(
        semantics: Semantics
    ) throws {
        let bench = try ProcessorBench(.function)
        try bench.send(semantics: semantics) { batch in
            Self.call(&batch, at: 0)
            Self.call(&batch, at: 10, tid: 8)
            // Behind the events, too, a name holds for all of its batch.
            batch.append(Self.name("train \"1\"", sortIndex: -3))
            batch.append(Self.name("loader", thread: 8))
        }
        let samples = bench.samples()
        #expect(samples.value(.functionCallsTotal, "bench", "7", "train \"1\"", "f") != nil)
        let output = try bench.output()
        #expect(
            Self.metadata(output) == [
                "process_name": "train \"1\"", "process_sort_index": "-3",
                "thread_name 7": "train \"1\"",
                "thread_name 8": "loader",
            ]
        )
        #expect(output.rows.map { $0["Process"] } == ["train \"1\"", "train \"1\""])
        #expect(try Self.summaryNames(bench) == ["train \"1\""])
    }

    /// A name that comes before the first event, in a batch without any.
    @Test func aNameMayComeFirst() throws {
        let bench = try ProcessorBench(.gpu)
        try bench.send { $0.append(Self.name("early")) }
        try bench.processor.tick(arrival: ProcessorBench.start + 1_000_000_000)
        try bench.send {
            var event = BatchEncoder.GPU()
            event.timestamp = ProcessorBench.timestamp(1)
            event.payload = .memory(pid: 7, bytes: 5)
            $0.append(event)
        }
        let output = try bench.output()
        #expect(Self.metadata(output)["process_name"] == "early")
        #expect(output.rows.map { $0["Process"] } == ["early"])
    }

    /// An agent may name every process of its machine.
    @Test func aNameAloneShowsNothing() throws {
        let bench = try ProcessorBench(.function)
        try bench.send { batch in
            batch.append(Self.name("idle"))
            var event = BatchEncoder.Function()
            (event.functionName, event.tgid, event.pid) = ("f", 8, 8)
            event.timestamp = ProcessorBench.timestamp(1)
            batch.append(event)
        }
        let samples = bench.samples()
        #expect(samples.value(.activeFunctions, "pid-8") == 1)
        #expect(samples.value(.activeFunctions, "idle") == nil)
    }

    @Test func whatEventsSayOfThemselvesGoesFirst() throws {
        let bench = try ProcessorBench(.cpu)
        try bench.send {
            var event = BatchEncoder.CPU()
            event.timestamp = ProcessorBench.timestamp(1)
            (event.pid, event.comm) = (7, "own")
            $0.append(event)
            $0.append(Self.name("given"))
        }
        #expect(bench.samples().value(.cpuMigrationsTotal, "7", "own") == 0)
        let output = try bench.output()
        #expect(Self.metadata(output)["process_name"] == "own")
        #expect(output.rows.map { $0["Process"] } == ["own"])
    }

    /// The trace shows the last name, rows the one of their time, and series go on under the new one.
    @Test func aProcessIsRenamedInTheMiddleOfAWindow() throws {
        let bench = try ProcessorBench(.function)
        for (place, name) in ["first", "second"].enumerated() {
            try bench.send(semantics: .neutracer) { batch in
                batch.append(Self.name(name))
                batch.append(Self.name("worker \(place)", thread: 8))
                Self.call(&batch, at: place * 10, tid: 8)
            }
            _ = bench.samples()
        }
        let samples = bench.samples()
        #expect(samples.value(.functionCallsTotal, "7", "second", "f") == 11)
        #expect(samples.value(.functionCallsTotal, "7", "first", "f") == nil)
        let output = try bench.output()
        #expect(Self.metadata(output) == ["process_name": "second", "thread_name 8": "worker 1"])
        #expect(output.rows.map { $0["Process"] } == ["first", "second"])
        #expect(try Self.summaryNames(bench) == ["second"])
    }

    @Test(arguments: [false, true]) func namesAreRememberedOverWindowsAndCheckpoints(
        isSaved: Bool
    ) throws {
        let first = try ProcessorBench(.function)
        try first.send { batch in
            batch.append(Self.name("lasting", sortIndex: 5))
            batch.append(Self.name("loader", thread: 8))
            Self.call(&batch, at: 0)
        }
        var bench = first
        if isSaved {
            bench = try ProcessorBench(.function)
            try bench.load(first.state(of: first.slot(of: 7)), of: first.slot(of: 7))
            #expect(bench.state(of: bench.slot(of: 7)) == first.state(of: first.slot(of: 7)))
        }
        _ = try bench.output()
        try bench.send { Self.call(&$0, at: 10, tid: 8) }
        #expect(bench.samples().value(.functionCallsTotal, "7", "lasting", "f") == 2)
        let output = try bench.output()
        #expect(
            Self.metadata(output) == [
                "process_name": "lasting", "process_sort_index": "5", "thread_name 8": "loader",
            ]
        )
        #expect(output.rows.map { $0["Process"] } == ["lasting"])
    }

    /// Names are bounded as all else: long ones are cut, and there are only so many of threads.
    @Test func namesAreBounded() throws {
        var names = GivenNames()
        let long = [UInt8](repeating: 0x78, count: Limits.nameBytesMax * 3)
        long.withUnsafeBytes {
            let view = ByteView($0)
            let isNew = names.name(process: view, sortIndex: 1)
            let isNewAgain = names.name(process: view, sortIndex: 0)
            #expect(isNew && !isNewAgain)
            names.name(thread: 1, view)
        }
        #expect(names.processText.view.count == Limits.shownNameBytesMax && names.sortIndex == 1)
        names.withName(ofThread: 1) { #expect($0.count == Limits.shownNameBytesMax) }
        let isNone = !names.name(process: .empty, sortIndex: 0)
        #expect(isNone)
        for tid in 2...UInt32(40_000) { names.name(thread: tid, ByteView("t")) }
        names.withName(ofThread: 2) { #expect($0.count == 1) }
        names.withName(ofThread: 40_000) { #expect($0.isEmpty) }
        #expect(names.stateBytes <= Limits.threadNamesBytesPerProcessMax + Limits.shownNameBytesMax)
        // A thread that has a name can get another one of the same length.
        names.name(thread: 2, ByteView("u"))
        names.withName(ofThread: 2) { #expect($0.equals("u")) }
    }
}
