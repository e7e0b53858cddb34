import GRPCServices
import GRPCTransport
import Testing
import TraceModel

/// Encodes and decodes the services' messages, and compares them with hand-written bytes.
@Suite struct MessageTests {
    @Test func traceResponse() throws {
        let message = TraceResponse(success: true, message: "ok")
        #expect(message.encoded() == [8, 1, 18, 2, 0x6F, 0x6B])
        try #expect(TraceResponse(decoding: message.encoded()) == message)
        #expect(TraceResponse(success: false).encoded() == [])
        try #expect(TraceResponse(decoding: []) == TraceResponse(success: false))
    }

    @Test func statusMessages() throws {
        let request = StatusRequest(clientID: "agent-ü")
        try #expect(StatusRequest(decoding: request.encoded()) == request)
        let response = StatusResponse(
            active: true,
            receivedTraces: 1 << 40,
            serverVersion: BuildInfo.version
        )
        try #expect(StatusResponse(decoding: response.encoded()) == response)
        #expect(Array(response.encoded().prefix(3)) == [8, 1, 16])
    }

    @Test func batchAck() throws {
        let ack = BatchAck(sequence: 300, success: true, message: "", acceptedEvents: 7)
        #expect(ack.encoded() == [8, 0xAC, 2, 16, 1, 32, 7])
        try #expect(BatchAck(decoding: ack.encoded()) == ack)
    }

    @Test func adminMessages() throws {
        let final = FinalizeResponse(window: 3, files: ["output/a.json", "output/b.csv"])
        try #expect(FinalizeResponse(decoding: final.encoded()) == final)
        // A window with many hosts.
        let many = FinalizeResponse(
            window: 4,
            files: (0..<20_000).map { "output/json/function_trace_20251009_085320_host-\($0).json" }
        )
        try #expect(FinalizeResponse(decoding: many.encoded()) == many)
        try #expect(FinalizeResponse(decoding: []) == FinalizeResponse(window: 0, files: []))
        let counts = [
            WorkerCount(resource: "function", workers: 4), WorkerCount(resource: "io", workers: 1),
        ]
        try #expect(ScaleRequest(decoding: ScaleRequest(counts: counts).encoded()).counts == counts)
        try #expect(ScaleRequest(decoding: []).counts == [])
        let scaled = ScaleResponse(counts: counts, movedSlots: 128)
        try #expect(ScaleResponse(decoding: scaled.encoded()) == scaled)
        let slots = SlotsResponse(holdings: [
            SlotHolding(
                worker: WorkerName(resource: .function, index: 1),
                slots: [0...3, 9...9],
                since: 7
            ),
            SlotHolding(
                worker: WorkerName(resource: .gpu, index: 0),
                slots: [0...255],
                since: 1 << 40
            ),
        ])
        try #expect(SlotsResponse(decoding: slots.encoded()) == slots)
        try #expect(SlotsResponse(decoding: []).holdings == [])
    }

    @Test func damagedAndOversizedRequestsAreRefused() {
        for bytes in [[UInt8]]([[10, 200], [0xFF], [UInt8](repeating: 0, count: 70_000)]) {
            let error = #expect(throws: TraceError.self) { _ = try ScaleRequest(decoding: bytes) }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains("ScaleRequest") == true)
        }
    }

    @Test func retryInfo() {
        let trailer = RetryInfo.trailer(
            status: .resourceExhausted,
            message: "full",
            delaySeconds: 1.5
        )
        #expect(trailer.name == "grpc-status-details-bin")
        #expect(RetryInfo.delaySeconds(in: trailer.bytes) == 1.5)
        // As Python's google.rpc packages encode it.
        let url = Array("type.googleapis.com/google.rpc.RetryInfo".utf8)
        let info: [UInt8] = [10, 8, 8, 1, 16, 0x80, 0xCA, 0xB5, 0xEE, 1]
        let any = [10, UInt8(url.count)] + url + [18, UInt8(info.count)] + info
        let expected = [8, 8, 18, 4] + Array("full".utf8) + [26, UInt8(any.count)] + any
        #expect(trailer.bytes == expected)
        #expect(RetryInfo.delaySeconds(in: []) == nil)
        #expect(RetryInfo.delaySeconds(in: [26, 3, 10, 1, 0x41]) == nil)
    }

    @Test func methodPaths() {
        #expect(
            TracerService.Method.sendTraceBatch.path == "/NeuTracer.TracerService/SendTraceBatch"
        )
        #expect(
            TracerService.Method.streamTraceBatches.path
                == "/NeuTracer.TracerService/StreamTraceBatches"
        )
        #expect(AdminService.Method.drain.path == "/TraceProcessor.TraceAdmin/Drain")
    }
}
