/// Memory for the C structures of one message while it is packed; all of it goes at once.
@safe
struct WireArena: ~Copyable {
    private var blocks: [UnsafeMutableRawPointer] = unsafe []
    private var next: UnsafeMutableRawPointer?
    private var room = 0

    private static let blockBytes = 64 << 10

    deinit {
        for index in unsafe blocks.indices { unsafe blocks[index].deallocate() }
    }

    /// A copy as C text. NUL would end it early and make two names one, so it becomes U+FFFD.
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

    /// A structure that stays where it is.
    mutating func place<Wire>(_ wire: Wire) -> UnsafeMutablePointer<Wire> {
        let memory = unsafe reserve(MemoryLayout<Wire>.size, alignment: 16)
        let pointer = unsafe memory.bindMemory(to: Wire.self, capacity: 1)
        unsafe pointer.initialize(to: wire)
        return unsafe pointer
    }

    /// An array for one of C's repeated fields; nil where it is empty.
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

    mutating func texts(
        _ texts: [String]
    ) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? {
        var pointers: [UnsafeMutablePointer<CChar>?] = unsafe []
        unsafe pointers.reserveCapacity(texts.count)
        for text in texts { unsafe pointers.append(self.text(text)) }
        return unsafe array(pointers)
    }

    /// The structures of submessages, and the array of pointers to them that protobuf-c wants.
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
