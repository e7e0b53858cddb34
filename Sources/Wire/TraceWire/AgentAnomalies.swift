import TraceModel

/// Walks the anomalies of one event lazily: nearly all events have none.
package struct AgentAnomalies: Sequence, IteratorProtocol {
    private var reader: FieldReader
    private let tag: UInt32

    init(in payload: ByteView, field: UInt32) {
        reader = FieldReader(payload)
        tag = field << 3 | WireType.bytes
    }

    package mutating func next() -> AgentAnomaly? {
        do throws(WireProblem) {
            while true {
                let found = try reader.nextTag()
                if found == tag { return AgentAnomaly(decoding: try reader.bytes()) }
                if found == 0 { return nil }
                try reader.skip(found)
            }
        } catch {
            return nil
        }
    }
}
