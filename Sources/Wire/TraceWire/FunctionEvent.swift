public import TraceModel

/// `TraceData`: entry to or exit from a function.
@usableFromInline package struct FunctionEvent: WireEvent {
    package static var resource: Resource { .function }

    @usableFromInline package private(set) var timestamp = ByteView.empty
    /// 0 entry, 1 exit; unchecked.
    @usableFromInline package private(set) var eventType: Int32 = 0
    @usableFromInline package private(set) var cookie: Int64 = 0
    @usableFromInline package private(set) var functionName = ByteView.empty
    /// Thread id; named as in the proto.
    @usableFromInline package private(set) var pid: UInt32 = 0
    @usableFromInline package private(set) var callCount: UInt64 = 0
    @usableFromInline package private(set) var averageDurationMicroseconds: UInt64 = 0
    /// Process id, unchecked.
    @usableFromInline package private(set) var tgid: UInt32 = 0

    @inlinable package var processID: UInt32 { tgid != 0 ? tgid : pid }
    @inlinable package var threadID: UInt32 { pid }

    package init(decoding payload: ByteView, readableUntil limit: UnsafeRawPointer?) {
        var reader = unsafe FieldReader(payload, readableUntil: limit)
        do throws(WireProblem) {
            while true {
                let tag = try reader.nextTag()
                switch tag {
                case 0: return
                case 1 << 3 | WireType.bytes: timestamp = try reader.bytes()
                case 2 << 3 | WireType.varint: eventType = try reader.int32()
                case 3 << 3 | WireType.varint: cookie = Int64(bitPattern: try reader.varint())
                case 4 << 3 | WireType.bytes: functionName = try reader.bytes()
                case 5 << 3 | WireType.varint: pid = try reader.uint32()
                case 6 << 3 | WireType.varint: callCount = try reader.varint()
                case 7 << 3 | WireType.varint: averageDurationMicroseconds = try reader.varint()
                case 8 << 3 | WireType.varint: tgid = try reader.uint32()
                default: try reader.skip(tag)
                }
            }
        } catch { return }
    }
}
