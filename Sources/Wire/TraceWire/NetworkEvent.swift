public import TraceModel

/// `NetworkTraceData`: bytes sent or received.
@usableFromInline package struct NetworkEvent: WireEvent {
    package static var resource: Resource { .network }

    @usableFromInline package private(set) var timestamp = ByteView.empty
    /// Thread id; named as in the proto.
    @usableFromInline package private(set) var pid: UInt32 = 0
    /// Process id, unchecked.
    @usableFromInline package private(set) var tgid: UInt32 = 0
    @usableFromInline package private(set) var comm = ByteView.empty
    @usableFromInline package private(set) var isSend = false
    @usableFromInline package private(set) var byteCount: UInt64 = 0
    @usableFromInline package private(set) var sourceAddress = ByteView.empty
    @usableFromInline package private(set) var destinationAddress = ByteView.empty
    @usableFromInline package private(set) var sourcePort: UInt32 = 0
    /// 0 if the process listens on the source port.
    @usableFromInline package private(set) var destinationPort: UInt32 = 0
    /// Field `protocol`.
    @usableFromInline package private(set) var transport = ByteView.empty
    /// Cumulative.
    @usableFromInline package private(set) var txBytes: UInt64 = 0
    /// Cumulative.
    @usableFromInline package private(set) var rxBytes: UInt64 = 0
    /// Cumulative.
    @usableFromInline package private(set) var txPackets: UInt64 = 0
    /// Cumulative.
    @usableFromInline package private(set) var rxPackets: UInt64 = 0
    @usableFromInline package private(set) var pattern: Int32 = 0
    @usableFromInline package private(set) var retransmits: UInt32 = 0
    @usableFromInline package private(set) var errors: UInt32 = 0
    @usableFromInline package private(set) var isBursty = false
    @usableFromInline package private(set) var activeConnections: UInt32 = 0
    /// Number of `anomalies`.
    @usableFromInline package private(set) var anomalyCount = 0
    private let payload: ByteView

    @inlinable package var processID: UInt32 { tgid != 0 ? tgid : pid }
    @inlinable package var threadID: UInt32 { pid }

    /// The agent's own anomalies. Walks the event again, so check `anomalyCount` first.
    package var anomalies: AgentAnomalies { AgentAnomalies(in: payload, field: 21) }

    package init(decoding payload: ByteView, readableUntil limit: UnsafeRawPointer?) {
        self.payload = payload
        var reader = unsafe FieldReader(payload, readableUntil: limit)
        do throws(WireProblem) {
            while true {
                let tag = try reader.nextTag()
                switch tag {
                case 0: return
                case 1 << 3 | WireType.bytes: timestamp = try reader.bytes()
                case 2 << 3 | WireType.varint: pid = try reader.uint32()
                case 3 << 3 | WireType.varint: tgid = try reader.uint32()
                case 4 << 3 | WireType.bytes: comm = try reader.bytes()
                case 5 << 3 | WireType.varint: isSend = try reader.bool()
                case 6 << 3 | WireType.varint: byteCount = try reader.varint()
                case 7 << 3 | WireType.bytes: sourceAddress = try reader.bytes()
                case 8 << 3 | WireType.bytes: destinationAddress = try reader.bytes()
                case 9 << 3 | WireType.varint: sourcePort = try reader.uint32()
                case 10 << 3 | WireType.varint: destinationPort = try reader.uint32()
                case 11 << 3 | WireType.bytes: transport = try reader.bytes()
                case 12 << 3 | WireType.varint: txBytes = try reader.varint()
                case 13 << 3 | WireType.varint: rxBytes = try reader.varint()
                case 14 << 3 | WireType.varint: txPackets = try reader.varint()
                case 15 << 3 | WireType.varint: rxPackets = try reader.varint()
                case 16 << 3 | WireType.varint: pattern = try reader.int32()
                case 17 << 3 | WireType.varint: retransmits = try reader.uint32()
                case 18 << 3 | WireType.varint: errors = try reader.uint32()
                case 19 << 3 | WireType.varint: isBursty = try reader.bool()
                case 20 << 3 | WireType.varint: activeConnections = try reader.uint32()
                case 21 << 3 | WireType.bytes:
                    _ = try reader.bytes()
                    anomalyCount += 1
                default: try reader.skip(tag)
                }
            }
        } catch { return }
    }
}
