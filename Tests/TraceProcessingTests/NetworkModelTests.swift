import Testing
import TraceMetrics
import TraceModel
import TraceWire

@Suite struct NetworkModelTests {
    private static func event(_ milliseconds: Int) -> BatchEncoder.Network {
        var event = BatchEncoder.Network()
        event.timestamp = ProcessorBench.timestamp(milliseconds)
        event.pid = 78
        event.tgid = 77
        event.comm = "web"
        return event
    }

    private static func full() -> BatchEncoder.Network {
        var event = Self.event(1)
        event.isSend = true
        event.bytes = 1_500
        event.sourceAddress = "10.0.0.1"
        event.destinationAddress = "fe80::2"
        event.sourcePort = 40_000
        event.destinationPort = 443
        event.transport = "TCP"
        event.txBytes = 1_501
        event.rxBytes = 300
        event.txPackets = 3
        event.rxPackets = 2
        event.pattern = 4
        event.retransmits = 5
        event.errors = 6
        event.isBursty = true
        event.activeConnections = 7
        event.anomalies = [.init(description: "flood", severity: 0.5)]
        return event
    }

    @Test func everyFieldIsWritten() throws {
        let bench = try ProcessorBench(.network)
        try bench.send { $0.append(Self.full()) }
        let output = try bench.output()
        let record = try #require(output.records(.network).first)
        #expect(output.records(.network).count == 1)
        #expect(record["name"] as? String == "send")
        #expect(record["pid"] as? Int == 77 && record["tid"] as? Int == 78)
        let arguments = try #require(record["args"] as? [String: Any])
        let numbers: [String: Int] = [
            "bytes": 1_500, "tx_bytes": 1_501, "rx_bytes": 300, "total_tx_packets": 3,
            "total_rx_packets": 2,
            "net_pattern": 4, "retransmits": 5, "errors": 6, "active_connect": 7,
        ]
        for (name, value) in numbers { #expect(arguments[name] as? Int == value, "\(name)") }
        let texts = [
            "comm": "web", "op": "send", "src": "10.0.0.1:40000", "dst": "[fe80::2]:443",
            "protocol": "TCP",
        ]
        for (name, text) in texts { #expect(arguments[name] as? String == text, "\(name)") }
        #expect(arguments["is_bursty"] as? Bool == true)
        #expect((arguments["anomalies"] as? [[String: Any]])?.count == 1)
        #expect(arguments.count == numbers.count + texts.count + 2)
        let counter = try #require(output.counters().first?["args"] as? [String: Any])
        #expect(counter["tx_bytes"] as? Int == 1_501 && counter["rx_bytes"] as? Int == 300)
        #expect(
            output.columns.prefix(7) == [
                "Timestamp", "PID", "tx_bytes", "rx_bytes", "total_tx_packets", "total_rx_packets",
                "active_connections",
            ]
        )
        #expect(
            output.rows == [
                [
                    "Timestamp": "1760000000001", "PID": "77", "tx_bytes": "1501",
                    "rx_bytes": "300",
                    "total_tx_packets": "3", "total_rx_packets": "2", "active_connections": "7",
                    "TID": "78",
                    "Operation": "send", "Bytes": "1500", "Source": "10.0.0.1:40000",
                    "Destination": "[fe80::2]:443",
                    "Protocol": "TCP", "Pattern": "4", "Retransmits": "5", "Errors": "6",
                    "Bursty": "1",
                    "Anomalies": "1", "Process": "web", "host": "bench",
                    "Timestamp(ns)": "1760000000001000000",
                ]
            ]
        )
        #expect(output.findings("agent").map { $0["message"] as? String } == ["flood"])
        #expect(bench.samples().value(.anomaliesTotal, "network", "agent") == 1)
    }

    /// An address is the agent's text: whatever it is, both files have it with its port, and can be read.
    @Test(
        arguments: [
            ("10.0.0.1", UInt32(0), "10.0.0.1:0"), ("", 443, ":443"), ("", 0, ""),
            ("::1", 80, "[::1]:80"),
            ("[::1]", 80, "[::1]:80"), ("a,b\"c", 7, "a,b\"c:7"),
            ("host\n", 4_294_967_295, "host\n:4294967295"),
            ("größe", 5, "größe:5"), ("-1", 9, "-1:9"),
            (String(repeating: "long.", count: 20), 1, nil),
        ] as [(String, UInt32, String?)]
    ) func endpointsAreWrittenAsPeopleWriteThem(
        address: String,
        port: UInt32,
        text: String?
    ) throws {
        let bench = try ProcessorBench(.network)
        var event = Self.event(1)
        event.sourceAddress = address
        event.sourcePort = port
        try bench.send { $0.append(event) }
        let output = try bench.output()
        let expected = text ?? "\(address):\(port)"
        let arguments = try #require(output.records(.network).first?["args"] as? [String: Any])
        #expect(arguments["src"] as? String == (expected.isEmpty ? nil : expected))
        #expect(output.rows.map { $0["Source"] } == [expected])
    }

