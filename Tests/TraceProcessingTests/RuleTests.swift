import AnomalyRules
import Testing
import TraceFiles
import TraceMetrics
import TraceModel
import TraceProcessing
import TraceWire

/// For each rule events that it must raise on, and events as near to them that it must not.
@Suite struct RuleTests {
    private typealias Found = RuleBench.Finding

    private func rules(
        _ resource: Resource,
        ticks: [Int] = [],
        _ fill: (inout BatchEncoder) -> Void
    ) throws -> [String] { try RuleBench.findings(resource, ticks: ticks, fill).map(\.rule) }

    // MARK: Functions

    @Test func slowCalls() throws {
        let found = try rules(.function) {
            $0.call("f", at: 0, milliseconds: 101)
            $0.call("f", at: 10, milliseconds: 500)
            $0.call("g", at: 11, milliseconds: 101)
            $0.call("f", at: 61, milliseconds: 101)
        }
        #expect(found.count == 4, "one is within f's cool-down, and comes as a record of its own")
        #expect(try rules(.function) { $0.call("f", at: 0, milliseconds: 100) } == [])
    }

    @Test func durationOutliers() throws {
        func calls(_ count: Int, last: Double) throws -> [String] {
            try rules(.function) {
                for index in 0..<count {
                    $0.call("f", at: Double(index), milliseconds: 4 + Double(index % 3))
                }
                $0.call("f", at: Double(count), milliseconds: last)
            }
        }
        #expect(try calls(40, last: 60) == ["duration_outlier"])
        #expect(try calls(40, last: 9) == [])
        #expect(try calls(40, last: 1) == [], "a short call is no trouble")
        #expect(try calls(29, last: 60) == [], "too few samples")
    }

    @Test func stuckCalls() throws {
        let open: (inout BatchEncoder) -> Void = {
            $0.call("f", at: 0, milliseconds: nil)
            $0.call("g", at: 5, milliseconds: nil)
        }
        // At a tick after 26 s f has been open for 31 s, but the thread has gone on: only of g nothing has come.
        #expect(try rules(.function, ticks: [24, 26, 30], open) == [])
        #expect(try rules(.function, ticks: [26, 36, 37, 100], open) == ["stuck_call"])
        #expect(try rules(.function, ticks: [40]) { $0.call("f", at: 0, milliseconds: 1) } == [])
    }

    @Test func aStuckCallIsToldOnceWhereverItsSlotIs() throws {
        let bench = try ProcessorBench(.function)
        try bench.send { $0.call("f", at: 0, milliseconds: nil) }
        let before = ProcessorBench.start + 29_000_000_000
        try bench.processor.tick(arrival: before)
        let other = try ProcessorBench(.function)
        other.files.openWindow(1)
        try other.load(bench.state(of: bench.slot(of: 7)), of: bench.slot(of: 7))
        try other.processor.tick(arrival: before + 2_000_000_000)
        let third = try ProcessorBench(.function)
        try third.load(other.state(of: bench.slot(of: 7)), of: bench.slot(of: 7))
        try third.processor.tick(arrival: before + 4_000_000_000)
        #expect(third.samples().value(.anomaliesTotal, "function", "stuck_call") == 1)
        let output = try other.output()
        #expect(output.findings("stuck_call").count == 1)
        // The new trace shows what is stuck.
        #expect(output.events.contains { $0["cat"] as? String == "continued" })
        #expect(output.events.contains { $0["name"] as? String == "process_name" })
        #expect(try third.output().anomalies.isEmpty)
    }

    // MARK: CPU

    @Test func highUtilization() throws {
        func samples(minutes: Double, _ percent: @escaping (Double) -> Double) throws -> [String] {
            try rules(.cpu) {
                for step in 0...Int(minutes * 6) {
                    $0.cpu(at: Double(step) * 10, percent: percent(Double(step) / 6))
                }
            }
        }
        #expect(try samples(minutes: 30) { _ in 90 } == ["high_utilization"])
        #expect(try samples(minutes: 30) { _ in 85 } == [])
        #expect(try samples(minutes: 9) { _ in 99 } == [], "ten minutes are not over")
        #expect(try samples(minutes: 30) { $0 < 15 ? 20 : $0 < 20 ? 100 : 20 } == [])
        // Down to 80 it stays raised, down to 60 it clears and raises anew.
        let between = try samples(minutes: 60) { $0 > 20 && $0 < 35 ? 80 : 95 }
        #expect(between == ["high_utilization"])
        let cleared = try samples(minutes: 60) { $0 > 20 && $0 < 35 ? 60 : 95 }
        #expect(cleared == ["high_utilization", "high_utilization"])
    }

