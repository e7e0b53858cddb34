public import TraceModel

/// `MemoryTraceData`: an allocation or a release.
@usableFromInline package struct MemoryEvent: WireEvent {
    package static var resource: Resource { .memory }

    @usableFromInline package private(set) var timestamp = ByteView.empty
    /// Thread id; named as in the proto.
    @usableFromInline package private(set) var pid: UInt32 = 0
    /// Process id, unchecked.
    @usableFromInline package private(set) var tgid: UInt32 = 0
    @usableFromInline package private(set) var comm = ByteView.empty
    /// `alloc`, `free`.
    @usableFromInline package private(set) var operation = ByteView.empty
    /// Bytes.
    @usableFromInline package private(set) var size: UInt64 = 0
    @usableFromInline package private(set) var address: UInt64 = 0
    @usableFromInline package private(set) var stackID: UInt64 = 0
    /// Cumulative.
    @usableFromInline package private(set) var totalAllocations: UInt64 = 0
    /// Cumulative.
    @usableFromInline package private(set) var totalFrees: UInt64 = 0
    /// Bytes.
    @usableFromInline package private(set) var currentMemory: UInt64 = 0
    /// Bytes.
    @usableFromInline package private(set) var peakMemory: UInt64 = 0
    /// 0 unknown, 1 stable, 2 growing, 3 fluctuating, 4 leaking.
    @usableFromInline package private(set) var pattern: Int32 = 0
    @usableFromInline package private(set) var largeAllocations: UInt32 = 0
    /// 0 to 100.
    @usableFromInline package private(set) var fragmentationScore: UInt32 = 0
    @usableFromInline package private(set) var leakSuspected = false
    /// 0 to 100.
    @usableFromInline package private(set) var churnScore: UInt32 = 0
    /// Number of `anomalies`.
    @usableFromInline package private(set) var anomalyCount = 0
    private let payload: ByteView

    @inlinable package var processID: UInt32 { tgid != 0 ? tgid : pid }
    @inlinable package var threadID: UInt32 { pid }

    /// The agent's own anomalies. Walks the event again, so check `anomalyCount` first.
    package var anomalies: AgentAnomalies { AgentAnomalies(in: payload, field: 18) }

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
                case 5 << 3 | WireType.bytes: operation = try reader.bytes()
                case 6 << 3 | WireType.varint: size = try reader.varint()
                case 7 << 3 | WireType.varint: address = try reader.varint()
                case 8 << 3 | WireType.varint: stackID = try reader.varint()
                case 9 << 3 | WireType.varint: totalAllocations = try reader.varint()
                case 10 << 3 | WireType.varint: totalFrees = try reader.varint()
                case 11 << 3 | WireType.varint: currentMemory = try reader.varint()
                case 12 << 3 | WireType.varint: peakMemory = try reader.varint()
                case 13 << 3 | WireType.varint: pattern = try reader.int32()
                case 14 << 3 | WireType.varint: largeAllocations = try reader.uint32()
                case 15 << 3 | WireType.varint: fragmentationScore = try reader.uint32()
                case 16 << 3 | WireType.varint: leakSuspected = try reader.bool()
                case 17 << 3 | WireType.varint: churnScore = try reader.uint32()
                case 18 << 3 | WireType.bytes:
                    _ = try reader.bytes()
                    anomalyCount += 1
                default: try reader.skip(tag)
                }
            }
        } catch { return }
    }
}
