public import TraceModel

/// `GPUTraceData`: one of four kinds with shared fields; fields that do not apply to the kind are empty.
@usableFromInline package struct GPUEvent: WireEvent {
    /// The member of the oneof that is set; the raw value is its field number.
    @usableFromInline package enum Kind: UInt8, Sendable {
        case none = 0
        case callstack = 3
        case memory = 4
        case launch = 5
        case transfer = 6
    }

    package static var resource: Resource { .gpu }

    @usableFromInline package private(set) var timestamp = ByteView.empty
    /// As sent; `kind` is authoritative.
    @usableFromInline package private(set) var eventType: Int32 = 0
    @usableFromInline package private(set) var kind = Kind.none
    @usableFromInline package private(set) var pid: UInt32 = 0
    /// Call stack: frames separated by newlines. Launch: kernel name. Transfer: D2D, D2H, H2D, H2H.
    @usableFromInline package private(set) var text = ByteView.empty
    /// Memory: bytes. Launch: number of calls. Transfer: bytes per second.
    @usableFromInline package private(set) var value: UInt64 = 0

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
                case 2 << 3 | WireType.varint: eventType = try reader.int32()
                case 3 << 3 | WireType.bytes: unsafe decode(.callstack, try reader.bytes(), limit)
                case 4 << 3 | WireType.bytes: unsafe decode(.memory, try reader.bytes(), limit)
                case 5 << 3 | WireType.bytes: unsafe decode(.launch, try reader.bytes(), limit)
                case 6 << 3 | WireType.bytes: unsafe decode(.transfer, try reader.bytes(), limit)
                default: try reader.skip(tag)
                }
            }
        } catch { return }
    }

    /// The last member set replaces all previous ones, also of its own kind, as in protobuf-c.
    private mutating func decode(_ kind: Kind, _ payload: ByteView, _ limit: UnsafeRawPointer?) {
        self.kind = kind
        pid = 0
        text = .empty
        value = 0
        var reader = unsafe FieldReader(payload, readableUntil: limit)
        do throws(WireProblem) {
            while true {
                let tag = try reader.nextTag()
                switch (kind, tag) {
                case (_, 0): return
                case (.launch, 1 << 3 | WireType.bytes): text = try reader.bytes()
                case (.launch, 2 << 3 | WireType.varint): pid = try reader.uint32()
                case (.launch, 3 << 3 | WireType.varint): value = try reader.varint()
                case (_, 1 << 3 | WireType.varint): pid = try reader.uint32()
                case (.callstack, 2 << 3 | WireType.bytes): text = try reader.bytes()
                case (_, 2 << 3 | WireType.varint): value = try reader.varint()
                case (.transfer, 3 << 3 | WireType.bytes): text = try reader.bytes()
                default: try reader.skip(tag)
                }
            }
        } catch { return }
    }
}
