import Testing
import TraceMetrics
import TraceModel
import TraceWire

@Suite struct MemoryModelTests {
    private static func event(
        _ milliseconds: Int,
        _ operation: String = "alloc",
        address: UInt64 = 0,
        size: UInt64 = 0,
        allocations: UInt64 = 0,
        frees: UInt64 = 0
    ) -> BatchEncoder.Memory {
        var event = BatchEncoder.Memory()
        event.timestamp = ProcessorBench.timestamp(milliseconds)
        event.pid = 78
        event.tgid = 77
        event.comm = "pool-1"
        event.operation = operation
        event.address = address
        event.size = size
        event.totalAllocs = allocations
        event.totalFrees = frees
        return event
    }

    private static func full() -> BatchEncoder.Memory {
        var event = Self.event(1, address: 0x7F00_ABCD, size: 4_096, allocations: 10, frees: 4)
        event.stackID = 9
        event.currentMemory = 65_536
        event.peakMemory = 131_072
        event.pattern = -2
        event.largeAllocs = 3
        event.fragmentationScore = 71
        event.leakSuspected = true
        event.churnScore = 12
        event.anomalies = [
            .init(description: "looks, \"leaky\"", severity: 0.75),
            .init(description: "", severity: .nan),
        ]
        return event
    }

