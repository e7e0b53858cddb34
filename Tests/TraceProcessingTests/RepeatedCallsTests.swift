import SystemIO
import Testing
import TraceFiles
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// Calls that are open at the end of a window, more than the next window's trace repeats.
@Suite struct RepeatedCallsTests {
    private static let threads = 2_000

    private static func event(
        _ type: Int32,
        tid: Int,
        process: UInt32 = 5,
        cookie: Int = 1,
        at milliseconds: Int
    ) -> BatchEncoder.Function {
        var event = BatchEncoder.Function()
        event.timestamp = ProcessorBench.timestamp(milliseconds)
        event.eventType = type
        event.functionName = "f"
        event.cookie = Int64(cookie)
        event.tgid = process
        event.pid = UInt32(tid)
        return event
    }

    private static func send(
        _ bench: ProcessorBench,
        second: Int64 = 0,
        _ events: [BatchEncoder.Function]
    ) throws {
        let arrival = ProcessorBench.start + second * 1_000_000_000
        try bench.send(arrival: arrival) { batch in for event in events { batch.append(event) } }
    }

    private static func count(_ output: ProcessorBench.Output, _ phase: String) -> Int {
        output.events.filter { $0["ph"] as? String == phase }.count
    }

    private static func omitted(_ bench: ProcessorBench) -> Int {
        Int(bench.samples().value(.errorsTotal, "open_call_not_repeated") ?? 0)
    }

    /// As many entries as before, and their exits: those of the threads used last are slices again, the others instants that
    /// say when their call began.
    @Test func whatIsNotRepeatedEndsAsAnInstant() throws {
        let bench = try ProcessorBench(.function)
        for (second, first) in [(0, 0), (100, Self.threads / 2)] {
            let threads = first..<first + Self.threads / 2
            let entries = threads.map { Self.event(0, tid: 10 + $0, at: $0) }
            try Self.send(bench, second: Int64(second), entries)
        }
        _ = try bench.output()
        #expect(Self.omitted(bench) == 0)
        let exits = (0..<Self.threads).map { Self.event(1, tid: 10 + $0, at: 10_000 + $0) }
        try Self.send(bench, second: 200, exits)
        let output = try bench.output()
        let omitted = Self.omitted(bench)
        let repeated = output.events.filter { $0["cat"] as? String == "continued" }
        #expect(repeated.count == Self.threads - omitted && omitted > 0)
        let least = Limits.repeatedBytesPerSlotMin * 3 / 4
        #expect(repeated.count * Limits.repeatedCallBytes <= least)
        #expect(repeated.count > least / 2 / Limits.repeatedCallBytes)
        #expect(
            repeated.allSatisfy { ($0["tid"] as? Int ?? 0) >= 10 + Self.threads / 2 },
            "those used last"
        )
        #expect(Self.count(output, "E") == repeated.count)
        let alone = output.records(.function)
        #expect(alone.count == omitted)
        for event in alone {
            let arguments = try #require(event["args"] as? [String: Any])
            #expect(arguments["duration"] as? Double == 10_000)
            let ts = try #require(event["ts"] as? Int)
            #expect(arguments["began"] as? Int == ts - 10_000_000)
        }
        // Durations, tables and statistics know all of them.
        #expect(output.rows.count == Self.threads)
        #expect(output.rows.allSatisfy { $0["Duration(us)"] == "10000000.000" })
        #expect(bench.samples().value(.activeFunctions) == 0)
    }

    /// A slot with many events has earned more; one whose calls were not repeated may repeat them in the window after.
    @Test func eventsEarnWhatIsRepeated() throws {
        let bench = try ProcessorBench(.function)
        let entries = (0..<Self.threads).map { Self.event(0, tid: 10 + $0, at: $0) }
        let pairs = (0..<4_000).flatMap {
            [
                Self.event(0, tid: 7, cookie: 9, at: 5_000 + 2 * $0),
                Self.event(1, tid: 7, cookie: 9, at: 5_001 + 2 * $0),
            ]
        }
        try Self.send(bench, entries + pairs)
        _ = try bench.output()
        // Of 10,000 events.
        try Self.send(bench, [Self.event(0, tid: 7, at: 20_000)])
        let second = try bench.output()
        #expect(Self.omitted(bench) == 0)
        #expect(Self.count(second, "B") == Self.threads + 1)
        // Of one event.
        try Self.send(bench, [Self.event(0, tid: 8, at: 20_001)])
        let third = try bench.output()
        let omitted = Self.omitted(bench)
        #expect(omitted > 0 && Self.count(third, "B") == Self.threads + 2 - omitted)
        try Self.send(bench, pairs)
        _ = try bench.output()
        let before = Self.omitted(bench)
        #expect(before >= 2 * omitted - 2)
        try Self.send(bench, [Self.event(1, tid: 10, at: 30_000)])
        let last = try bench.output()
        #expect(Self.omitted(bench) == before && Self.count(last, "E") == 1)
        #expect(last.records(.function).isEmpty, "repeated, so its exit is no instant")
    }

    /// Processes of one slot share its budget: a worker that is restarted in the middle goes on with what is left.
    @Test func whatIsLeftIsPartOfTheState() throws {
        func run(restarting: Bool) throws -> (counts: [Int], state: [UInt8]) {
            var bench = try ProcessorBench(.function)
            let slot = bench.slot(of: 5)
            var pid: UInt32 = 6
            while bench.slot(of: pid) != slot { pid += 1 }
            for process in [5, pid] {
                let entries = (0..<Self.threads).map {
                    Self.event(0, tid: 10 + $0, process: process, at: $0)
                }
                try Self.send(bench, entries)
            }
            _ = try bench.output()
            try Self.send(bench, [Self.event(0, tid: 7, at: 9_000)])
            var counts = [Self.omitted(bench)]
            if restarting {
                let next = try ProcessorBench(.function)
                next.files.openWindow(bench.files.window)
                try next.load(bench.state(of: slot), of: slot)
                bench = next
            }
            try Self.send(bench, [Self.event(0, tid: 7, process: pid, at: 9_001)])
            counts.append(Self.omitted(bench))
            return (counts, bench.state(of: slot))
        }
        let whole = try run(restarting: false)
        let restarted = try run(restarting: true)
        #expect(whole.counts[0] > 0 && whole.counts[1] > 2 * whole.counts[0])
        #expect(whole.counts == restarted.counts)
        #expect(whole.state == restarted.state)
    }

    /// A call that was too deep for a slice and is then not repeated has its beginning in no trace.
    @Test func anInstantThatIsNotRepeatedSaysNoBeginning() throws {
        let bench = try ProcessorBench(.function)
        let depth = Limits.openSlicesPerThreadMax
        // The last is too deep.
        let deep = (0...depth).map { Self.event(0, tid: 7, cookie: $0, at: $0) }
        try Self.send(bench, deep)
        let others = (0..<Self.threads).map { Self.event(0, tid: 10 + $0, at: 1_000 + $0) }
        try Self.send(bench, second: 100, others)
        _ = try bench.output()
        let exits = [depth, depth - 1].map { Self.event(1, tid: 7, cookie: $0, at: 20_000 - $0) }
        try Self.send(bench, second: 200, exits)
        let output = try bench.output()
        let began = output.records(.function).map {
            ($0["args"] as? [String: Any])?["began"] as? Int
        }
        let start = Int(ProcessorBench.start / 1_000)
        #expect(began == [nil, start + (depth - 1) * 1_000])
    }
}
