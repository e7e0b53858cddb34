import Testing
import TraceMetrics
import TraceModel
import TraceWire

/// A field of an event that is cut or repaired counts once, in how many places ever it is written.
@Suite struct CountingTests {
    /// Too long, and `~` becomes a byte that is no UTF-8.
    private static let name = "~" + String(repeating: "x", count: Limits.nameBytesMax)

    private func expect(
        _ count: Double,
        _ resource: Resource,
        _ fill: (inout BatchEncoder) -> Void
    ) throws {
        let bench = try ProcessorBench(resource)
        try bench.send(spoiled: true, fill)
        let samples = bench.samples()
        #expect(samples.value(.errorsTotal, "name_cut") == count, "\(resource.name)")
        #expect(samples.value(.errorsTotal, "invalid_utf8_replaced") == count, "\(resource.name)")
    }

    @Test func eachFieldOnce() throws {
        let anomalies = [BatchEncoder.Anomaly(description: Self.name, severity: 1)]
        try expect(2, .function) { $0.call(Self.name, at: 0, milliseconds: 1) }
        try expect(1, .cpu) {
            var event = BatchEncoder.CPU()
            event.comm = Self.name
            $0.append(event)
        }
        try expect(3, .memory) {
            var event = BatchEncoder.Memory()
            (event.comm, event.operation) = (Self.name, Self.name)
            event.anomalies = anomalies
            $0.append(event)
        }
        try expect(5, .network) {
            var event = BatchEncoder.Network()
            (event.comm, event.transport) = (Self.name, Self.name)
            (event.sourceAddress, event.destinationAddress) = (Self.name, Self.name)
            event.anomalies = anomalies
            $0.append(event)
        }
        try expect(3, .io) {
            var event = BatchEncoder.IO()
            (event.comm, event.operation, event.device) = (Self.name, Self.name, Self.name)
            $0.append(event)
        }
        try expect(4, .gpu) {
            $0.gpu(at: 0, .launch(pid: 7, kernelName: Self.name, calls: 1))
            $0.gpu(at: 0, .transfer(pid: 7, bytesPerSecond: 1, kind: Self.name))
            $0.gpu(at: 0, .callStack(pid: 7, frames: [Self.name, "main", Self.name]))
        }
    }
}
