import Testing
import TraceModel
import TraceWire

/// What the encoder writes, the server's own scanner and decoders read.
struct BatchEncoderTests {
    private func payloads(of resource: Resource, in encoder: borrowing BatchEncoder) -> [ByteView] {
        var found: [ByteView] = []
        var payloads = EventPayloads(of: resource, in: encoder.bytes)
        while let payload = payloads.next() { found.append(payload) }
        return found
    }

    @Test func envelopeIsScanned() throws {
        var encoder = BatchEncoder()
        encoder.append(BatchEncoder.Function())
        encoder.append(BatchEncoder.IO())
        var envelope = BatchEncoder.Envelope()
        envelope.clientID = "client-1"
        envelope.sequence = .max
        envelope.isLastBatch = true
        envelope.host = "wirt"
        encoder.append(envelope)
        var index = EventIndex()
        let summary = try BatchScanner.scan(encoder.bytes, into: &index)
        #expect(summary.clientID.string == "client-1")
        #expect(summary.sequence == .max)
        #expect(summary.isLastBatch)
        #expect(summary.host.string == "wirt")
        #expect(summary.total == 2)
        #expect(summary.count(of: .function) == 1)
        #expect(summary.count(of: .io) == 1)
        #expect(encoder.eventCount == 2)
    }

    @Test func removeAllBeginsAnew() throws {
        var encoder = BatchEncoder()
        encoder.append(BatchEncoder.CPU())
        encoder.removeAll()
        #expect(encoder.bytes.isEmpty)
        #expect(encoder.eventCount == 0)
        encoder.append(BatchEncoder.Memory())
        #expect(payloads(of: .memory, in: encoder).count == 1)
        #expect(payloads(of: .cpu, in: encoder).isEmpty)
    }

    @Test func functionEvent() throws {
        var encoder = BatchEncoder()
        var sent = BatchEncoder.Function()
        sent.timestamp = "1700000000.000001"
        sent.eventType = 1
        sent.cookie = -7
        sent.functionName = "größe(int)"
        sent.pid = 300
        sent.callCount = 1 << 40
        sent.averageDurationMicroseconds = 12
        sent.tgid = .max
        encoder.append(sent)
        let payload = try #require(payloads(of: .function, in: encoder).first)
        let event = FunctionEvent(decoding: payload)
        #expect(event.timestamp.string == "1700000000.000001")
        #expect(event.eventType == 1)
        #expect(event.cookie == -7)
        #expect(event.functionName.string == "größe(int)")
        #expect(event.pid == 300)
        #expect(event.callCount == 1 << 40)
        #expect(event.averageDurationMicroseconds == 12)
        #expect(event.tgid == .max)
    }

