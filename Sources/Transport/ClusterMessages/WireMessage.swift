internal import CProtobufC
internal import TraceModel

/// A message that protobuf-c packs and unpacks by its generated structure.
protocol WireMessage {
    associatedtype Wire

    /// Copies the unpacked structure.
    ///
    /// - Throws: `.corrupt` if a value is out of range.
    init(_ wire: borrowing Wire) throws(TraceError)

    /// Returns the structure to be packed; its pointers refer to `arena`.
    func wire(in arena: inout WireArena) -> Wire
}

/// A message that is not nested in another one.
protocol TopLevelMessage: WireMessage {
    typealias Unpack = (UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?) ->
        UnsafeMutablePointer<
            Wire
        >?
    typealias Free = (UnsafeMutablePointer<Wire>?, UnsafeMutablePointer<ProtobufCAllocator>?) ->
        Void

    static var unpack: Unpack { get }
    static var free: Free { get }
}

extension TopLevelMessage {
    /// Appends the packed message to `bytes`.
    ///
    /// - Throws: `.exhausted` if it is larger than receivers accept.
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
                unsafe protobuf_c_message_pack($0, target?.assumingMemoryBound(to: UInt8.self))
            }
            precondition(written == size)
        }
        // The structures point into the arena until here.
        extendLifetime(arena)
    }

    /// Unpacks a message. The caller has limited the number of bytes.
    ///
    /// - Throws: `.corrupt` if the bytes are not such a message.
    static func unpacked(_ bytes: UnsafeRawBufferPointer) throws(TraceError) -> Self {
        let data = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        guard let wire = unsafe unpack(nil, bytes.count, data) else {
            throw TraceError(.corrupt, "\(Self.self) of \(bytes.count) bytes cannot be decoded")
        }
        defer { unsafe free(wire, nil) }
        return unsafe try Self(wire.pointee)
    }

    /// Calls `body` with protobuf-c's generic structure, with which every generated one starts.
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

/// Memory for the C structures of one message while it is packed; freed as a whole.
@safe struct WireArena: ~Copyable {
    private var blocks: [UnsafeMutableRawPointer] = unsafe []
    private var next: UnsafeMutableRawPointer?
    private var room = 0

    private static let blockBytes = 64 << 10

    deinit { for index in unsafe blocks.indices { unsafe blocks[index].deallocate() } }

    /// Copies a text as a C string. NUL would end it early and make two names equal, so it becomes U+FFFD.
    mutating func text(_ text: String) -> UnsafeMutablePointer<CChar> {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 1)
        for byte in text.utf8 {
            if byte == 0 { bytes.append(contentsOf: "\u{FFFD}".utf8) } else { bytes.append(byte) }
        }
        bytes.append(0)
        let copy = unsafe reserve(bytes.count, alignment: 1)
        for (index, byte) in bytes.enumerated() {
            unsafe copy.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
        return unsafe copy.assumingMemoryBound(to: CChar.self)
    }

    /// Copies a structure to a stable address.
    mutating func place<Wire>(_ wire: Wire) -> UnsafeMutablePointer<Wire> {
        let memory = unsafe reserve(MemoryLayout<Wire>.size, alignment: 16)
        let pointer = unsafe memory.bindMemory(to: Wire.self, capacity: 1)
        unsafe pointer.initialize(to: wire)
        return unsafe pointer
    }

    /// Copies an array for a repeated field; nil if it is empty.
    mutating func array<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element>? {
        guard !elements.isEmpty else { return nil }
        let memory = unsafe reserve(MemoryLayout<Element>.stride * elements.count, alignment: 16)
        let array = unsafe memory.bindMemory(to: Element.self, capacity: elements.count)
        unsafe elements.withUnsafeBufferPointer { source in
            guard let start = source.baseAddress else { return }
            unsafe array.initialize(from: start, count: source.count)
        }
        return unsafe array
    }

    mutating func texts(_ texts: [String]) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? {
        var pointers: [UnsafeMutablePointer<CChar>?] = unsafe []
        unsafe pointers.reserveCapacity(texts.count)
        for text in texts { unsafe pointers.append(self.text(text)) }
        return unsafe array(pointers)
    }

    /// Copies submessages and returns the array of pointers to them that protobuf-c expects.
    mutating func messages<Message: WireMessage>(
        _ messages: [Message]
    ) -> UnsafeMutablePointer<UnsafeMutablePointer<Message.Wire>?>? {
        var pointers: [UnsafeMutablePointer<Message.Wire>?] = unsafe []
        unsafe pointers.reserveCapacity(messages.count)
        for message in messages {
            let wire = message.wire(in: &self)
            unsafe pointers.append(place(wire))
        }
        return unsafe array(pointers)
    }

    private mutating func reserve(_ count: Int, alignment: Int) -> UnsafeMutableRawPointer {
        if let start = unsafe next {
            let aligned = unsafe start.alignedUp(toMultipleOf: alignment)
            let needed = unsafe count + (aligned - start)
            if needed <= room {
                unsafe next = aligned + count
                room -= needed
                return unsafe aligned
            }
        }
        let size = max(count, Self.blockBytes)
        let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        unsafe blocks.append(block)
        unsafe next = block + count
        room = size - count
        return unsafe block
    }
}

/// Reads a C string; protobuf-c gives an empty one for a missing field, never NULL.
func readText(_ text: UnsafePointer<CChar>?) throws(TraceError) -> String {
    guard let text = unsafe text else { throw TraceError(.corrupt, "a text is NULL") }
    return unsafe String(cString: text)
}

func readTexts(
    _ count: Int,
    _ texts: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) throws(TraceError) -> [String] {
    guard count > 0 else { return [] }
    guard let texts = unsafe texts else { throw TraceError(.corrupt, "a list is NULL") }
    var result: [String] = []
    result.reserveCapacity(count)
    for index in 0..<count { unsafe try result.append(readText(texts[index])) }
    return result
}

func readMessages<Message: WireMessage>(
    _ count: Int,
    _ wires: UnsafeMutablePointer<UnsafeMutablePointer<Message.Wire>?>?
) throws(TraceError) -> [Message] {
    guard count > 0 else { return [] }
    guard let wires = unsafe wires else { throw TraceError(.corrupt, "a list is NULL") }
    var result: [Message] = []
    result.reserveCapacity(count)
    for index in 0..<count {
        guard let wire = unsafe wires[index] else {
            throw TraceError(.corrupt, "a \(Message.self) is NULL")
        }
        unsafe try result.append(Message(wire.pointee))
    }
    return result
}

func readWorker(_ text: UnsafePointer<CChar>?) throws(TraceError) -> WorkerName {
    let text = unsafe try readText(text)
    guard let name = WorkerName(text) else {
        throw TraceError(.corrupt, "\"\(text)\" is not a worker's name")
    }
    return name
}

func readResource(_ text: UnsafePointer<CChar>?) throws(TraceError) -> Resource {
    let text = unsafe try readText(text)
    guard let resource = Resource(name: text) else {
        throw TraceError(.corrupt, "\"\(text)\" is not a resource")
    }
    return resource
}

func readSlot(_ number: UInt32) throws(TraceError) -> UInt8 {
    guard let slot = UInt8(exactly: number) else {
        throw TraceError(.corrupt, "\(number) is not a slot")
    }
    return slot
}
