import Testing
import TraceFiles
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// Calls: pairs, what has no partner, what is open at the end of a window.
@Suite struct FunctionModelTests {
    private static func event(
        _ type: Int32,
        _ name: String,
        cookie: Int64 = 1,
        at milliseconds: Int
    ) -> BatchEncoder.Function {
        var event = BatchEncoder.Function()
        event.timestamp = ProcessorBench.timestamp(milliseconds)
        event.eventType = type
        event.functionName = name
        event.cookie = cookie
        event.tgid = 5
        event.pid = 6
        return event
    }

    /// Sends one batch of events, ends the window.
    private static func output(
        _ bench: ProcessorBench,
        _ events: [BatchEncoder.Function]
    ) throws -> ProcessorBench.Output {
        try bench.send { batch in for event in events { batch.append(event) } }
        return try bench.output()
    }

    @Test func recursionUnwindsFromTheInside() throws {
        let bench = try ProcessorBench(.function)
        let output = try Self.output(
            bench,
            [
                Self.event(0, "f", at: 0), Self.event(0, "f", at: 10), Self.event(1, "f", at: 30),
                Self.event(1, "f", at: 160),
            ]
        )
        #expect(output.rows.map { $0["Duration(us)"] } == ["20000.000", "160000.000"])
        #expect(output.rows.map { $0["Slow"] } == ["0", "1"])
        #expect(output.rows.allSatisfy { $0["PID"] == "5" && $0["TID"] == "6" })
        let ends = output.events.filter { $0["ph"] as? String == "E" }
        let durations = ends.compactMap { ($0["args"] as? [String: Any])?["duration"] as? Double }
        #expect(durations == [20, 160])
        let samples = bench.samples()
        #expect(samples.value(.functionCallsTotal, "f") == 2)
        #expect(samples.value(.functionSlowCallsTotal, "f") == 1)
        #expect(samples.value(.activeFunctions) == 0)
        #expect(samples.buckets(.functionDurationSeconds) == [0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0])
    }

    /// A prefetched entry is used only if it has the event's name: it may be another process's, or missing.
    @Test func whatWasFoundIsCheckedAgainstTheName() throws {
        let names: [StaticString] = ["first", "second", "third\""]
        try ProcessorBench(.function).withContext { context in
            var context = context
            var table = FunctionTable()
            for found in -1...4 {
                context.move(
                    to: 1,
                    pidText: NumberText(UInt64(1)),
                    tid: 1,
                    stamp: context.time,
                    totals: context.totals,
                    activity: context.activity,
                    givenName: context.givenName,
                    suppressed: context.suppressed,
                    rules: context.rules,
                    found: found
                )
                for (place, name) in names.enumerated() {
                    let (position, text) = table.position(of: ByteView(name), context)
                    #expect(position == place && text.isPlain == (place < 2))
                }
            }
        }
    }