    @Test func everyFieldIsWritten() throws {
        let bench = try ProcessorBench(.memory)
        try bench.send { $0.append(Self.full()) }
        let output = try bench.output()
        let record = try #require(output.records(.memory).first)
        #expect(output.records(.memory).count == 1)
        #expect(record["name"] as? String == "alloc")
        #expect(record["pid"] as? Int == 77 && record["tid"] as? Int == 78)
        let arguments = try #require(record["args"] as? [String: Any])
        let numbers: [String: Double] = [
            "size": 4_096, "stack_id": 9, "current_usage": 65_536, "peak_usage": 131_072,
            "alloc_size": 10,
            "free_size": 4, "mem_pattern": -2, "large_allocs": 3, "fragmentation_score": 71,
            "churn_score": 12,
        ]
        for (name, value) in numbers { #expect(arguments[name] as? Double == value, "\(name)") }
        #expect(arguments["comm"] as? String == "pool-1")
        #expect(arguments["operation"] as? String == "alloc")
        #expect(arguments["address"] as? String == "0x7f00abcd")
        #expect(arguments["leak_suspected"] as? Bool == true)
        let findings = try #require(arguments["anomalies"] as? [[String: Any]])
        #expect(findings.map { $0["description"] as? String } == ["looks, \"leaky\"", ""])
        #expect(findings.map { $0["severity"] as? Double } == [0.75, nil])
        #expect(arguments.count == numbers.count + 5)
        let counter = try #require(output.counters().first?["args"] as? [String: Any])
        #expect(counter["current"] as? Int == 65_536 && counter["peak"] as? Int == 131_072)
        #expect(
            output.columns.prefix(5) == [
                "Timestamp", "PID", "Alloc_size", "Free_Size", "Current Usage",
            ]
        )
        #expect(
            output.rows == [
                [
                    "Timestamp": "1760000000001", "PID": "77", "Alloc_size": "10", "Free_Size": "4",
                    "Current Usage": "65536", "TID": "78", "Operation": "alloc", "Size": "4096",
                    "Address": "0x7f00abcd", "Stack ID": "9", "Peak Usage": "131072",
                    "Pattern": "-2",
                    "Large Allocations": "3", "Fragmentation Score": "71", "Leak Suspected": "1",
                    "Churn Score": "12",
                    "Anomalies": "2", "Process": "pool-1", "host": "bench",
                    "Timestamp(ns)": "1760000000001000000",
                ]
            ]
        )
    }

    @Test func theAgentsFindingsAreRecorded() throws {
        let bench = try ProcessorBench(.memory)
        try bench.send { $0.append(Self.full()) }
        #expect(bench.samples().value(.anomaliesTotal, "memory", "agent") == 2)
        let output = try bench.output()
        let instants = output.events.filter {
            $0["cat"] as? String == "anomaly" && $0["name"] as? String == "agent"
        }
        #expect(instants.count == 2)
        #expect(instants.allSatisfy { $0["ph"] as? String == "i" && $0["tid"] as? Int == 78 })
        let findings = output.findings("agent")
        try #require(findings.count == 2)
        let first = findings[0]
        #expect(first["rule"] as? String == "agent" && first["process"] as? String == "pool-1")
        #expect(first["message"] as? String == "looks, \"leaky\"")
        #expect(first["severity"] as? Double == 0.75 && first["pid"] as? Int == 77)
        #expect(findings[1]["severity"] as? Double == 0)
    }

    @Test func metricsFollowTheEvents() throws {
        let bench = try ProcessorBench(.memory)
        try bench.send {
            $0.append(Self.event(0, address: 1, size: 128, allocations: 10, frees: 1))
            $0.append(Self.event(500, address: 2, size: 129, allocations: 11, frees: 1))
            $0.append(Self.event(2_000, "free", address: 1, allocations: 30, frees: 5))
        }
        var samples = bench.samples()
        #expect(samples.value(.memoryAllocationsTotal, "bench", "77", "pool-1") == 30)
        #expect(samples.value(.memoryFreesTotal, "pool-1") == 5)
        #expect(samples.buckets(.memoryAllocationSizeBytes) == [1, 1, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(samples.value(.neutracerMemoryAllocationsPerSecond, "77") == 10)
        #expect(samples.value(.neutracerMemoryFreesPerSecond, "77") == 2)
        // Another process under the same id: counters go on, the last value is that of the new one.
        try bench.send { $0.append(Self.event(3_000, size: .max, allocations: 3, frees: 1)) }
        samples = bench.samples()
        #expect(samples.value(.memoryAllocationsTotal, "pool-1") == 33)
        #expect(samples.value(.neutracerMemoryTotalAllocations, "77") == 3)
        #expect(samples.value(.neutracerMemoryAllocationsPerSecond, "77") == 0)
        #expect(samples.value(.memoryAllocationSizeBytes, "pool-1") == 3)
    }

    @Test func threadsOfOneProcessMayHaveNamesOfTheirOwn() throws {
        let bench = try ProcessorBench(.memory)
        var other = Self.event(20, allocations: 120)
        other.pid = 79
        other.comm = "pool-2"
        var main = Self.event(30, allocations: 150)
        main.pid = 77
        main.comm = "java"
        try bench.send {
            $0.append(Self.event(10, allocations: 100))
            $0.append(other)
        }
        #expect(bench.samples().value(.memoryAllocationsTotal, "pool-1") == 120)
        try bench.send {
            $0.append(main)
            $0.append(Self.event(40, allocations: 160))
        }
        // Counted once, under the name of the time.
        #expect(bench.samples().value(.memoryAllocationsTotal, "java") == 40)
        #expect(bench.samples().value(.memoryAllocationsTotal, "pool-1") == 120)
    }

    @Test func extremesAreWritten() throws {
        let bench = try ProcessorBench(.memory)
        var event = Self.event(1, "op~", address: .max, size: .max, allocations: .max, frees: .max)
        event.currentMemory = .max
        event.peakMemory = .max
        event.comm = String(repeating: "~", count: 64 << 10)
        event.anomalies = [.init(description: String(repeating: "d", count: 9_000), severity: 7)]
        try bench.send(spoiled: true) { $0.append(event) }
        event.timestamp = ProcessorBench.timestamp(2)
        event.operation = "alloc"
        try bench.send(spoiled: true) { $0.append(event) }
        let output = try bench.output()
        #expect(output.records(.memory).map { $0["name"] as? String } == ["op\u{FFFD}", "alloc"])
        #expect(output.rows.map { $0["Address"] } == ["0xffffffffffffffff", "0xffffffffffffffff"])
        #expect(output.findings("agent").map { $0["severity"] as? Double } == [1, 1])
        #expect(bench.samples().value(.neutracerMemoryTotalFrees, "77") == Double(UInt64.max))
    }
}
