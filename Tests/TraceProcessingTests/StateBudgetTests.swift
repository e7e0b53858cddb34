import Foundation
import Testing
import TraceFiles
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// A state that would grow without end: it stays within its budget, what was used least recently gives way, and nothing
/// that was counted is lost.
@Suite(.serialized) struct StateBudgetTests {
    /// Kinds of keys of which an agent can send ever new ones.
    enum Key: String, CaseIterable {
        case functions, longFunctions, sampledFunctions, openCalls, threads, sampledThreads
        case connections, allocations, kernels, devices
        case functionProcesses, cpuProcesses, memoryProcesses, networkProcesses, ioProcesses
        case gpuProcesses

        var resource: Resource {
            switch self {
            case .functions, .longFunctions, .sampledFunctions, .openCalls, .threads,
                .sampledThreads,
                .functionProcesses:
                .function
            case .cpuProcesses: .cpu
            case .allocations, .memoryProcesses: .memory
            case .connections, .networkProcesses: .network
            case .devices, .ioProcesses: .io
            case .kernels, .gpuProcesses: .gpu
            }
        }

        var semantics: Semantics {
            switch self {
            case .sampledFunctions, .sampledThreads: .neutracer
            default: .cumulative
            }
        }

        var isProcess: Bool { rawValue.hasSuffix("Processes") }

        /// Appends the event of a key, by process 7 where processes are not what is new.
        func append(_ number: Int, at second: Int, to batch: inout BatchEncoder) {
            let timestamp = ProcessorBench.timestamp(second * 1_000)
            let pid = isProcess ? UInt32(1_000 + number) : 7
            switch resource {
            case .function:
                var event = BatchEncoder.Function()
                event.timestamp = timestamp
                (event.tgid, event.pid) = (pid, pid)
                if self == .threads || self == .sampledThreads { event.pid = UInt32(100 + number) }
                event.cookie = 1
                event.callCount = 1
                event.functionName = name(number)
                batch.append(event)
                guard self == .functions || self == .longFunctions else { return }
                event.eventType = 1
                batch.append(event)
            case .cpu:
                var event = BatchEncoder.CPU()
                event.timestamp = timestamp
                event.pid = pid
                event.comm = "c\(pid)"
                event.cpuID = UInt32(number % 8)
                batch.append(event)
            case .memory:
                var event = BatchEncoder.Memory()
                event.timestamp = timestamp
                (event.tgid, event.pid) = (pid, pid)
                event.comm = "m"
                event.operation = "alloc"
                event.address = UInt64(number + 1)
                event.size = 16
                batch.append(event)
            case .network:
                var event = BatchEncoder.Network()
                event.timestamp = timestamp
                (event.tgid, event.pid) = (pid, pid)
                event.comm = "n"
                event.isSend = true
                event.bytes = 3
                event.sourceAddress = "10.0.0.1"
                event.sourcePort = UInt32(number % 50_000 + 1)
                event.destinationAddress = "10.0.\(number / 50_000).9"
                event.destinationPort = 443
                event.transport = "TCP"
                batch.append(event)
            case .io:
                var event = BatchEncoder.IO()
                event.timestamp = timestamp
                event.pid = pid
                event.comm = self == .devices ? "io-\(number / 100)" : "io"
                event.operation = "read"
                event.device = self == .devices ? "dev-\(number)" : "sda"
                event.bytes = 5
                event.latencyMilliseconds = Double(number % 900)
                batch.append(event)
            case .gpu:
                var event = BatchEncoder.GPU()
                event.timestamp = timestamp
                event.payload = .launch(pid: pid, kernelName: name(number), calls: 1)
                batch.append(event)
            }
        }

        private func name(_ number: Int) -> String {
            switch self {
            case .longFunctions: "f\(number)" + String(repeating: "x", count: 2_000)
            case .functions, .sampledFunctions, .openCalls, .kernels: "f\(number)"
            default: "main"
            }
        }

        /// How many keys are sent: far more than the budget of the tests holds.
        var count: Int { self == .longFunctions || self == .devices ? 1_500 : 6_000 }
    }

    private static let budget = StateBudget(bytesMax: 1 << 20, slotBytesMax: 256 << 10)

    private func send(_ key: Key, _ range: Range<Int>, second: Int, to bench: ProcessorBench) throws
    {
        let arrival = ProcessorBench.start + EpochNanoseconds(second) * 1_000_000_000
        try bench.send(arrival: arrival, semantics: key.semantics) {
            for number in range { key.append(number, at: second, to: &$0) }
        }
    }

    private func flood(_ key: Key, _ bench: ProcessorBench, from first: Int = 0) throws {
        for second in first / 100..<key.count / 100 {
            try send(key, second * 100..<(second + 1) * 100, second: second, to: bench)
        }
    }

    private static func encodedBytes(_ bench: ProcessorBench) -> Int {
        (0...UInt8.max).reduce(0) { $0 + bench.state(of: $1).count }
    }