    @Test func metricsFollowTheEvents() throws {
        let bench = try ProcessorBench(.network)
        try bench.send {
            var event = Self.full()
            $0.append(event)
            event.timestamp = ProcessorBench.timestamp(2_001)
            event.txBytes += 4_000
            event.rxPackets += 6
            event.activeConnections = 2
            $0.append(event)
            // Late: its counters say nothing, its port is listened on all the same.
            event.timestamp = ProcessorBench.timestamp(1_000)
            event.txBytes = 1_600
            event.activeConnections = 9
            event.destinationPort = 0
            event.sourcePort = 70_000
            $0.append(event)
        }
        var late = Self.full()
        late.timestamp = ProcessorBench.timestamp(1_500)
        late.txBytes = 9
        late.destinationPort = 0
        late.sourcePort = 80
        try bench.send { $0.append(late) }
        let samples = bench.samples()
        #expect(samples.value(.networkBytesTotal, "bench", "77", "web", "tx") == 5_501)
        #expect(samples.value(.networkBytesTotal, "rx") == 300)
        #expect(samples.value(.networkPacketsTotal, "tx") == 3)
        #expect(samples.value(.networkPacketsTotal, "rx") == 8)
        #expect(samples.value(.networkActiveConnections, "web") == 2)
        #expect(samples.value(.networkListeningPorts, "web") == 2)
        #expect(samples.value(.neutracerNetworkTxBytesRate, "77", "web") == 2_000)
        #expect(samples.value(.neutracerNetworkRxPacketsRate, "77", "web") == 3)
        #expect(samples.value(.neutracerNetworkTotalTxBytes, "77", "web") == 5_501)
    }

    @Test func aRestartForgetsWhatTheOldProcessListenedOn() throws {
        let bench = try ProcessorBench(.network)
        var event = Self.event(1)
        event.sourcePort = 80
        event.txBytes = 1_000
        try bench.send { $0.append(event) }
        event.timestamp = ProcessorBench.timestamp(2)
        event.sourcePort = 81
        event.txBytes = 10
        try bench.send { $0.append(event) }
        let samples = bench.samples()
        #expect(samples.value(.networkListeningPorts, "web") == 1)
        #expect(samples.value(.networkBytesTotal, "tx") == 1_010)
    }

    @Test func extremesAreWritten() throws {
        let bench = try ProcessorBench(.network)
        var event = Self.full()
        event.comm = String(repeating: "c", count: 64 << 10)
        event.sourceAddress = String(repeating: ":~", count: 5_000)
        event.destinationAddress = "[::1]"
        event.sourcePort = .max
        event.destinationPort = 70_000
        event.transport = "a,\"b\n"
        event.txBytes = .max
        event.rxBytes = .max
        event.txPackets = .max
        event.bytes = .max
        event.anomalies = []
        try bench.send(spoiled: true) { $0.append(event) }
        var empty = Self.event(2)
        empty.comm = ""
        try bench.send(spoiled: true) { $0.append(empty) }
        let output = try bench.output()
        let arguments = try #require(output.records(.network)[0]["args"] as? [String: Any])
        let source = try #require(arguments["src"] as? String)
        #expect(source.hasPrefix("[:\u{FFFD}:") && source.hasSuffix("]:4294967295"))
        #expect(arguments["dst"] as? String == "[::1]:70000")
        #expect(output.rows[0]["Protocol"] == "a,\"b\n")
        let bare = try #require(output.records(.network)[1]["args"] as? [String: Any])
        #expect(bare["src"] == nil && bare["comm"] == nil && bare["op"] as? String == "receive")
        #expect(output.rows[1]["Source"] == "" && output.rows[1]["Process"] == "")
        #expect(bench.samples().value(.errorsTotal, "name_cut") == 2)
    }
}
