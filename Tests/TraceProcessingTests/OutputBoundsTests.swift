import SystemIO
import Testing
import TraceFiles
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// What hostile events become stays within what disk space is kept free for.
@Suite struct OutputBoundsTests {
    private static let events = 200

    /// Sends a batch and counts what it becomes, beside the bytes that the router would reserve for it.
    private func written(
        _ resource: Resource,
        _ fill: (inout BatchEncoder, Int) -> Void
    ) throws -> (output: Int, reserved: Int, wire: Int) {
        let bench = try ProcessorBench(resource)
        var batch = BatchEncoder()
        for index in 0..<Self.events { fill(&batch, index) }
        let bytes = Array(batch.bytes)
        try bench.send(bytes, semantics: .cumulative)
        try bench.files.flush(.all)
        let reserved =
            bytes.count * Limits.escapedBytesPerWireByteMax + batch.eventCount
            * Limits.outputBytesPerEvent(resource)
        return (bench.files.openWindowBytes, reserved, bytes.count)
    }

    /// Bytes that are escaped, and how many of them.
    private static let texts: [String] = ["\u{1}", "\"", "\\", "|", "ü\u{2}", ",\"", "="].flatMap {
        text in
        [0, 1, 3, 7, 8, 20, 100, 1_000, 5_000].map { String(repeating: text, count: $0) }
    }

    @Test(arguments: Resource.allCases) func textsOfEscapesStayWithinTheReserve(
        _ resource: Resource
    ) throws {
        for text in Self.texts {
            let (output, reserved, _) = try written(resource) { batch, index in
                let pid = UInt32(index % 3 + 1)
                switch resource {
                case .function:
                    var event = BatchEncoder.Function()
                    (event.functionName, event.tgid, event.pid) = (text, pid, pid)
                    event.eventType = Int32(index % 2)
                    batch.append(event)
                case .cpu:
                    var event = BatchEncoder.CPU()
                    (event.comm, event.pid) = (text, pid)
                    batch.append(event)
                case .memory:
                    var event = BatchEncoder.Memory()
                    (event.comm, event.operation, event.pid) = (text, text, pid)
                    event.anomalies = [.init(description: text, severity: 1)]
                    batch.append(event)
                case .network:
                    var event = BatchEncoder.Network()
                    (event.comm, event.transport, event.pid) = (text, text, pid)
                    (event.sourceAddress, event.destinationAddress) = (text, text)
                    event.anomalies = [.init(description: text, severity: 1)]
                    batch.append(event)
                case .io:
                    var event = BatchEncoder.IO()
                    (event.comm, event.operation, event.device) = (text, text, text)
                    event.pid = pid
                    batch.append(event)
                case .gpu:
                    if index % 2 == 0 {
                        batch.gpu(at: 0, .launch(pid: pid, kernelName: text, calls: 1))
                    } else {
                        batch.gpu(at: 0, .callStack(pid: pid, frames: [text, "main", text]))
                    }
                }
            }
            #expect(
                output <= reserved,
                "\(resource.name) \(text.prefix(2).debugDescription) \(text.utf8.count)"
            )
        }
    }

    /// Of findings without text only the first two are recorded; all stand in the row of their event.
    @Test(arguments: [Resource.memory, .network]) func findingsNeedText(_ resource: Resource) throws
    {
        func send(_ anomalies: [BatchEncoder.Anomaly], to batch: inout BatchEncoder) {
            if resource == .memory {
                var event = BatchEncoder.Memory()
                (event.pid, event.anomalies) = (1, anomalies)
                batch.append(event)
            } else {
                var event = BatchEncoder.Network()
                (event.pid, event.anomalies) = (1, anomalies)
                batch.append(event)
            }
        }
        let bare = Array(
            repeating: BatchEncoder.Anomaly(description: "", severity: 0),
            count: Limits.eventAnomaliesMax
        )
        let (output, reserved, wire) = try written(resource) { batch, _ in send(bare, to: &batch) }
        #expect(output <= reserved + wire * 18, "each stands in its event's row")
        let bench = try ProcessorBench(resource)
        let agentAnomaly = BatchEncoder.Anomaly(
            description: "a leak of 4096 bytes in the pool",
            severity: 0.5
        )
        try bench.send {
            send(bare, to: &$0)
            send(Array(repeating: agentAnomaly, count: 10), to: &$0)
        }
        let samples = bench.samples()
        #expect(samples.value(.anomaliesTotal, resource.name, "agent") == 12)
        #expect(
            samples.value(.errorsTotal, "anomalies_cut") == Double(Limits.eventAnomaliesMax - 2)
        )
        let rows = try bench.output().records(resource)
        let counts = rows.map { (($0["args"] as? [String: Any])?["anomalies"] as? [Any])?.count }
        #expect(counts == [Limits.eventAnomaliesMax, 10])
    }

    /// What an agent calls a process stands in rows of events that did not bring it.
    @Test func aLongNameOfAProcessIsCutForItsEvents() throws {
        let bench = try ProcessorBench(.function)
        let name = String(repeating: "n", count: 4_000)
        try bench.send { batch in
            var given = BatchEncoder.Name()
            (given.pid, given.name) = (7, name)
            batch.append(given)
            for index in 0..<100 { batch.call("f", at: Double(index), milliseconds: 1) }
        }
        #expect(bench.samples().value(.errorsTotal, "name_cut") == 1)
        let output = try bench.output()
        #expect(
            output.rows.allSatisfy { ($0["Process"] ?? "").utf8.count <= Limits.shownNameBytesMax }
        )
    }

    @Test func sparseEventsStayWithinTheReserve() throws {
        for resource in Resource.allCases {
            let (output, reserved, _) = try written(resource) { batch, _ in
                switch resource {
                case .function: batch.append(BatchEncoder.Function())
                case .cpu: batch.append(BatchEncoder.CPU())
                case .memory: batch.append(BatchEncoder.Memory())
                case .network: batch.append(BatchEncoder.Network())
                case .io: batch.append(BatchEncoder.IO())
                case .gpu: batch.gpu(at: 0, .launch(pid: 0, kernelName: "", calls: 0))
                }
            }
            #expect(output <= reserved, "\(resource.name)")
        }
    }
}