    private static let evictions = [
        "process_evicted", "function_evicted", "thread_evicted", "open_call_evicted",
        "allocation_evicted",
        "connection_evicted", "state_overflow",
    ]

    private func evicted(_ samples: Samples) -> Double {
        Self.evictions.reduce(0) { $0 + (samples.value(.errorsTotal, $1) ?? 0) }
    }

    @Test(arguments: Key.allCases) func theStateStaysWithinItsBudget(_ key: Key) throws {
        let bench = try ProcessorBench(key.resource, budget: Self.budget)
        var most = 0
        for second in 0..<key.count / 100 {
            try send(key, second * 100..<(second + 1) * 100, second: second, to: bench)
            most = max(most, bench.processor.stateBytes)
        }
        #expect(most <= Self.budget.bytesMax + 64 << 10)
        // Devices are bounded by themselves, as a process has few.
        if key != .devices {
            #expect(evicted(bench.samples()) > 0)
            #expect(most > Self.budget.slotBytesMax / 2, "the budget is what bounds it")
        }
        // What a checkpoint holds is less than what the budget was charged with.
        #expect(
            Self.encodedBytes(bench) <= most + Self.encodedBytes(try ProcessorBench(key.resource))
        )
        #expect(try bench.output().events.count >= key.count)
    }

    /// A worker that was restarted in the middle gives up the same.
    @Test(arguments: Key.allCases) func aRestartGivesUpTheSame(_ key: Key) throws {
        let bench = try ProcessorBench(key.resource, budget: Self.budget)
        let other = try ProcessorBench(key.resource, budget: Self.budget)
        let middle = key.count / 200 * 100
        for second in 0..<middle / 100 {
            try send(key, second * 100..<(second + 1) * 100, second: second, to: bench)
        }
        // Both are in the same window.
        _ = try bench.output()
        _ = try other.output()
        for slot in 0...UInt8.max { try other.load(bench.state(of: slot), of: slot) }
        #expect(other.processor.stateBytes == bench.processor.stateBytes)
        try flood(key, bench, from: middle)
        try flood(key, other, from: middle)
        for slot in 0...UInt8.max {
            if bench.state(of: slot) != other.state(of: slot) { Issue.record("slot \(slot)") }
        }
        #expect(bench.processor.stateBytes == other.processor.stateBytes)
    }

    /// What is used all the time stays, however many others come and go.
    @Test func whatIsUsedStays() throws {
        let bench = try ProcessorBench(.function, budget: Self.budget)
        for second in 0..<60 {
            try send(.functions, second * 100..<(second + 1) * 100, second: second, to: bench)
            try send(.functions, 0..<3, second: second, to: bench)
        }
        let samples = bench.samples()
        // The first hundred has them once more.
        #expect(samples.value(.functionCallsTotal, "f1") == 61)
        #expect(samples.value(.functionCallsTotal, "f2") == 61)
        #expect((samples.value(.errorsTotal, "function_evicted") ?? 0) > 3_000)
    }

    /// What is given up is counted as `other`: sums over functions and kernels stay exact.
    @Test(arguments: [Key.functions, .longFunctions, .kernels]) func sumsStayExact(
        _ key: Key
    ) throws {
        let bench = try ProcessorBench(key.resource, budget: Self.budget)
        try flood(key, bench)
        let samples = bench.samples()
        let family: MetricFamily = key == .kernels ? .gpuKernelLaunchesTotal : .functionCallsTotal
        var (sum, other) = (0.0, 0.0)
        for (series, value) in samples.series where series.family == family {
            guard case .counter(let value) = value else { continue }
            sum += value
            if series.labels.last == "other" { other = value }
        }
        #expect(sum == Double(key.count))
        #expect(other > Double(key.count) / 2)
        _ = try bench.output()
        let summary = try #require(try bench.summary())
        let tables = try #require(summary["tables"] as? [String: [String: Any]])
        let table = try #require(tables[key == .kernels ? "kernels" : "functions"])
        let totals = try #require(table["totals"] as? [String: Any])
        let column = key == .kernels ? "launches" : "calls"
        #expect(totals[column] as? Int == key.count)
    }

    @Test func bytesOfConnectionsGivenUpStillCount() throws {
        let bench = try ProcessorBench(.network, budget: Self.budget)
        try flood(.connections, bench)
        _ = try bench.output()
        let summary = try #require(try bench.summary())
        let tables = try #require(summary["tables"] as? [String: [String: Any]])
        let totals = try #require(tables["connections"]?["totals"] as? [String: Any])
        #expect(totals["sent_bytes"] as? Int == 3 * Key.connections.count)
        let top = try #require(tables["connections"]?["top"] as? [String: [[String: Any]]])
        #expect(top["top_talkers"]?.first?["connection"] as? String == "other")
    }

    /// A function that comes back after it was given up, of an agent that counts: its count so far says nothing new.
    @Test func aFunctionThatComesBackIsNotCountedTwice() throws {
        let bench = try ProcessorBench(.function, budget: Self.budget)
        func send(_ name: String, count: UInt64, second: Int) throws {
            let arrival = ProcessorBench.start + EpochNanoseconds(second) * 1_000_000_000
            try bench.send(arrival: arrival, semantics: .neutracer) {
                var event = BatchEncoder.Function()
                event.timestamp = ProcessorBench.timestamp(second * 1_000)
                (event.tgid, event.pid) = (7, 7)
                event.functionName = name
                event.callCount = count
                $0.append(event)
            }
        }
        try send("back", count: 1_000, second: 0)
        try flood(.sampledFunctions, bench)
        try send("back", count: 1_010, second: 90)
        #expect(bench.samples().value(.functionCallsTotal, "back") == 1)
        try send("back", count: 1_030, second: 91)
        #expect(bench.samples().value(.functionCallsTotal, "back") == 21)
    }

    /// A process that floods its slot costs the others of the slot nothing.
    @Test func aFloodCostsItsProcessOnly() throws {
        let bench = try ProcessorBench(.function, budget: Self.budget)
        let slot = bench.slot(of: 7)
        let neighbours = (UInt32(8)...).lazy.filter { bench.slot(of: $0) == slot }.prefix(5)
        try bench.send {
            for pid in neighbours {
                for number in 0..<5 { $0.call("quiet\(number)", at: 0, milliseconds: 1, pid: pid) }
            }
        }
        try flood(.functions, bench)
        let samples = bench.samples()
        for number in 0..<5 {
            let known = samples.series.keys.filter {
                $0.family == .functionCallsTotal && $0.labels.last == "quiet\(number)"
            }
            #expect(known.count == 5)
        }
        #expect(samples.value(.errorsTotal, "process_evicted") == nil)
    }

    /// Calls that are open keep their functions: exits find them.
    @Test func openCallsKeepTheirFunctions() throws {
        let bench = try ProcessorBench(.function, budget: Self.budget)
        try bench.send { $0.call("outer", at: 0, milliseconds: nil, pid: 7) }
        for second in 0..<50 {
            try send(.functions, second * 100..<(second + 1) * 100, second: second, to: bench)
        }
        #expect((bench.samples().value(.errorsTotal, "function_evicted") ?? 0) > 0)
        try bench.send(arrival: ProcessorBench.start + 60_000_000_000) {
            $0.exit("outer", entered: 0, at: 60, pid: 7)
        }
        #expect(bench.samples().value(.functionDurationSeconds, "outer") == 1)
    }

    /// Slots have budgets of their own: the number of workers doesn't show, whatever is given up.
    @Test(arguments: Resource.allCases) func theNumberOfWorkersDoesNotShow(
        _ resource: Resource
    ) throws {
        var generator = EventGenerator(resource, seed: 77, processes: 6_000)
        let batches = generator.batches(80)
        let budget = StateBudget(bytesMax: 1 << 30, slotBytesMax: 20 << 10)
        func outcome(_ count: Int) throws -> ContractOutcome {
            let directory = try ContractDirectory()
            let workers = try (0..<count).map {
                try ContractWorker(resource, index: $0, root: directory.path, state: budget)
            }
            for batch in batches {
                for (index, worker) in workers.enumerated() {
                    try worker.apply(batch.share { Int($0) % count == index })
                }
            }
            return try ContractOutcome(of: workers, in: directory) { Int($0) % count }
        }
        let one = try outcome(1)
        #expect(one.samples.contains { $0.contains("_evicted") })
        let other = try outcome(3)
        let names = Set(one.files.keys).union(other.files.keys)
        #expect(names.filter { one.files[$0] != other.files[$0] } == [])
    }

    /// The last guard: all slots together.
    @Test func slotsTogetherStayWithinTheirBudget() throws {
        let budget = StateBudget(bytesMax: 1 << 20, slotBytesMax: 1 << 20)
        let bench = try ProcessorBench(.cpu, budget: budget)
        try flood(.cpuProcesses, bench)
        #expect(bench.processor.stateBytes <= budget.bytesMax)
        let samples = bench.samples()
        #expect((samples.value(.errorsTotal, "state_overflow") ?? 0) > 1_000)
        #expect(samples.value(.errorsTotal, "process_evicted") == nil)
        #expect(samples.value(.eventsTotal, "cpu") == Double(Key.cpuProcesses.count))
    }

    /// What a busy host really has fits without anything being given up.
    @Test func aBusyHostFits() throws {
        let bench = try ProcessorBench(.network)
        for second in 0..<100 {
            try send(.connections, second * 1_000..<(second + 1) * 1_000, second: second, to: bench)
        }
        #expect(evicted(bench.samples()) == 0)
        for key in Key.allCases where key.isProcess {
            let bench = try ProcessorBench(key.resource)
            for second in 0..<10 {
                try send(key, second * 1_000..<(second + 1) * 1_000, second: second, to: bench)
            }
            let samples = bench.samples()
            #expect(evicted(samples) == 0, "\(key)")
            #expect(bench.processor.stateBytes < Limits.stateBytesMax / 2, "\(key)")
        }
    }
}