    @Test func migrations() throws {
        func samples(_ all: Double, numa: Double) throws -> [String] {
            try rules(.cpu) {
                for step in 0..<20 {
                    let seconds = Double(step)
                    $0.cpu(at: seconds, migrations: all * seconds, numa: numa * seconds)
                }
            }
        }
        #expect(try samples(1_100, numa: 0) == ["migration_storm"])
        #expect(try samples(1_000, numa: 10) == [])
        #expect(try samples(0, numa: 11) == ["numa_migration"])
    }

    @Test func hotspots() throws {
        func samples(cpus: UInt32, percent: Double) throws -> [String] {
            try rules(.cpu) {
                for step in 0..<40 {
                    $0.cpu(at: Double(step), hotspot: percent, cpu: UInt32(step) % cpus)
                }
            }
        }
        #expect(try samples(cpus: 4, percent: 95) == ["cpu_hotspot"])
        #expect(try samples(cpus: 3, percent: 95) == [])
        #expect(try samples(cpus: 4, percent: 90) == [])
        #expect(try samples(cpus: 4, percent: .infinity) == [])
    }

    // MARK: Memory

    @Test func leaks() throws {
        func allocations(minutes: Int, isReleased: @escaping (Int) -> Bool) throws -> [String] {
            try rules(.memory) {
                for index in 0..<100 {
                    $0.memory(at: 0, "alloc", address: UInt64(index + 1), size: 1 << 20)
                }
                for step in 0..<(minutes * 12) {
                    let address = UInt64(1_000 + step)
                    let seconds = Double(step) * 5 + 1
                    $0.memory(at: seconds, "alloc", address: address, size: 1 << 20)
                    guard isReleased(step) else { continue }
                    $0.memory(at: seconds + 2, "free", address: address)
                }
            }
        }
        #expect(try allocations(minutes: 12) { _ in false } == ["leak"])
        #expect(try allocations(minutes: 12) { $0 % 2 == 0 } == ["leak"])
        #expect(try allocations(minutes: 9) { _ in false } == [], "ten minutes are not over")
        #expect(try allocations(minutes: 40) { _ in true } == [])
        #expect(try allocations(minutes: 40) { $0 > 3 } == [], "a start is no leak")
    }

