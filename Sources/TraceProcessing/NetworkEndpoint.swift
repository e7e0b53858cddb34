import TraceModel

/// An address with its port as people write them: `10.0.0.1:443`, `[fe80::2]:443`.
struct NetworkEndpoint {
    private static let portBytesMax = 10

    /// Cut to what fits into a name together with the port.
    private let address: ByteView
    private let port: UInt32
    private let isBracketed: Bool

    init(_ address: ByteView, port: UInt32, _ context: EventContext) {
        let bytesMax = Limits.nameBytesMax - Self.portBytesMax - 3
        if address.count > bytesMax { context.totals.pointee.namesCut += 1 }
        self.address = address.cut(at: bytesMax)
        self.port = port
        let bytes = self.address.buffer
        isBracketed = bytes.first != UInt8(ascii: "[") && bytes.contains(UInt8(ascii: ":"))
    }

    /// Lends the text; empty where nothing was sent.
    @inline(__always)
    func withText(_ body: (ByteView) -> Void) {
        guard !address.isEmpty || port != 0 else { return body(.empty) }
        let bytesMax = address.count + Self.portBytesMax + 3
        withUnsafeTemporaryAllocation(byteCount: bytesMax, alignment: 1) { text in
            var count = 0
            func put(_ byte: UInt8) {
                text[count] = byte
                count += 1
            }
            if isBracketed { put(UInt8(ascii: "[")) }
            for byte in address.buffer { put(byte) }
            if isBracketed { put(UInt8(ascii: "]")) }
            put(UInt8(ascii: ":"))
            var unit: UInt32 = 1
            while port / unit >= 10 { unit *= 10 }
            while unit > 0 {
                put(UInt8(ascii: "0") + UInt8(port / unit % 10))
                unit /= 10
            }
            body(ByteView(UnsafeRawBufferPointer(rebasing: text[..<count])))
        }
    }
}
