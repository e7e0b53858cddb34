import Testing
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// Block device operations, by what they leave.
@Suite struct IOModelTests {
    private static func event(
        _ operation: String = "READ",
        comm: String = "dd",
        at milliseconds: Int,
        read: (bytes: UInt64, operations: UInt64) = (0, 0),
        write: (bytes: UInt64, operations: UInt64) = (0, 0)
    ) -> BatchEncoder.IO {
        var event = BatchEncoder.IO()
        event.timestamp = ProcessorBench.timestamp(milliseconds)
        event.pid = 5
        event.comm = comm
        event.operation = operation
        event.bytes = 512
        event.latencyMilliseconds = 1.5
        event.device = "sda"
        event.major = 8
        event.minor = 1
        event.readBytes = read.bytes
        event.readOperations = read.operations
        event.writeBytes = write.bytes
        event.writeOperations = write.operations
        event.averageReadLatencyMilliseconds = 0.25
        event.averageWriteLatencyMilliseconds = 2.5
        return event
    }

    @Test func everyFieldShows() throws {
        let bench = try ProcessorBench(.io)
        try bench.send { $0.append(Self.event(at: 7, read: (1_000, 3), write: (2_000, 4))) }
        let output = try bench.output()
        let record = try #require(output.records(.io).first)
        #expect(record["name"] as? String == "dd" && record["pid"] as? Int == 5)
        let arguments = try #require(record["args"] as? [String: Any])
        let numbers = arguments.compactMapValues { $0 as? Double }
        #expect(
            numbers == [
                "bytes": 512, "latency_ms": 1.5, "read_bytes": 1_000, "write_bytes": 2_000,
                "read_ops": 3,
                "write_ops": 4, "read_latency_ms": 0.25, "write_latency_ms": 2.5, "major": 8,
                "minor": 1,
            ]
        )
        #expect(
            arguments["operation"] as? String == "READ" && arguments["device"] as? String == "sda"
        )
        let counter = try #require(output.counters().first?["args"] as? [String: Int])
        #expect(counter == ["read": 1_000, "write": 2_000])
        let row = try #require(output.rows.first)
        let fields = output.columns.map { row[$0] ?? "" }.joined(separator: ",")
        #expect(
            fields == "1760000000007,5,1000,2000,0.25,2.5,3,4,dd,READ,sda,512,1.5,8,1,bench,"
                + "1760000000007000000"
        )
    }

    @Test func countersFollowTheAgentsInTimeOrder() throws {
        let bench = try ProcessorBench(.io)
        try bench.send {
            $0.append(Self.event(at: 0, read: (100, 1)))
            $0.append(Self.event(at: 10, read: (300, 3), write: (50, 1)))
        }
        // A late sample is no restart, a fall at a newer time is one.
        try bench.send { $0.append(Self.event(at: 5, read: (200, 2))) }
        #expect(bench.samples().value(.ioBytesTotal, "read") == 300)
        #expect(bench.samples().value(.neutracerIOTotalBytes, "5", "read") == 300)
        try bench.send { $0.append(Self.event(at: 20, read: (40, 1))) }
        let samples = bench.samples()
        #expect(samples.value(.ioBytesTotal, "read") == 340)
        #expect(samples.value(.ioOperationsTotal, "read") == 4)
        #expect(samples.value(.ioBytesTotal, "write") == 50)
        #expect(samples.value(.neutracerIOThroughputBytes, "5", "read") == 40)
        #expect(samples.value(.neutracerIOLatencyMilliseconds, "5", "write") == 2.5)
    }

    @Test func operationsASecondAreMeasuredInEventTime() throws {
        let bench = try ProcessorBench(.io)
        for (second, operations) in [(0, 10), (2, 50), (3, 51)] as [(Int, UInt64)] {
            let event = Self.event(at: second * 1_000, read: (1, operations))
            try bench.send { $0.append(event) }
            let expected: Double = [0, 20, 1][[0, 2, 3].firstIndex(of: second) ?? 0]
            #expect(bench.samples().value(.neutracerIOOperationsPerSecond, "5", "read") == expected)
        }
    }

    @Test func latenciesAreKeptByOperation() throws {
        let bench = try ProcessorBench(.io)
        try bench.send {
            for operation in ["READ", "read", "WRITE", "SYNC", "SYNC", "SYNC"] {
                $0.append(Self.event(operation, at: 1))
            }
            var other = Self.event(at: 1)
            other.device = "sdb"
            $0.append(other)
            for latency in [Double.nan, .infinity, -1] {
                other.latencyMilliseconds = latency
                $0.append(other)
            }
        }
        let samples = bench.samples()
        #expect(samples.value(.ioLatencySeconds, "read") == 3)
        #expect(samples.value(.ioLatencySeconds, "write") == 1)
        #expect(samples.value(.ioLatencySeconds, "other") == 3)
        #expect(samples.value(.ioOperationsTotal, "other") == 3)
        #expect(samples.value(.ioBytesTotal, "other") == 1_536)
    }

    /// What was counted under a name stands there when the name comes back.
    @Test func aNewNameIsANewProcess() throws {
        let bench = try ProcessorBench(.io)
        for (time, comm) in ["dd", "cp", "dd"].enumerated() {
            try bench.send {
                $0.append(Self.event("SYNC", comm: comm, at: time * 10, read: (100, 1)))
            }
        }
        let samples = bench.samples()
        #expect(samples.value(.ioLatencySeconds, "dd", "other") == 2)
        #expect(samples.value(.ioLatencySeconds, "cp", "other") == 1)
        #expect(samples.value(.ioBytesTotal, "dd", "read") == 100)
    }

    @Test func bucketsAreThoseOfTheMetric() {
        let bounds = MetricBounds.latencySeconds
        for (position, bound) in bounds.enumerated() {
            let nanoseconds = Int64((bound * 1e9).rounded())
            #expect(IOLatency.bucket(nanoseconds) == position)
            #expect(IOLatency.bucket(nanoseconds + 1) == position + 1)
        }
        #expect(IOLatency().buckets.count == bounds.count + 1)
    }
}
