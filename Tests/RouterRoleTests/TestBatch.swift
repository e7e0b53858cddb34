import TraceModel
import TraceWire

/// Makes batches as agents send them.
enum TestBatch {
    /// Returns a batch with events of the given kinds and processes, each with a different text.
    static func bytes(
        _ events: [(resource: Resource, process: UInt32)],
        envelope: BatchEncoder.Envelope = BatchEncoder.Envelope()
    ) -> [UInt8] {
        var encoder = BatchEncoder()
        for (number, event) in events.enumerated() {
            append("event \(number)", event.resource, event.process, to: &encoder)
        }
        encoder.append(envelope)
        return Array(encoder.bytes)
    }

    /// Returns a batch of function events of process 1, with its sender.
    static func bytes(
        events: Int,
        client: String = "",
        sequence: UInt64 = 0,
        isLast: Bool = false,
        host: String = ""
    ) -> [UInt8] {
        var envelope = BatchEncoder.Envelope()
        envelope.clientID = client
        envelope.sequence = sequence
        envelope.isLastBatch = isLast
        envelope.host = host
        return bytes((0..<events).map { _ in (.function, 1) }, envelope: envelope)
    }

    /// Returns an unknown field of this size: log bytes without an event.
    static func padding(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = [0xC2, 0x0C]  // field 200, length-delimited
        var length = UInt64(count)
        while length >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: length) | 0x80)
            length >>= 7
        }
        return bytes + [UInt8(length)] + [UInt8](repeating: 0, count: count)
    }

    private static func append(
        _ text: String,
        _ resource: Resource,
        _ process: UInt32,
        to encoder: inout BatchEncoder
    ) {
        switch resource {
        case .function:
            var event = BatchEncoder.Function()
            event.functionName = text
            event.tgid = process
            event.pid = process
            encoder.append(event)
        case .cpu:
            var event = BatchEncoder.CPU()
            event.comm = text
            event.pid = process
            encoder.append(event)
        case .memory:
            var event = BatchEncoder.Memory()
            event.comm = text
            event.tgid = process
            event.pid = process
            encoder.append(event)
        case .network:
            var event = BatchEncoder.Network()
            event.comm = text
            event.tgid = process
            event.pid = process
            encoder.append(event)
        case .io:
            var event = BatchEncoder.IO()
            event.comm = text
            event.pid = process
            encoder.append(event)
        case .gpu:
            var event = BatchEncoder.GPU()
            event.timestamp = text
            event.payload = .memory(pid: process, bytes: 7)
            encoder.append(event)
        }
    }
}
