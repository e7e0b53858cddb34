import TraceModel
import TraceWire

/// One event as it goes over the wire, and who it is in the output.
struct ContractEvent {
    var host: String
    var pid: UInt32
    /// When it happens; whole microseconds, so that JSON readers lose nothing.
    var time: EpochNanoseconds
    /// A field of a `TraceBatch`: such fields one after another are a batch.
    var bytes: [UInt8]

    /// Whether it is a function's exit; of no other resource.
    var isFunctionExit: Bool {
        bytes.withUnsafeBytes { bytes in
            var payloads = EventPayloads(of: .function, in: bytes)
            return payloads.next().map { FunctionEvent(decoding: $0).eventType == 1 } ?? false
        }
    }

    var slot: UInt8 { Slot.of(hostHash: Self.hash(host), processID: pid) }

    static func hash(_ host: String) -> UInt64 {
        var host = host
        return host.withUTF8 { Slot.hash(host: UnsafeRawBufferPointer($0)) }
    }

    /// `time` as agents write it.
    static func timestamp(_ time: EpochNanoseconds) -> String {
        let fraction = String(time % 1_000_000_000 + 1_000_000_000).dropFirst()
        return "\(time / 1_000_000_000).\(fraction)"
    }
}
