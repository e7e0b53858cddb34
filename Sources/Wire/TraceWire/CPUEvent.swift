public import TraceModel

/// `CPUTraceData`: a sample of a process's CPU use.
@usableFromInline package struct CPUEvent: WireEvent {
    package static var resource: Resource { .cpu }

    @usableFromInline package private(set) var timestamp = ByteView.empty
    @usableFromInline package private(set) var pid: UInt32 = 0
    @usableFromInline package private(set) var parentPID: UInt32 = 0
    @usableFromInline package private(set) var comm = ByteView.empty
    @usableFromInline package private(set) var cpuID: UInt32 = 0
    /// Cumulative.
    @usableFromInline package private(set) var onCPUMicroseconds: UInt64 = 0
    /// Cumulative.
    @usableFromInline package private(set) var offCPUMicroseconds: UInt64 = 0
    /// Unchecked, may be NaN or infinite.
    @usableFromInline package private(set) var utilizationPercent: Double = 0
    /// Cumulative.
    @usableFromInline package private(set) var migrations: UInt32 = 0
    /// Cumulative.
    @usableFromInline package private(set) var numaMigrations: UInt32 = 0
    @usableFromInline package private(set) var hotspotCPU: UInt32 = 0
    @usableFromInline package private(set) var hotspotPercent: Double = 0

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
                case 3 << 3 | WireType.varint: parentPID = try reader.uint32()
                case 4 << 3 | WireType.bytes: comm = try reader.bytes()
                case 5 << 3 | WireType.varint: cpuID = try reader.uint32()
                case 6 << 3 | WireType.varint: onCPUMicroseconds = try reader.varint()
                case 7 << 3 | WireType.varint: offCPUMicroseconds = try reader.varint()
                case 8 << 3 | WireType.fixed64: utilizationPercent = try reader.double()
                case 10 << 3 | WireType.varint: migrations = try reader.uint32()
                case 11 << 3 | WireType.varint: numaMigrations = try reader.uint32()
                case 12 << 3 | WireType.varint: hotspotCPU = try reader.uint32()
                case 13 << 3 | WireType.fixed64: hotspotPercent = try reader.double()
                default: try reader.skip(tag)
                }
            }
        } catch { return }
    }
}
