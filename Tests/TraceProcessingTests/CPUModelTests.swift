import Foundation
import Testing
import TraceMetrics
import TraceModel
import TraceWire

@Suite struct CPUModelTests {
    private static func sample(
        _ milliseconds: Int,
        comm: String = "crunch",
        on: UInt64 = 0,
        migrations: UInt32 = 0
    ) -> BatchEncoder.CPU {
        var event = BatchEncoder.CPU()
        event.timestamp = ProcessorBench.timestamp(milliseconds)
        event.pid = 77
        event.comm = comm
        event.onCPUMicroseconds = on
        event.migrations = migrations
        event.utilizationPercent = 50
        return event
    }

    @Test func everyFieldIsWritten() throws {
        let bench = try ProcessorBench(.cpu)
        var event = Self.sample(1, on: 5_000, migrations: 2)
        event.ppid = 4
        event.cpuID = 9
        event.offCPUMicroseconds = 700
        event.utilizationPercent = 42.25
        event.numaMigrations = 1
        event.hotspotCPU = 8
        event.hotspotPercent = 61.5
        try bench.send { $0.append(event) }
        let output = try bench.output()

        let record = try #require(output.records(.cpu).first)
        #expect(output.records(.cpu).count == 1)
        #expect(record["name"] as? String == "crunch")
        #expect(record["pid"] as? Int == 77 && record["tid"] as? Int == 77)
        #expect(record["s"] as? String == "t")
        #expect(record["ts"] as? Int == 1_760_000_000_001_000)
        #expect(record["readable_time"] as? String == "08:53:20.001")
        let arguments = try #require(record["args"] as? [String: Any])
        let expected: [String: Double] = [
            "ppid": 4, "cpu_id": 9, "utilization": 42.25, "oncpu_time_us": 5_000,
            "offcpu_time_us": 700,
            "migrations": 2, "numa_migrations": 1, "hotspot_cpu": 8, "hotspot_percentage": 61.5,
        ]
        for (name, value) in expected { #expect(arguments[name] as? Double == value, "\(name)") }
        #expect(arguments["comm"] as? String == "crunch")
        #expect(arguments.count == expected.count + 1)
        let counter = try #require(output.counters().first?["args"] as? [String: Any])
        #expect(counter["utilization"] as? Double == 42.25)

        #expect(
            output.columns.prefix(8) == [
                "Timestamp", "PID", "CPU Utilization(%)", "OnCPU Time(μs)", "OffCPU Time(μs)",
                "Migrations",
                "NUMA Migrations", "Hotspot CPU Percentage(%)",
            ]
        )
        #expect(
            output.rows == [
                [
                    "Timestamp": "1760000000001", "PID": "77", "CPU Utilization(%)": "42.25",
                    "OnCPU Time(μs)": "5000",
                    "OffCPU Time(μs)": "700", "Migrations": "2", "NUMA Migrations": "1",
                    "Hotspot CPU Percentage(%)": "61.5", "Process": "crunch", "PPID": "4",
                    "CPU": "9",
                    "Hotspot CPU": "8", "host": "bench", "Timestamp(ns)": "1760000000001000000",
                ]
            ]
        )
        let samples = bench.samples()
        #expect(samples.value(.cpuUtilizationRatio, "bench", "77", "crunch") == 0.4225)
        #expect(samples.value(.cpuTimeSecondsTotal, "on") == 0.005)
        #expect(samples.value(.cpuTimeSecondsTotal, "off") == 0.0007)
        #expect(samples.value(.cpuNumaMigrationsTotal, "crunch") == 1)
        #expect(samples.value(.neutracerCPUOffTimeMicroseconds, "77", "crunch") == 700)
    }

    @Test func countersAddPositiveDifferences() throws {
        let bench = try ProcessorBench(.cpu)
        // Sent out of order in one batch: sorted before they count.
        try bench.send {
            $0.append(Self.sample(20, on: 250, migrations: 5))
            $0.append(Self.sample(10, on: 100, migrations: 2))
        }
        // Late, and a field that isn't sent: neither is a restart.
        try bench.send { $0.append(Self.sample(15, on: 200, migrations: 3)) }
        try bench.send { $0.append(Self.sample(30, on: 0, migrations: 5)) }
        #expect(bench.samples().value(.cpuTimeSecondsTotal, "on") == 250e-6)
        #expect(bench.samples().value(.cpuMigrationsTotal, "crunch") == 5)
        // A fall with a newer time is: what the new process did comes on top.
        try bench.send {
            $0.append(Self.sample(40, on: 50, migrations: 1))
            $0.append(Self.sample(50, on: 80, migrations: 4))
        }
        let samples = bench.samples()
        #expect(samples.value(.cpuTimeSecondsTotal, "on") == 330e-6)
        #expect(samples.value(.cpuMigrationsTotal, "crunch") == 9)
        #expect(samples.value(.neutracerCPUMigrationsTotal, "crunch") == 4)
        #expect(try bench.output().records(.cpu).count == 6)
    }

    @Test func aNewNameIsANewProcess() throws {
        let bench = try ProcessorBench(.cpu)
        try bench.send {
            $0.append(Self.sample(10, comm: "", on: 100))
            $0.append(Self.sample(20, comm: "shell", on: 300))
        }
        // What came before the name isn't counted under it; the counter went on.
        #expect(bench.samples().value(.cpuTimeSecondsTotal, "shell", "on") == 200e-6)
        try bench.send { $0.append(Self.sample(30, comm: "ls", on: 400)) }
        #expect(bench.samples().value(.cpuTimeSecondsTotal, "ls", "on") == 400e-6)
        try bench.send { $0.append(Self.sample(25, comm: "shell", on: 350)) }
        #expect(bench.samples().value(.cpuTimeSecondsTotal, "ls", "on") == 400e-6)
        // The names it had keep their counters, and go on with them.
        #expect(bench.samples().value(.cpuTimeSecondsTotal, "pid-77", "on") == 100e-6)
        #expect(bench.samples().value(.cpuTimeSecondsTotal, "shell", "on") == 200e-6)
        try bench.send { $0.append(Self.sample(40, comm: "shell", on: 50)) }
        #expect(bench.samples().value(.cpuTimeSecondsTotal, "shell", "on") == 250e-6)
        try bench.send { $0.append(Self.sample(50, comm: "ls")) }
        let names = try bench.output().events.filter { $0["name"] as? String == "process_name" }
        #expect(names.map { ($0["args"] as? [String: String])?["name"] } == ["ls"])
    }

    @Test func extremesAreWritten() throws {
        let bench = try ProcessorBench(.cpu)
        var event = Self.sample(1, comm: String(repeating: "n", count: 64 << 10), on: .max)
        event.offCPUMicroseconds = .max
        event.migrations = .max
        event.utilizationPercent = .nan
        event.hotspotPercent = .infinity
        try bench.send(spoiled: true) { $0.append(event) }
        event.timestamp = ProcessorBench.timestamp(2)
        event.comm = "bad~\"\n,name"
        event.utilizationPercent = -.infinity
        try bench.send(spoiled: true) { $0.append(event) }
        let output = try bench.output()
        let records = output.records(.cpu)
        #expect((records[0]["name"] as? String)?.utf8.count == Limits.nameBytesMax)
        #expect(records[1]["name"] as? String == "bad\u{FFFD}\"\n,name")
        #expect(output.rows[1]["Process"] == "bad\u{FFFD}\"\n,name")
        for (record, row) in zip(records, output.rows) {
            let arguments = try #require(record["args"] as? [String: Any])
            #expect(arguments["utilization"] is NSNull && arguments["hotspot_percentage"] is NSNull)
            #expect(arguments["oncpu_time_us"] as? UInt64 == .max)
            #expect(row["CPU Utilization(%)"] == "" && row["OnCPU Time(μs)"] == "\(UInt64.max)")
        }
        #expect(output.counters().isEmpty, "a counter has to be a number")
        let samples = bench.samples()
        #expect(samples.value(.cpuUtilizationRatio) == nil)
        #expect(samples.value(.errorsTotal, "name_cut") == 1)
        #expect(samples.value(.errorsTotal, "invalid_utf8_replaced") ?? 0 > 0)
    }
}
