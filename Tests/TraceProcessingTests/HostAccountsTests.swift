import SystemIO
import Testing
import TraceMetrics
import TraceModel

@testable import TraceProcessing

/// What a worker reports of hosts.
@Suite struct HostAccountsTests {
    private static let second: Int64 = 1_000_000_000
    private static let host = ProcessorBench.hostName

    private static func send(_ bench: ProcessorBench, at seconds: Int64, pid: UInt32 = 7) throws {
        try bench.send(arrival: ProcessorBench.start + seconds * second) {
            $0.io(at: Double(seconds), milliseconds: 200, pid: pid)
        }
    }

    private static func lastBatch(_ bench: ProcessorBench) -> Double? {
        bench.samples().value(.hostLastBatchTimestampSeconds, host)
            .map { $0 - Double(ProcessorBench.start) / 1e9 }
    }

    private static func slowOperations(_ bench: ProcessorBench) -> Double? {
        bench.samples().value(.anomaliesTotal, host, "io", "slow_io")
    }

    @Test func theLastBatchIsTheNewestArrival() throws {
        let bench = try ProcessorBench(.io)
        #expect(Self.lastBatch(bench) == nil)
        try Self.send(bench, at: 10)
        #expect(Self.lastBatch(bench) == 10)
        try bench.processor.tick(arrival: ProcessorBench.start + 20 * Self.second)
        #expect(Self.lastBatch(bench) == 10)
        try Self.send(bench, at: 25)
        #expect(Self.lastBatch(bench) == 25)
    }

    @Test func findingsAreCountedForTheirHostAndStayInTheState() throws {
        let bench = try ProcessorBench(.io)
        try Self.send(bench, at: 0)
        try Self.send(bench, at: 100)
        #expect(Self.slowOperations(bench) == 2)
        let slot = bench.slot(of: 7)
        let other = try ProcessorBench(.io)
        try other.load(bench.state(of: slot), of: slot)
        #expect(other.state(of: slot) == bench.state(of: slot))
        #expect(Self.slowOperations(other) == 2)
        #expect(Self.lastBatch(other) == 100)
        try Self.send(other, at: 200)
        #expect(Self.slowOperations(other) == 3)
    }

    /// In version 9 the slot's totals had counts by rule, and nothing stood behind the processes.
    @Test func stateWithoutHostsIsRead() throws {
        let bench = try ProcessorBench(.io)
        let slot = bench.slot(of: 7)
        let state = bench.state(of: slot)
        let totals = 10 * 8
        let counts = [UInt8](repeating: 9, count: 25 * 8)
        let old = state[..<totals] + counts + state[totals...].dropLast(4)
        try bench.load(old, of: slot, version: StateVersion.beforeHosts)
        #expect(bench.state(of: slot) == state)
    }

    /// A host's account ends at the check after its last process in the slot has ended.
    @Test func hostsEndWithTheirProcesses() throws {
        let bench = try ProcessorBench(.io)
        let slot = bench.slot(of: 7)
        let twin = try #require((8...UInt32.max).first { bench.slot(of: $0) == slot })
        try Self.send(bench, at: 0)
        try Self.send(bench, at: 1_800, pid: twin)
        #expect(Self.slowOperations(bench) == 2)
        let hour = Limits.processQuietSeconds
        try bench.processor.tick(arrival: ProcessorBench.start + (hour + 600) * Self.second)
        #expect(Self.slowOperations(bench) == 2)
        #expect(Self.lastBatch(bench) == 1_800)
        let end = ProcessorBench.start + (hour + 2_400) * Self.second
        try bench.processor.tick(arrival: end)
        #expect(Self.slowOperations(bench) == 2)
        let other = try ProcessorBench(.io)
        try other.load(bench.state(of: slot), of: slot)
        #expect(Self.slowOperations(other) == 2, "a host without processes is in the state")
        try bench.processor.tick(arrival: end + Limits.quietCheckSeconds * Self.second)
        #expect(Self.slowOperations(bench) == nil)
        #expect(Self.lastBatch(bench) == nil)
        // It begins anew, as the aggregator keeps what the slot has counted.
        try Self.send(bench, at: 7_200)
        #expect(Self.slowOperations(bench) == 1)
    }
}