    @Test func cpuEvent() throws {
        var encoder = BatchEncoder()
        var sent = BatchEncoder.CPU()
        sent.pid = 1
        sent.ppid = 2
        sent.comm = "cc1plus"
        sent.cpuID = 3
        sent.onCPUMicroseconds = 4
        sent.offCPUMicroseconds = 5
        sent.utilizationPercent = 99.5
        sent.migrations = 6
        sent.numaMigrations = 7
        sent.hotspotCPU = 8
        sent.hotspotPercent = 0.25
        encoder.append(sent)
        let event = CPUEvent(decoding: try #require(payloads(of: .cpu, in: encoder).first))
        #expect(event.timestamp.isEmpty)
        #expect(event.pid == 1)
        #expect(event.parentPID == 2)
        #expect(event.comm.string == "cc1plus")
        #expect(event.cpuID == 3)
        #expect(event.onCPUMicroseconds == 4)
        #expect(event.offCPUMicroseconds == 5)
        #expect(event.utilizationPercent == 99.5)
        #expect(event.migrations == 6)
        #expect(event.numaMigrations == 7)
        #expect(event.hotspotCPU == 8)
        #expect(event.hotspotPercent == 0.25)
    }

    @Test func memoryEvent() throws {
        var encoder = BatchEncoder()
        var sent = BatchEncoder.Memory()
        sent.pid = 1
        sent.tgid = 2
        sent.comm = "java"
        sent.operation = "alloc"
        sent.size = 3
        sent.address = .max
        sent.stackID = 4
        sent.totalAllocs = 5
        sent.totalFrees = 6
        sent.currentMemory = 7
        sent.peakMemory = 8
        sent.pattern = 4
        sent.largeAllocs = 9
        sent.fragmentationScore = 10
        sent.leakSuspected = true
        sent.churnScore = 11
        sent.anomalies = [
            .init(description: "leak", severity: 0.5), .init(description: "", severity: 0),
        ]
        encoder.append(sent)
        let event = MemoryEvent(decoding: try #require(payloads(of: .memory, in: encoder).first))
        #expect(event.pid == 1)
        #expect(event.tgid == 2)
        #expect(event.comm.string == "java")
        #expect(event.operation.string == "alloc")
        #expect(event.size == 3)
        #expect(event.address == .max)
        #expect(event.stackID == 4)
        #expect(event.totalAllocations == 5)
        #expect(event.totalFrees == 6)
        #expect(event.currentMemory == 7)
        #expect(event.peakMemory == 8)
        #expect(event.pattern == 4)
        #expect(event.largeAllocations == 9)
        #expect(event.fragmentationScore == 10)
        #expect(event.leakSuspected)
        #expect(event.churnScore == 11)
        #expect(event.anomalyCount == 2)
        let anomalies = Array(event.anomalies)
        #expect(anomalies.map(\.description.string) == ["leak", ""])
        #expect(anomalies.map(\.severity) == [0.5, 0])
    }

    @Test func networkEvent() throws {
        var encoder = BatchEncoder()
        var sent = BatchEncoder.Network()
        sent.tgid = 2
        sent.isSend = true
        sent.bytes = 3
        sent.sourceAddress = "127.0.0.1"
        sent.destinationAddress = "::1"
        sent.sourcePort = 65_535
        sent.destinationPort = 443
        sent.transport = "TCP"
        sent.txBytes = 4
        sent.rxBytes = 5
        sent.txPackets = 6
        sent.rxPackets = 7
        sent.pattern = -1
        sent.retransmits = 8
        sent.errors = 9
        sent.isBursty = true
        sent.activeConnections = 10
        sent.anomalies = [.init(description: "burst", severity: 1)]
        encoder.append(sent)
        let event = NetworkEvent(decoding: try #require(payloads(of: .network, in: encoder).first))
        #expect(event.pid == 0)
        #expect(event.tgid == 2)
        #expect(event.isSend)
        #expect(event.byteCount == 3)
        #expect(event.sourceAddress.string == "127.0.0.1")
        #expect(event.destinationAddress.string == "::1")
        #expect(event.sourcePort == 65_535)
        #expect(event.destinationPort == 443)
        #expect(event.transport.string == "TCP")
        #expect(event.txBytes == 4)
        #expect(event.rxBytes == 5)
        #expect(event.txPackets == 6)
        #expect(event.rxPackets == 7)
        #expect(event.pattern == -1)
        #expect(event.retransmits == 8)
        #expect(event.errors == 9)
        #expect(event.isBursty)
        #expect(event.activeConnections == 10)
        #expect(Array(event.anomalies).map(\.description.string) == ["burst"])
    }

    @Test func ioEvent() throws {
        var encoder = BatchEncoder()
        var sent = BatchEncoder.IO()
        sent.pid = 1
        sent.comm = "dd"
        sent.operation = "READ"
        sent.bytes = 2
        sent.latencyMilliseconds = 0.125
        sent.device = "vda"
        sent.major = 3
        sent.minor = 4
        sent.readBytes = 5
        sent.writeBytes = 6
        sent.readOperations = 7
        sent.writeOperations = 8
        sent.averageReadLatencyMilliseconds = 9.5
        sent.averageWriteLatencyMilliseconds = -0.0
        encoder.append(sent)
        let event = IOEvent(decoding: try #require(payloads(of: .io, in: encoder).first))
        #expect(event.pid == 1)
        #expect(event.comm.string == "dd")
        #expect(event.operation.string == "READ")
        #expect(event.latencyMilliseconds == 0.125)
        #expect(event.device.string == "vda")
        #expect(event.major == 3)
        #expect(event.minor == 4)
        #expect(event.byteCount == 2)
        #expect(event.readBytes == 5)
        #expect(event.writeBytes == 6)
        #expect(event.readOperations == 7)
        #expect(event.writeOperations == 8)
        #expect(event.averageReadLatencyMilliseconds == 9.5)
        #expect(event.averageWriteLatencyMilliseconds.bitPattern == (-0.0).bitPattern)
    }

    @Test func gpuEvents() throws {
        var encoder = BatchEncoder()
        let payloadsSent: [BatchEncoder.GPU.Payload] = [
            .callStack(pid: 1, frames: ["main", "launch"]), .memory(pid: 2, bytes: 1 << 33),
            .launch(pid: 3, kernelName: "saxpy", calls: 9),
            .transfer(pid: 4, bytesPerSecond: 77, kind: "H2D"), .none,
        ]
        for payload in payloadsSent {
            var event = BatchEncoder.GPU()
            event.payload = payload
            encoder.append(event)
        }
        let events = payloads(of: .gpu, in: encoder).map { GPUEvent(decoding: $0) }
        #expect(events.map(\.eventType) == [1, 2, 3, 4, 0])
        #expect(events.map(\.pid) == [1, 2, 3, 4, 0])
        #expect(events.map(\.text.string) == ["main\nlaunch", "", "saxpy", "H2D", ""])
        #expect(events.map(\.value) == [0, 1 << 33, 9, 77, 0])
    }

    /// By hand from the encoding's rules, so that encoder and decoder can't share a mistake.
    @Test func bytesOnTheWire() {
        var encoder = BatchEncoder()
        var event = BatchEncoder.CPU()
        event.pid = 300
        event.comm = "a"
        event.utilizationPercent = 1
        encoder.append(event)
        let expected: [UInt8] =
            [0x1A, 15, 0x10, 0xAC, 0x02, 0x22, 1, 0x61, 0x41] + [0, 0, 0, 0, 0, 0, 0xF0, 0x3F]
        #expect(Array(encoder.bytes) == expected)
    }
}
