import Foundation
import Testing
import TraceFiles
import TraceModel
import TraceProcessing
import TraceSummaries
import TraceWire

/// What a summary says, against the events that it is about.
@Suite(.serialized) struct SummaryTests {
    private static let start = EventGenerator.start

    private static func summary(
        _ resource: Resource,
        windowsBefore: [[[UInt8]]] = [],
        _ events: [[UInt8]]
    ) throws -> [String: Any] {
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        var output: ContractOutput?
        for (number, events) in (windowsBefore + [events]).enumerated() {
            let batch = ContractBatch(
                host: "beta",
                events: events.map { ContractEvent(host: "beta", pid: 0, time: 0, bytes: $0) },
                arrival: Self.start,
                lsn: LSN(number)
            )
            try worker.apply(batch)
            let closed = try worker.finalize()
            output = try directory.merge(
                resource,
                closed,
                window: 7 + UInt64(number),
                summaries: [worker.summary]
            )
        }
        return try #require(try output?.summary())
    }

    private static func encode(_ append: (inout BatchEncoder) -> Void) -> [UInt8] {
        var encoder = BatchEncoder()
        append(&encoder)
        return Array(encoder.bytes)
    }

    private static func top(
        _ summary: [String: Any],
        _ table: String,
        _ list: String
    ) throws -> [[String: Any]] {
        let tables = try #require(summary["tables"] as? [String: [String: Any]])
        let lists = try #require(tables[table]?["top"] as? [String: [[String: Any]]])
        return try #require(lists[list])
    }

    private static func call(
        _ name: String,
        pid: UInt32,
        at time: Int64,
        milliseconds: Int64
    ) -> [UInt8] {
        encode { encoder in
            for (type, time) in [(0, time), (1, time + milliseconds * 1_000_000)]
                as [(Int32, Int64)]
            {
                var event = BatchEncoder.Function()
                event.timestamp = ContractEvent.timestamp(time)
                event.eventType = type
                event.functionName = name
                event.tgid = pid
                event.pid = pid
                encoder.append(event)
            }
        }
    }