    /// A leak's message says which stacks hold most.
    @Test(arguments: [true, false]) func aLeakNamesItsStacks(_ hasStacks: Bool) throws {
        let bench = try ProcessorBench(.memory)
        try bench.send { batch in
            for step in 0..<144 {
                batch.memory(
                    at: Double(step) * 5,
                    "alloc",
                    address: UInt64(step + 1),
                    size: [1 << 20, 1_536, 8, 1 << 19, 8, 8][step % 6],
                    stack: hasStacks ? [17, 99, 0, 4, 99, 99][step % 6] : 0
                )
            }
        }
        let leak = try #require(
            try bench.output().anomalies.first { $0["rule"] as? String == "leak" }
        )
        let message = try #require(leak["message"] as? String)
        if hasStacks {
            let named = try #require(message.split(separator: ". ").last)
            #expect(named.hasPrefix("Most is held by stack 17 ("))
            #expect(named.contains(" MiB), 4 (") && named.contains(" MiB), 99 ("))
            #expect(named.hasSuffix(" KiB)"))
        } else {
            #expect(message.hasSuffix(" % of the windows"))
        }
    }

    @Test func aLeakShowsInWhatTheAgentTells() throws {
        func samples(_ bytes: @escaping (Int) -> Double) throws -> [String] {
            try rules(.memory) {
                for step in 0..<90 { $0.memory(at: Double(step) * 10, "", current: bytes(step)) }
            }
        }
        #expect(try samples { 1e9 + Double($0) * 1e6 } == ["leak"])
        #expect(try samples { 1e9 + Double($0) * 1e4 } == [], "0.36 % an hour")
        #expect(try samples { 1e9 + Double(($0 / 3) % 2) * 1e8 } == [])
    }

    @Test func largeAllocations() throws {
        let large: UInt64 = 64 << 20
        #expect(
            try rules(.memory) {
                $0.memory(at: 0, "alloc", address: 1, size: large)
                $0.memory(at: 1, "alloc", address: 2, size: large)
            } == ["large_allocation"]
        )
        #expect(try rules(.memory) { $0.memory(at: 0, "alloc", address: 1, size: large - 1) } == [])
        #expect(try rules(.memory) { $0.memory(at: 0, "free", address: 0, size: large) } == [])
    }

    @Test func releasesWithoutAllocation() throws {
        func releases(_ addresses: [UInt64]) throws -> [String] {
            try rules(.memory) {
                $0.memory(at: 0, "alloc", address: 1, size: 8)
                for (step, address) in addresses.enumerated() {
                    $0.memory(at: Double(step + 1), "free", address: address)
                }
            }
        }
        #expect(try releases([1]) == [])
        #expect(try releases([1, 1]) == ["double_free"])
        #expect(try releases([2]) == ["unmatched_free"])
        #expect(try releases([0, 0]) == [], "what is nothing may be released")
        let again = try rules(.memory) {
            for step in 0..<4 {
                $0.memory(at: Double(step), step % 2 == 0 ? "alloc" : "free", address: 1, size: 8)
            }
        }
        #expect(again == [])
    }

    @Test func churn() throws {
        func samples(_ perSecond: Double) throws -> [String] {
            try rules(.memory) {
                for step in 0..<20 {
                    $0.memory(at: Double(step), "", operations: perSecond * Double(step + 1))
                }
            }
        }
        #expect(try samples(110_000) == ["churn"])
        #expect(try samples(100_000) == [])
    }

    @Test func fragmentation() throws {
        func samples(_ scores: [UInt32]) throws -> [String] {
            try rules(.memory) {
                for (step, score) in scores.enumerated() {
                    $0.memory(at: Double(step) * 100, "", score: score)
                }
            }
        }
        #expect(try samples([70, 65, 80]) == ["fragmentation"])
        #expect(try samples([70, 59, 70]) == ["fragmentation", "fragmentation"])
        #expect(try samples([69, 69]) == [])
    }

    // MARK: Network

    @Test func rateSpikes() throws {
        func samples(_ usual: Double, last: Double, count: Int = 60) throws -> [String] {
            try rules(.network) {
                var bytes = 1.0
                $0.network(at: 0, bytes: bytes)
                for step in 1...count {
                    bytes += usual * (step % 2 == 0 ? 0.9 : 1.1)
                    $0.network(at: Double(step), bytes: bytes)
                }
                $0.network(at: Double(count + 1), bytes: bytes + last)
            }
        }
        #expect(try samples(1e6, last: 2e7) == ["rate_spike"])
        #expect(try samples(1e6, last: 1.1e6) == [])
        #expect(try samples(1e6, last: 2.9e6) == [], "less than three times as much")
        #expect(try samples(1e3, last: 1e6) == [], "less than 1 MiB/s")
        #expect(try samples(1e6, last: 2e7, count: 25) == [], "too few samples")
    }

    @Test func retransmits() throws {
        func samples(_ percent: [Double]) throws -> [String] {
            try rules(.network) {
                var retransmits = 0.0
                for (step, percent) in percent.enumerated() {
                    retransmits += percent * 10
                    $0.network(
                        at: Double(step) * 100,
                        packets: Double(step + 1) * 1_000,
                        retransmits: retransmits
                    )
                }
            }
        }
        #expect(try samples([0.5, 1, 1]) == [])
        #expect(try samples([2, 2, 2]) == ["retransmits"])
        #expect(try samples([2, 2, 6, 6]) == ["retransmits", "retransmits"], "severe now")
        let few = try rules(.network) { $0.network(at: 0, packets: 99, retransmits: 50) }
        #expect(few == [])
    }

    @Test func errors() throws {
        func samples(_ errors: [UInt32]) throws -> [String] {
            try rules(.network) {
                for (step, errors) in errors.enumerated() {
                    $0.network(at: Double(step) * 100, errors: errors)
                }
            }
        }
        #expect(try samples([0, 0, 0]) == [])
        #expect(try samples([0, 1, 1, 0, 1]) == ["errors"])
        #expect(try samples([1, 2]) == ["errors", "errors"])
    }

    @Test func connectionChurn() throws {
        func connections(_ count: Int, each step: Double) throws -> [String] {
            try rules(.network) {
                for index in 0..<count {
                    $0.network(at: Double(index) * step, from: UInt32(40_000 + index))
                }
            }
        }
        #expect(try connections(51, each: 0.01) == ["connection_churn"])
        #expect(try connections(50, each: 0.01) == [])
        #expect(try connections(500, each: 0.1) == [])
    }

    @Test func scans() throws {
        func contacts(
            _ count: Int,
            each step: Double,
            from: UInt32 = 45_000,
            _ target: @escaping (Int) -> (host: String, port: UInt32)
        ) throws -> [String] {
            try rules(.network) {
                for index in 0..<count {
                    $0.network(at: Double(index) * step, from: from, to: target(index))
                }
            }
        }
        #expect(try contacts(25, each: 10) { ("192.0.2.\($0)", 22) } == ["host_scan"])
        #expect(try contacts(24, each: 10) { ("192.0.2.\($0)", 22) } == [])
        #expect(try contacts(60, each: 13) { ("192.0.2.\($0)", 22) } == [], "too slow")
        #expect(try contacts(20, each: 2) { ("192.0.2.1", 1 + UInt32($0)) } == ["port_scan"])
        #expect(try contacts(19, each: 2) { ("192.0.2.1", 1 + UInt32($0)) } == [])
        #expect(try contacts(60, each: 4) { ("192.0.2.1", 1 + UInt32($0)) } == [], "too slow")
        // A server answers its clients.
        let answers = try contacts(200, each: 1, from: 8_080) {
            ("192.0.2.\($0 % 50)", UInt32(40_000 + $0))
        }
        #expect(answers == [])
    }

    // MARK: I/O

    @Test func latencies() throws {
        func operations(_ count: Int, last: Double, _ operation: String = "READ") throws -> [String]
        {
            try rules(.io) {
                for index in 0..<count {
                    $0.io(at: Double(index), milliseconds: 1 + Double(index % 4) / 10)
                }
                $0.io(at: Double(count), milliseconds: last, operation: operation)
            }
        }
        #expect(try operations(40, last: 20) == ["latency_outlier"])
        #expect(try operations(40, last: 2) == [])
        #expect(try operations(29, last: 20) == [], "too few samples")
        #expect(try operations(40, last: 20, "SYNC") == [], "another operation")
        #expect(try operations(0, last: 101) == ["slow_io"])
        #expect(try operations(0, last: 100) == [])
        #expect(try operations(0, last: .infinity) == [])
        #expect(try operations(0, last: .nan) == [])
    }

    @Test func throughputSpikes() throws {
        func samples(_ last: Double) throws -> [String] {
            try rules(.io) {
                for step in 0..<60 { $0.io(at: Double(step), bytes: Double(step + 1) * 1e6) }
                $0.io(at: 60, bytes: 60e6 + last)
            }
        }
        #expect(try samples(5e7) == ["throughput_spike"])
        #expect(try samples(1.04e6) == [])
    }

    // MARK: GPU

    @Test func gpuMemoryGrowth() throws {
        func samples(_ bytes: @escaping (Int) -> Double) throws -> [String] {
            try rules(.gpu) {
                for step in 0..<90 {
                    let size = UInt64(bytes(step))
                    $0.gpu(at: Double(step) * 10, .memory(pid: 7, bytes: size))
                }
            }
        }
        #expect(try samples { 1e9 + Double($0) * 1e7 } == ["memory_growth"])
        #expect(try samples { 1e9 + Double($0 % 7) * 1e7 } == [])
    }

    @Test func transferDrops() throws {
        func samples(_ count: Int, last: UInt64) throws -> [String] {
            try rules(.gpu) {
                for step in 0..<count {
                    let rate = UInt64(1_000_000 + step % 5 * 10_000)
                    $0.gpu(at: Double(step), .transfer(pid: 7, bytesPerSecond: rate, kind: "D2H"))
                    $0.gpu(at: Double(step), .transfer(pid: 7, bytesPerSecond: 9, kind: "H2D"))
                }
                let end = Double(count)
                $0.gpu(at: end, .transfer(pid: 7, bytesPerSecond: last, kind: "D2H"))
            }
        }
        #expect(try samples(40, last: 200_000) == ["transfer_drop"])
        #expect(try samples(40, last: 300_000) == [])
        #expect(try samples(29, last: 1) == [], "too few samples")
    }

    // MARK: Overrides

    @Test func otherRulesHoldForAProcessOfAnotherName() throws {
        let text = """
            {"overrides": [{"match": {"comm": "work-7"},
              "rules": {"io": {"slow_io": {"latency_ms": 5, "cooldown_s": 0}}}}]}
            """
        let bench = try ProcessorBench(.io)
        bench.processor.rules = try RuleSet(Array(text.utf8), file: "rules.json")
        try bench.send {
            for pid in [UInt32(7), 8] {
                $0.io(at: 0, milliseconds: 6, pid: pid)
                $0.io(at: 1, milliseconds: 6, pid: pid)
            }
        }
        // The first event already names the process.
        let found = try RuleBench.findings(of: bench)
        #expect(found == [Found("slow_io", 7), Found("slow_io", 7)])
        bench.processor.rules = RuleSet()
        try bench.send { $0.io(at: 2, milliseconds: 6) }
        #expect(try RuleBench.findings(of: bench).isEmpty)
    }
}
