internal import CProtobufC
internal import TraceModel

/// A message that protobuf-c packs and unpacks for us, by its generated structure.
protocol WireMessage {
    associatedtype Wire

    /// Copies what protobuf-c unpacked; throws `.corrupt` where a value is none of ours.
    init(_ wire: borrowing Wire) throws(TraceError)

    /// The structure to be packed; what it points to lies in `arena`.
    func wire(in arena: inout WireArena) -> Wire
}

/// A message that can stand alone.
protocol TopLevelMessage: WireMessage {
    typealias Unpack = (
        UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?
    ) -> UnsafeMutablePointer<Wire>?
    typealias Free = (
        UnsafeMutablePointer<Wire>?, UnsafeMutablePointer<ProtobufCAllocator>?
    ) -> Void

    static var unpack: Unpack { get }
    static var free: Free { get }
}

extension TopLevelMessage {
    /// Appends the packed message to `bytes`. Throws `.exhausted` where it is larger than a receiver
    /// would take.
    func pack(into bytes: inout [UInt8]) throws(TraceError) {
        var arena = WireArena()
        var structure = wire(in: &arena)
        let size = unsafe withGeneric(&structure) { unsafe protobuf_c_message_get_packed_size($0) }
        guard size <= Limits.clusterMessageBytesMax else {
            throw TraceError(
                .exhausted,
                "\(Self.self) of \(size) bytes; the limit is \(Limits.clusterMessageBytesMax)"
            )
        }
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: size))
        unsafe bytes.withUnsafeMutableBytes { buffer in
            let target = unsafe buffer.baseAddress.map { unsafe $0 + start }
            let written = unsafe withGeneric(&structure) {
                unsafe protobuf_c_message_pack(
                    $0,
                    target?.assumingMemoryBound(to: UInt8.self)
                )
            }
            precondition(written == size)
        }
        // The structures point into the arena until here.
        extendLifetime(arena)
    }

    /// Throws `.corrupt` where the bytes are no such message. The caller has bounded their number.
    static func unpacked(_ bytes: UnsafeRawBufferPointer) throws(TraceError) -> Self {
        let data = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        guard let wire = unsafe unpack(nil, bytes.count, data) else {
            throw TraceError(.corrupt, "\(Self.self) of \(bytes.count) bytes can't be read")
        }
        defer { unsafe free(wire, nil) }
        return unsafe try Self(wire.pointee)
    }

    /// Every generated structure begins with protobuf-c's generic one.
    private func withGeneric<Result>(
        _ wire: inout Wire,
        _ body: (UnsafePointer<ProtobufCMessage>) -> Result
    ) -> Result {
        unsafe withUnsafeBytes(of: &wire) { raw in
            guard let start = raw.baseAddress else { preconditionFailure("an empty structure") }
            return unsafe body(start.assumingMemoryBound(to: ProtobufCMessage.self))
        }
    }
}