    /// As the wall clock was set back between the batches.
    @Test func aCallDoesNotEndBeforeItBegan() throws {
        let bench = try ProcessorBench(.function)
        try bench.send { batch in
            batch.append(Self.event(0, "outer", cookie: 1, at: 1_000))
            batch.append(Self.event(0, "given up", cookie: 2, at: 1_100))
            batch.append(Self.event(0, "inner", cookie: 3, at: 1_200))
        }
        try bench.send { batch in batch.append(Self.event(1, "inner", cookie: 3, at: 200)) }
        try bench.send { batch in batch.append(Self.event(1, "outer", cookie: 1, at: 300)) }
        try bench.send { batch in
            batch.append(Self.event(0, "next", cookie: 4, at: 400))
            batch.append(Self.event(1, "next", cookie: 4, at: 450))
        }
        let output = try bench.output()
        let slices = output.events.compactMap { event -> String? in
            guard let phase = event["ph"] as? String, phase == "B" || phase == "E",
                let name = event["name"] as? String,
                let time = event["ts"] as? Double
            else { return nil }
            return "\(phase) \(name) \(Int(time / 1_000) % 10_000)"
        }
        let start = Int(ProcessorBench.start / 1_000_000)
        func at(_ milliseconds: Int) -> Int { (start + milliseconds) % 10_000 }
        #expect(
            slices == [
                "B next \(at(400))", "E next \(at(450))", "B outer \(at(1_000))",
                "E outer \(at(1_000))",
                "B given up \(at(1_100))", "E given up \(at(1_100))", "B inner \(at(1_200))",
                "E inner \(at(1_200))",
            ]
        )
        let durations = output.rows.compactMap { $0["Duration(us)"] }.filter { !$0.isEmpty }
        #expect(durations == ["50000.000", "0.000", "0.000"])
        #expect(bench.samples().value(.functionUnmatchedExitsTotal, "inner") == nil)
    }

    @Test func anExitWithoutEntryIsKeptAndCounted() throws {
        let bench = try ProcessorBench(.function)
        let output = try Self.output(
            bench,
            [
                Self.event(0, "f", cookie: 1, at: 0), Self.event(1, "f", cookie: 2, at: 1),
                Self.event(1, "g", cookie: 1, at: 2),
            ]
        )
        let phases = output.events.compactMap { $0["ph"] as? String }.filter { $0 != "M" }
        #expect(phases == ["B", "i", "i"], "an end would close the call of the name that is open")
        #expect(output.rows.map { $0["Duration(us)"] } == ["", ""])
        let samples = bench.samples()
        #expect(samples.value(.functionUnmatchedExitsTotal, "f") == 1)
        #expect(samples.value(.functionUnmatchedExitsTotal, "g") == 1)
        #expect(samples.value(.activeFunctions) == 1)
    }

    /// An exit that stands before its entry in the batch is sorted behind it.
    @Test func pairsAreMadeByTime() throws {
        let bench = try ProcessorBench(.function)
        let output = try Self.output(bench, [Self.event(1, "f", at: 3), Self.event(0, "f", at: 1)])
        #expect(output.rows.map { $0["Duration(us)"] } == ["2000.000"])
    }

    @Test func openCallsBeginTheNextFileToo() throws {
        let bench = try ProcessorBench(.function)
        let entries = [Self.event(0, "outer", at: 0), Self.event(0, "inner", cookie: 2, at: 10)]
        _ = try Self.output(bench, entries)
        let exits = [Self.event(1, "inner", cookie: 2, at: 20), Self.event(1, "outer", at: 30)]
        let output = try Self.output(bench, exits)
        let events = output.events.filter { $0["ph"] as? String != "M" }
        #expect(events.map { $0["ph"] as? String } == ["B", "B", "E", "E"])
        #expect(
            events.map { $0["cat"] as? String } == [
                "continued", "continued", "function", "function",
            ]
        )
        #expect(events.map { $0["name"] as? String } == ["outer", "inner", "inner", "outer"])
        let start = Int(ProcessorBench.start / 1_000)
        #expect(events.map { $0["ts"] as? Int } == [0, 10, 20, 30].map { start + $0 * 1_000 })
        #expect(output.rows.map { $0["Duration(us)"] } == ["10000.000", "30000.000"])
        // Nothing is open any more: the third window has what it was sent.
        let third = try Self.output(bench, [Self.event(0, "f", at: 40)])
        #expect(third.events.filter { $0["ph"] as? String == "B" }.count == 1)
    }

    /// Viewers drop what is nested deeper than 512; exits that never come must not cost what follows.
    @Test func whatIsTooDeepIsAnInstant() throws {
        let bench = try ProcessorBench(.function)
        let depth = Limits.openSlicesPerThreadMax
        let leaks = (0..<depth + 40).map { Self.event(0, "leak", cookie: Int64($0), at: $0) }
        let pair = [Self.event(0, "f", at: 900), Self.event(1, "f", at: 905)]
        let output = try Self.output(bench, leaks + pair)
        func count(_ phase: String) -> Int {
            output.events.filter { $0["ph"] as? String == phase }.count
        }
        #expect(count("B") == depth && count("i") == 42 && count("E") == 0)
        #expect(output.rows.map { $0["Duration(us)"] } == ["5000.000"])
        #expect(bench.samples().value(.errorsTotal, "open_call_evicted") ?? 0 == 0)
        // A new file repeats no more than viewers take.
        let next = try Self.output(bench, [Self.event(0, "g", at: 1_000)])
        #expect(next.events.filter { $0["ph"] as? String == "B" }.count == depth)
        #expect(next.records(.function).map { $0["name"] as? String } == ["g"])
    }

    /// The limit is the viewers': deeper calls have their durations too, in the order in which they return.
    @Test func deepRecursionStaysPaired() throws {
        let bench = try ProcessorBench(.function)
        let depth = 3 * Limits.openSlicesPerThreadMax
        let entries = (0..<depth).map { Self.event(0, "f", cookie: Int64($0), at: $0) }
        let exits = (0..<depth).map {
            Self.event(1, "f", cookie: Int64(depth - 1 - $0), at: depth + $0)
        }
        let output = try Self.output(bench, entries + exits)
        #expect(
            output.rows.map { $0["Duration(us)"] } == (0..<depth).map { "\(2 * $0 + 1)000.000" }
        )
        func count(_ phase: String) -> Int {
            output.events.filter { $0["ph"] as? String == phase }.count
        }
        let slices = Limits.openSlicesPerThreadMax
        #expect(count("B") == slices && count("E") == slices)
        #expect(output.records(.function).count == 2 * (depth - slices))
        #expect(bench.samples().value(.errorsTotal, "open_call_evicted") ?? 0 == 0)
    }

    /// A thread whose exits never come costs a bounded part of the state; what is innermost stays.
    @Test func whatIsFarTooDeepIsGivenUp() throws {
        let bench = try ProcessorBench(.function)
        let depth = Limits.openCallsPerThreadMax
        let leaks = (0...depth).map { Self.event(0, "leak", cookie: Int64($0), at: 0) }
        let last = Self.event(1, "leak", cookie: Int64(depth), at: 5)
        let output = try Self.output(bench, leaks + [last])
        #expect(output.rows.map { $0["Duration(us)"] } == ["5000.000"])
        #expect(bench.samples().value(.errorsTotal, "open_call_evicted") == Double(depth / 8))
    }
}