    @Test func slowestAndBusiestFunctions() throws {
        var events: [[UInt8]] = []
        var time = Self.start
        for round in 0..<100 {
            events.append(Self.call("often", pid: 3, at: time, milliseconds: 10))
            time += 20_000_000
            guard round % 50 == 0 else { continue }
            events.append(Self.call("slow \"one\"", pid: 4, at: time, milliseconds: 300))
            time += 400_000_000
        }
        let summary = try Self.summary(.function, events)
        #expect(summary["events"] as? Int == 204 && summary["processes"] as? Int == 2)
        let slowest = try Self.top(summary, "functions", "slowest")
        #expect(slowest.map { $0["function"] as? String } == ["slow \"one\"", "often"])
        #expect(slowest[0]["calls"] as? Int == 2 && slowest[0]["slow_calls"] as? Int == 2)
        #expect(slowest[0]["max_ms"] as? Double == 300 && slowest[0]["host"] as? String == "beta")
        let busiest = try Self.top(summary, "functions", "busiest")
        #expect(busiest.map { $0["function"] as? String } == ["often", "slow \"one\""])
        #expect(
            busiest[0]["total_ms"] as? Double == 1_000 && busiest[0]["mean_ms"] as? Double == 10
        )
        let median = try #require(busiest[0]["p50_ms"] as? Double)
        #expect(abs(median - 10) <= 0.1)
    }

    /// The sum of one name over all processes, also those that are not in the lists by process.
    @Test func functionsOfAllProcesses() throws {
        var events: [[UInt8]] = []
        for pid in UInt32(1)...300 {
            let time = Self.start + Int64(pid) * 1_000_000_000
            events.append(Self.call("common", pid: pid, at: time, milliseconds: Int64(pid)))
            events.append(Self.call("own \(pid)", pid: pid, at: time, milliseconds: 400))
        }
        let summary = try Self.summary(.function, events)
        let busiest = try Self.top(summary, "functions_overall", "busiest")
        #expect(busiest[0]["function"] as? String == "common")
        #expect(busiest[0]["calls"] as? Int == 300 && busiest[0]["total_ms"] as? Double == 45_150)
        #expect(busiest[0]["host"] == nil && busiest[0]["pid"] == nil)
        for (quantile, expected) in [("p50_ms", 150.0), ("p90_ms", 270.0), ("p99_ms", 297.0)] {
            let value = try #require(busiest[0][quantile] as? Double)
            #expect(abs(value - expected) <= expected / 100, "\(quantile)")
        }
        let tables = try #require(summary["tables"] as? [String: [String: Any]])
        #expect(tables["functions_overall"]?["rows"] as? Int == 301)
        #expect(tables["functions_overall"]?["complete"] as? Bool == true)
        #expect(tables["functions"]?["rows"] as? Int == 600)
    }

    /// A function known from a window before begins anew in this one, and is left out where it was not called.
    @Test func onlyTheWindowsOwnCallsCount() throws {
        let before = [
            Self.call("often", pid: 3, at: Self.start, milliseconds: 700),
            Self.call("before", pid: 3, at: Self.start + 800_000_000, milliseconds: 1),
        ]
        let summary = try Self.summary(
            .function,
            windowsBefore: [before],
            [
                Self.call("often", pid: 3, at: Self.start + 1_000_000_000, milliseconds: 20),
                Self.call("often", pid: 3, at: Self.start + 1_100_000_000, milliseconds: 40),
            ]
        )
        let busiest = try Self.top(summary, "functions", "busiest")
        #expect(busiest.map { $0["function"] as? String } == ["often"])
        #expect(busiest[0]["calls"] as? Int == 2 && busiest[0]["completed"] as? Int == 2)
        #expect(busiest[0]["total_ms"] as? Double == 60 && busiest[0]["max_ms"] as? Double == 40)
        #expect(busiest[0]["slow_calls"] as? Int == 0)
        let p99 = try #require(busiest[0]["p99_ms"] as? Double)
        #expect(abs(p99 - 40) <= 0.4)
        let tables = try #require(summary["tables"] as? [String: [String: Any]])
        #expect(tables["functions"]?["rows"] as? Int == 1)
    }

    /// Names that are the same once they are cut have one row together.
    @Test func longNamesThatAreCutAlike() throws {
        let name = String(repeating: "n", count: Limits.summaryNameBytesMax)
        let events = [name, name + "a", name + "b"].enumerated().map { number, name in
            let time = Self.start + Int64(number) * 1_000_000_000
            return Self.call(name, pid: 3, at: time, milliseconds: Int64(10 + number))
        }
        let summary = try Self.summary(.function, windowsBefore: [events], events)
        for table in ["functions", "functions_overall"] {
            let busiest = try Self.top(summary, table, "busiest")
            #expect(busiest.map { $0["function"] as? String } == [name])
            #expect(busiest[0]["calls"] as? Int == 3 && busiest[0]["total_ms"] as? Double == 33)
            #expect(busiest[0]["max_ms"] as? Double == 12)
        }
    }

    @Test func kernelsOfAllProcessesAndDevicesOfAHost() throws {
        let launches = (UInt32(1)...5).map { pid in
            Self.encode { encoder in
                var event = BatchEncoder.GPU()
                event.timestamp = ContractEvent.timestamp(Self.start)
                event.payload = .launch(pid: pid, kernelName: "gemm", calls: UInt64(pid))
                encoder.append(event)
            }
        }
        let gpu = try Self.summary(.gpu, launches)
        let kernels = try Self.top(gpu, "kernels_overall", "most_launches")
        #expect(kernels.count == 1 && kernels[0]["launches"] as? Int == 15)

        let reads = (UInt32(1)...5).map { pid in
            Self.encode { encoder in
                var event = BatchEncoder.IO()
                event.timestamp = ContractEvent.timestamp(Self.start)
                (event.pid, event.operation, event.device) = (pid, "READ", "sda")
                (event.bytes, event.latencyMilliseconds) = (512, Double(pid))
                encoder.append(event)
            }
        }
        let io = try Self.summary(.io, reads)
        let devices = try Self.top(io, "reads_overall", "slowest")
        #expect(devices.count == 1 && devices[0]["operations"] as? Int == 5)
        #expect(devices[0]["host"] as? String == "beta" && devices[0]["device"] as? String == "sda")
        #expect(devices[0]["mean_ms"] as? Double == 3 && devices[0]["bytes"] as? Int == 2_560)
        #expect(try Self.top(io, "writes_overall", "slowest").isEmpty)
    }

    /// A field of a row: what is not there is `-`.
    private static func text(_ field: Any?) -> String { field.map { "\($0)" } ?? "-" }

    private static func packet(
        _ port: UInt32,
        isSend: Bool,
        bytes: UInt64,
        to address: String = "10.0.0.2",
        second: Int64 = 0,
        pid: UInt32 = 7,
        transport: String = "TCP",
        packets: (tx: UInt64, rx: UInt64) = (0, 0)
    ) -> [UInt8] {
        encode { encoder in
            var event = BatchEncoder.Network()
            event.timestamp = ContractEvent.timestamp(start + second * 1_000_000_000)
            (event.tgid, event.pid, event.comm) = (pid, pid, "web")
            (event.sourceAddress, event.sourcePort) = ("10.0.0.1", port)
            (event.destinationAddress, event.destinationPort) = (address, 443)
            (event.transport, event.isSend, event.bytes) = (transport, isSend, bytes)
            (event.txPackets, event.rxPackets) = packets
            encoder.append(event)
        }
    }

    /// Of the connection's whole life, not of the window alone; and of all windows once they are merged.
    @Test func connectionsSayWhenTheyWereOpenedAndLastSeen() throws {
        let before = [Self.packet(1, isSend: true, bytes: 9, second: 3)]
        let summary = try Self.summary(
            .network,
            windowsBefore: [before],
            [
                Self.packet(1, isSend: true, bytes: 9, second: 70),
                Self.packet(1, isSend: true, bytes: 9, second: 65),
                Self.packet(2, isSend: false, bytes: 5, second: 66),
            ]
        )
        let talkers = try Self.top(summary, "connections", "top_talkers")
        func seconds(_ column: String) -> [Int64] {
            talkers.map { (($0[column] as? Int64 ?? 0) - Self.start) / 1_000_000_000 }
        }
        #expect(seconds("opened_ts_ns") == [3, 66] && seconds("last_seen_ts_ns") == [70, 66])
        let tables = try #require(summary["tables"] as? [String: [String: Any]])
        let totals = try #require(tables["connections"]?["totals"] as? [String: Any])
        #expect(totals["opened_ts_ns"] as? Int64 == Self.start + 3_000_000_000)
        #expect(totals["last_seen_ts_ns"] as? Int64 == Self.start + 70_000_000_000)
    }

    /// Packets are what the process's counters grow by, counted for the protocol of the event that says so;
    /// of those before the first event only its own.
    @Test func protocolsByProcessAndHost() throws {
        let before = [Self.packet(1, isSend: true, bytes: 1 << 40, packets: (5_000, 900))]
        let summary = try Self.summary(
            .network,
            windowsBefore: [before],
            [
                Self.packet(1, isSend: true, bytes: 10, second: 1, packets: (5_003, 900)),
                Self.packet(
                    2,
                    isSend: false,
                    bytes: 700,
                    second: 2,
                    transport: "UDP",
                    packets: (5_003, 950)
                ),
                Self.packet(1, isSend: false, bytes: 20, second: 3, packets: (5_004, 952)),
                Self.packet(3, isSend: true, bytes: 40, second: 4, pid: 8, packets: (7, 7)),
                Self.packet(3, isSend: true, bytes: 2, second: 4, pid: 8, transport: ""),
            ]
        )
        let numbers = ["events", "sent_bytes", "received_bytes", "tx_packets", "rx_packets"]
        func rows(_ table: String, _ list: String) throws -> [String] {
            try Self.top(summary, table, list).map { row in
                let texts = [Self.text(row["pid"]), Self.text(row["protocol"])]
                return (texts + numbers.map { Self.text(row[$0]) }).joined(separator: " ")
            }
        }
        let byProcess = [
            "7 UDP 1 0 700 0 50", "8 TCP 1 40 0 1 0", "7 TCP 2 10 20 4 2", "8 unknown 1 2 0 0 0",
        ]
        #expect(try rows("protocols", "top_talkers") == byProcess)
        #expect(
            try rows("protocols", "most_packets") == [byProcess[0], byProcess[2], byProcess[1]]
        )
        let byHost = ["- UDP 1 0 700 0 50", "- TCP 3 50 20 5 2", "- unknown 1 2 0 0 0"]
        #expect(try rows("protocols_overall", "top_talkers") == byHost)
        let overall = try Self.top(summary, "protocols_overall", "top_talkers")
        #expect(overall.allSatisfy { $0["host"] as? String == "beta" })
    }

    /// The traffic of a process that makes room for another one under its id still counts.
    @Test func protocolsOfAnEarlierProcessCount() throws {
        let summary = try Self.summary(
            .network,
            [
                Self.packet(1, isSend: true, bytes: 10, second: 1, packets: (100, 0)),
                Self.packet(1, isSend: true, bytes: 10, second: 2, packets: (3, 0)),
            ]
        )
        let rows = try Self.top(summary, "protocols", "top_talkers")
        #expect(rows.count == 1 && rows[0]["events"] as? Int == 2)
        #expect(rows[0]["sent_bytes"] as? Int == 20 && rows[0]["tx_packets"] as? Int == 4)
    }

    private static func memory(
        _ operation: String,
        _ address: UInt64,
        bytes: UInt64 = 0,
        stack: UInt64 = 0,
        pid: UInt32 = 7,
        second: Int64 = 0
    ) -> [UInt8] {
        encode { encoder in
            var event = BatchEncoder.Memory()
            event.timestamp = ContractEvent.timestamp(start + second * 1_000_000_000)
            (event.tgid, event.pid, event.comm) = (pid, pid, "server")
            (event.operation, event.address, event.size) = (operation, address, bytes)
            event.stackID = stack
            encoder.append(event)
        }
    }

    private static func stacks(_ summary: [String: Any]) throws -> [String] {
        try top(summary, "stacks", "largest").map { row in
            let names = ["stack", "pid", "outstanding_bytes", "outstanding"]
            return names.map { text(row[$0]) }.joined(separator: " ")
        }
    }

    /// What is not released at the end of the window, whenever it was allocated and by whomever.
    @Test func stacksThatHoldMemory() throws {
        let before = [
            Self.memory("alloc", 1, bytes: 100, stack: 17), Self.memory("alloc", 2, bytes: 70),
            Self.memory("alloc", 3, bytes: 900, stack: .max, pid: 8),
        ]
        let summary = try Self.summary(
            .memory,
            windowsBefore: [before],
            [
                Self.memory("alloc", 4, bytes: 60, stack: 17, second: 1),
                Self.memory("alloc", 5, bytes: 800, stack: 99, second: 1),
                Self.memory("free", 5, second: 2),
                Self.memory("alloc", 6, bytes: 160, stack: 4, second: 3),
            ]
        )
        #expect(
            try Self.stacks(summary) == [
                "\(UInt64.max) 8 900 1", "17 7 160 2", "4 7 160 1", "0 7 70 1",
            ]
        )
        let tables = try #require(summary["tables"] as? [String: [String: Any]])
        let totals = try #require(tables["stacks"]?["totals"] as? [String: Any])
        #expect(totals["outstanding_bytes"] as? Int == 1_290 && totals["outstanding"] as? Int == 5)
        #expect(summary["processes"] as? Int == 1)
    }

    /// Beyond the rows of a list a process's stacks are one, so that the totals are those of all.
    @Test func manyStacksAreShownByTheLargest() throws {
        let count = Limits.summaryRowsMax + 20
        let events = (1...count).map {
            Self.memory("alloc", UInt64($0), bytes: UInt64($0), stack: UInt64($0))
        }
        let summary = try Self.summary(.memory, events)
        let rows = try Self.stacks(summary)
        #expect(rows[0] == "other 7 210 20" && rows[1] == "120 7 120 1")
        let tables = try #require(summary["tables"] as? [String: [String: Any]])
        let totals = try #require(tables["stacks"]?["totals"] as? [String: Any])
        #expect(totals["outstanding_bytes"] as? Int == count * (count + 1) / 2)
        #expect(totals["outstanding"] as? Int == count)
    }

    /// Over windows merged, a stack that has released all it held is not shown any more.
    @Test func theStacksOfTheLastWindowStand() throws {
        let first = try Self.summary(.memory, [Self.memory("alloc", 1, bytes: 100, stack: 17)])
        let second = try Self.summary(
            .memory,
            windowsBefore: [[Self.memory("alloc", 1, bytes: 100, stack: 17)]],
            [Self.memory("free", 1, second: 5), Self.memory("alloc", 2, bytes: 8, stack: 3)]
        )
        var merged = WindowSummary(.memory)
        for summary in [first, second] {
            let state = try #require(
                (summary["state"] as? String).flatMap { Data(base64Encoded: $0) }
            )
            merged.merge(try WindowSummary(Array(state)), isLater: true)
        }
        let table = try #require(merged.tables.first { $0.schema.name == "stacks" })
        let shown = table.top(table.schema.lists[0], 9)
        #expect(shown.map { String(decoding: $0.key.item, as: UTF8.self) } == ["3"])
        #expect(table.totals[0] == 8 && merged.events == 3)
    }

    @Test func talkersByConnection() throws {
        let before = [Self.packet(1, isSend: true, bytes: 1 << 40)]
        let summary = try Self.summary(
            .network,
            windowsBefore: [before],
            [
                Self.packet(1, isSend: true, bytes: 10), Self.packet(2, isSend: true, bytes: 30),
                Self.packet(2, isSend: false, bytes: 5),
                Self.packet(3, isSend: false, bytes: 34, to: "fe80::2"),
            ]
        )
        let talkers = try Self.top(summary, "connections", "top_talkers")
        #expect(
            talkers.map { $0["connection"] as? String } == [
                "10.0.0.1:2 -> 10.0.0.2:443 TCP", "10.0.0.1:3 -> [fe80::2]:443 TCP",
                "10.0.0.1:1 -> 10.0.0.2:443 TCP",
            ]
        )
        #expect(talkers.map { $0["sent_bytes"] as? Int } == [30, 0, 10])
        #expect(talkers.map { $0["received_bytes"] as? Int } == [5, 34, 0])
        #expect(talkers.map { $0["process"] as? String } == ["web", "web", "web"])
    }

    private static func cpu(
        _ pid: UInt32,
        second: Int64,
        on: UInt64,
        percent: Double,
        comm: String? = nil,
        cpu: UInt32 = 0
    ) -> [UInt8] {
        encode { encoder in
            var event = BatchEncoder.CPU()
            event.cpuID = cpu
            event.timestamp = ContractEvent.timestamp(start + second * 1_000_000_000)
            event.pid = pid
            event.comm = comm ?? "proc-\(pid)"
            event.onCPUMicroseconds = on
            event.utilizationPercent = percent
            encoder.append(event)
        }
    }

    /// A process's first sample tells of its life before; a window of that in the window before.
    @Test func onlyTheWindowsOwnTimeCounts() throws {
        let before = [Self.cpu(1, second: 0, on: 50_000_000, percent: 90)]
        let summary = try Self.summary(
            .cpu,
            windowsBefore: [before],
            [
                Self.cpu(1, second: 1, on: 50_250_000, percent: 25),
                Self.cpu(2, second: 1, on: 9_000_000, percent: 10),
                Self.cpu(2, second: 2, on: 9_750_000, percent: 80),
            ]
        )
        let busiest = try Self.top(summary, "processes", "busiest")
        #expect(busiest.map { $0["process"] as? String } == ["proc-2", "proc-1"])
        #expect(busiest.map { $0["on_cpu_ms"] as? Double } == [750, 250])
        #expect(busiest.map { $0["max_utilization_percent"] as? Double } == [80, 25])
        #expect(busiest.map { $0["mean_utilization_percent"] as? Double } == [45, 25])
    }

    /// Under a new name, a counter that goes on grows by the difference; one that fell begins anew.
    @Test func aNewNameIsNoNewTime() throws {
        let summary = try Self.summary(
            .cpu,
            [
                Self.cpu(1, second: 0, on: 9_000_000, percent: 1, comm: "kworker/0:1-events"),
                Self.cpu(1, second: 1, on: 9_040_000, percent: 4, comm: "kworker/0:1"),
                Self.cpu(1, second: 2, on: 15_000, percent: 1, comm: "bash"),
            ]
        )
        let busiest = try Self.top(summary, "processes", "busiest")
        #expect(busiest.map { $0["process"] as? String } == ["bash"])
        #expect(busiest.map { $0["on_cpu_ms"] as? Double } == [55])
    }

    /// A process found on another CPU than in its last sample has moved, in whatever window that was.
    @Test func cpusWithMovesAndShares() throws {
        func samples(_ cpus: [UInt32], from second: Int64, pid: UInt32 = 1) -> [[UInt8]] {
            cpus.enumerated().map {
                Self.cpu(pid, second: second + Int64($0.offset), on: 5, percent: 1, cpu: $0.element)
            }
        }
        let summary = try Self.summary(
            .cpu,
            windowsBefore: [samples([3, 3, 9], from: 0)],
            // The last one is late: it says nothing of where the process went.
            samples([2, 2, 9, 2, 2_000, 1_023, 2, 2], from: 10) + samples([5], from: 1)
                + samples([70], from: 10, pid: 2)
        )
        let rows = try Self.top(summary, "cpus", "most_samples").map { row in
            let names = ["pid", "cpu", "samples", "moves", "share_percent"]
            return names.map { Self.text(row[$0]) }.joined(separator: " ")
        }
        #expect(rows == ["1 2 5 3 62.5", "1 1023+ 2 1 25", "1 9 1 1 12.5", "2 70 1 0 100"])
        let tables = try #require(summary["tables"] as? [String: [String: Any]])
        let totals = try #require(tables["cpus"]?["totals"] as? [String: Any])
        #expect(totals["samples"] as? Int == 9 && totals["moves"] as? Int == 5)
        #expect(totals["share_percent"] == nil, "of several processes there is no share")
        let processes = try Self.top(summary, "processes", "highest_utilization")
        #expect(processes.map { $0["moves"] as? Int } == [5, 0])
    }

    /// A process that begins anew has not moved.
    @Test func whereAnotherProcessBeginsIsNoMove() throws {
        let summary = try Self.summary(
            .cpu,
            [
                Self.cpu(1, second: 0, on: 9_000, percent: 1, comm: "a", cpu: 1),
                Self.cpu(1, second: 1, on: 10, percent: 1, comm: "b", cpu: 2),
                Self.cpu(1, second: 2, on: 20, percent: 1, comm: "b", cpu: 1),
            ]
        )
        let rows = try Self.top(summary, "cpus", "most_samples")
        #expect(rows.map { $0["cpu"] as? String } == ["1", "2"])
        #expect(rows.map { $0["moves"] as? Int } == [1, 0])
    }

    @Test func latenciesByDeviceAndOperation() throws {
        let summary = try Self.summary(
            .io,
            (1...100 as ClosedRange<Int64>).map { number in
                Self.encode { encoder in
                    var event = BatchEncoder.IO()
                    event.timestamp = ContractEvent.timestamp(Self.start + number * 1_000_000)
                    event.pid = 9
                    event.operation = number % 2 == 0 ? "READ" : "write"
                    event.device = number % 2 == 0 ? "sda" : "nvme0n1"
                    event.bytes = 4_096
                    event.latencyMilliseconds = Double(number)
                    encoder.append(event)
                }
            }
        )
        let reads = try Self.top(summary, "reads", "slowest")
        #expect(reads.map { $0["device"] as? String } == ["sda"])
        #expect(reads[0]["operations"] as? Int == 50 && reads[0]["bytes"] as? Int == 204_800)
        #expect(reads[0]["max_ms"] as? Double == 100)
        let p99 = try #require(reads[0]["p99_ms"] as? Double)
        #expect(abs(p99 - 100) <= 1)
        #expect(try Self.top(summary, "writes", "slowest").count == 1)
        #expect(try Self.top(summary, "other_operations", "slowest").isEmpty)
    }

    /// The file holds its summary for merging over windows.
    @Test func theSummaryComesBackOutOfItsFile() throws {
        let events = [Self.call("main", pid: 3, at: Self.start, milliseconds: 5)]
        let summary = try Self.summary(.function, events)
        let state = try #require((summary["state"] as? String).flatMap { Data(base64Encoded: $0) })
        let decoded = try WindowSummary(Array(state))
        #expect(decoded.resource == .function && decoded.events == 2 && decoded.processes == 1)
        #expect(throws: TraceError.self) { try WindowSummary(Array(state.dropLast())) }
        var twice = decoded
        twice.merge(decoded, isLater: true)
        #expect(twice.events == 4 && twice.processes == 1)
        #expect(twice.tables[1].rows.count == 1 && twice.tables[1].rows[0].values[0] == 2)
        #expect(twice.tables[1].sketch.count == 2)
    }

    /// More rows than a list holds: the workers' lists together still hold the list of all.
    @Test func theTopListIsThatOfAllWorkers() throws {
        let events = (0..<1_000).map { number in
            let pid = UInt32(number + 1)
            return ContractEvent(
                host: "beta",
                pid: pid,
                time: Self.start,
                bytes: Self.call(
                    "f",
                    pid: pid,
                    at: Self.start,
                    milliseconds: Int64(number * 7 % 1_000 + 1)
                )
            )
        }
        let directory = try ContractDirectory()
        let workers = try (0..<3).map {
            try ContractWorker(.function, index: $0, root: directory.path)
        }
        let batch = ContractBatch(host: "beta", events: events, arrival: Self.start, lsn: 1)
        for (index, worker) in workers.enumerated() {
            try worker.apply(batch.share { Int($0) % 3 == index })
        }
        let closed = try workers.flatMap { try $0.finalize() }
        let output = try directory.merge(.function, closed, summaries: workers.map(\.summary))
        let summary = try #require(try output.summary())
        let busiest = try Self.top(summary, "functions", "busiest")
        #expect(
            busiest.map { $0["total_ms"] as? Double }
                == (0..<Limits.summaryTopRows).map { Double(1_000 - $0) }
        )
        #expect(summary["processes"] as? Int == 1_000)
    }

    /// A slot holds so much: processes that make room still count, also after a restart.
    @Test func processesThatMadeRoomAreInTheTotals() throws {
        let hash = ContractEvent.hash("beta")
        let count = 300
        let budget = StateBudget(bytesMax: 16 << 20, slotBytesMax: 512 << 10)
        let pids = (UInt32(1)...).lazy.filter { Slot.of(hostHash: hash, processID: $0) == 9 }
        let events = pids.prefix(count).enumerated().map { number, pid in
            ContractEvent(
                host: "beta",
                pid: pid,
                time: 0,
                bytes: Self.cpu(pid, second: Int64(number), on: 5, percent: 50)
            )
        }
        let batch = ContractBatch(host: "beta", events: events, arrival: Self.start, lsn: 1)
        let directory = try ContractDirectory()
        let first = try ContractWorker(.cpu, root: directory.path, state: budget)
        try first.apply(batch)
        #expect(first.samples.contains { $0.contains("process_evicted") })
        let worker = try ContractWorker(
            .cpu,
            root: directory.path,
            checkpoint: try first.checkpoint(),
            state: budget
        )
        _ = try worker.finalize()
        let summary = try WindowSummary(worker.summary)
        #expect(summary.events == UInt64(count) && summary.processes == UInt64(count))
        #expect(summary.tables[0].rowCount == UInt64(count))
        #expect(summary.tables[0].totals[1] == UInt64(count))
        #expect(summary.tables[0].rows.count == Limits.summaryRowsMax)
        #expect(worker.processor.takeSummary().isEmpty)
    }
}
