public import TraceModel

/// `IOTraceData`: an operation on a block device.
@usableFromInline package struct IOEvent: WireEvent {
    package static var resource: Resource { .io }

    @usableFromInline package private(set) var timestamp = ByteView.empty
    @usableFromInline package private(set) var pid: UInt32 = 0
    @usableFromInline package private(set) var comm = ByteView.empty
    /// `READ`, `WRITE`, `SYNC`…
    @usableFromInline package private(set) var operation = ByteView.empty
    @usableFromInline package private(set) var byteCount: UInt64 = 0
    /// Unchecked, may be NaN or infinite.
    @usableFromInline package private(set) var latencyMilliseconds: Double = 0
    @usableFromInline package private(set) var device = ByteView.empty
    @usableFromInline package private(set) var major: UInt32 = 0
    @usableFromInline package private(set) var minor: UInt32 = 0
    /// Cumulative.
    @usableFromInline package private(set) var readBytes: UInt64 = 0
    /// Cumulative.
    @usableFromInline package private(set) var writeBytes: UInt64 = 0
    /// Cumulative.
    @usableFromInline package private(set) var readOperations: UInt64 = 0
    /// Cumulative.
    @usableFromInline package private(set) var writeOperations: UInt64 = 0
    @usableFromInline package private(set) var averageReadLatencyMilliseconds: Double = 0
    @usableFromInline package private(set) var averageWriteLatencyMilliseconds: Double = 0

    @inlinable package var processID: UInt32 { pid }
    @inlinable package var threadID: UInt32 { pid }

    package init(decoding payload: ByteView, readableUntil limit: UnsafeRawPointer?) {
        var reader = unsafe FieldReader(payload, readableUntil: limit)
        do throws(WireProblem) {
            while true {
                let tag = try reader.nextTag()
                switch tag {
                case 0: return
                case 1 << 3 | WireType.bytes: timestamp = try reader.bytes()
                case 2 << 3 | WireType.varint: pid = try reader.uint32()
                case 3 << 3 | WireType.bytes: comm = try reader.bytes()
                case 4 << 3 | WireType.bytes: operation = try reader.bytes()
                case 5 << 3 | WireType.varint: byteCount = try reader.varint()
                case 6 << 3 | WireType.fixed64: latencyMilliseconds = try reader.double()
                case 7 << 3 | WireType.bytes: device = try reader.bytes()
                case 8 << 3 | WireType.varint: major = try reader.uint32()
                case 9 << 3 | WireType.varint: minor = try reader.uint32()
                case 10 << 3 | WireType.varint: readBytes = try reader.varint()
                case 11 << 3 | WireType.varint: writeBytes = try reader.varint()
                case 12 << 3 | WireType.varint: readOperations = try reader.varint()
                case 13 << 3 | WireType.varint: writeOperations = try reader.varint()
                case 14 << 3 | WireType.fixed64:
                    averageReadLatencyMilliseconds = try reader.double()
                case 15 << 3 | WireType.fixed64:
                    averageWriteLatencyMilliseconds = try reader.double()
                default: try reader.skip(tag)
                }
            }
        } catch { return }
    }
}
