package import TraceModel

/// An anomaly that the agent reports inside a memory or network event.
package struct AgentAnomaly {
    package private(set) var description = ByteView.empty
    /// 0 to 1 by contract; unchecked, so any value including NaN.
    package private(set) var severity = 0.0

    package init(decoding payload: ByteView) {
        var reader = FieldReader(payload)
        do throws(WireProblem) {
            while true {
                let tag = try reader.nextTag()
                switch tag {
                case 0: return
                case 1 << 3 | WireType.bytes: description = try reader.bytes()
                case 2 << 3 | WireType.fixed64: severity = try reader.double()
                default: try reader.skip(tag)
                }
            }
        } catch { return }
    }
}

/// Iterates over the anomalies of one event, decoding lazily because nearly all events have none.
package struct AgentAnomalies: Sequence, IteratorProtocol {
    private var reader: FieldReader
    private let tag: UInt32

    init(in payload: ByteView, field: UInt32) {
        reader = FieldReader(payload)
        tag = field << 3 | WireType.bytes
    }

    /// Decodes the next anomaly.
    package mutating func next() -> AgentAnomaly? {
        do throws(WireProblem) {
            while true {
                let found = try reader.nextTag()
                if found == tag { return AgentAnomaly(decoding: try reader.bytes()) }
                if found == 0 { return nil }
                try reader.skip(found)
            }
        } catch { return nil }
    }
}
