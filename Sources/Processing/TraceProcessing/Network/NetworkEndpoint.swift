import Glibc
import SystemIO
import TraceFiles
import TraceModel

/// An address with its port in readable form: `10.0.0.1:443`, `[fe80::2]:443`.
struct NetworkEndpoint {
    private static let portBytesMax = 10

    /// The address, cut so that it fits into a name together with the port.
    private let address: EventText
    private let port: UInt32
    private let isBracketed: Bool

    @inline(__always) init(_ address: ByteView, port: UInt32, _ context: EventContext) {
        let bytesMax = Limits.nameBytesMax - Self.portBytesMax - 3
        self.address = context.text(address, bytesMax: bytesMax)
        self.port = port
        guard let start = address.start, !address.isEmpty else {
            isBracketed = false
            return
        }
        isBracketed =
            start.load(as: UInt8.self) != UInt8(ascii: "[")
            && memchr(start, Int32(UInt8(ascii: ":")), self.address.view.count) != nil
    }

    /// Whether neither address nor port was sent.
    private var isEmpty: Bool { address.isEmpty && port == 0 }

    /// Whether the text is plain; everything around the address is.
    private var isPlain: Bool { address.isPlain || address.isEmpty }

    /// Appends the endpoint as an argument of its event; left out if nothing was sent.
    @inline(__always) func argument(
        _ name: StaticString,
        _ text: inout RowWriter,
        _ context: EventContext
    ) {
        if isEmpty { return }
        guard isPlain else {
            return withText { text.argument(name, EventText($0, isPlain: false), context) }
        }
        text.key(name)
        text.append(byte: UInt8(ascii: "\""))
        append(to: &text)
        text.append("\",")
    }

    /// Appends the endpoint as a column.
    @inline(__always) func column(_ text: inout RowWriter, _ context: EventContext) {
        guard isPlain, !isEmpty else {
            return withText { text.column(EventText($0, isPlain: false), context) }
        }
        text.append(byte: UInt8(ascii: ","))
        append(to: &text)
    }

    @inline(__always) private func append(to text: inout RowWriter) {
        if isBracketed { text.append(byte: UInt8(ascii: "[")) }
        text.append(address.view)
        if isBracketed { text.append(byte: UInt8(ascii: "]")) }
        text.append(byte: UInt8(ascii: ":"))
        text.appendDecimal(port)
    }

    /// Calls `body` with the text; empty if nothing was sent.
    private func withText(_ body: (ByteView) -> Void) {
        if isEmpty { return body(.empty) }
        var text = RawBuffer(capacity: address.view.count + Self.portBytesMax + 3)
        if isBracketed { text.append(byte: UInt8(ascii: "[")) }
        text.append(address.view.buffer)
        if isBracketed { text.append(byte: UInt8(ascii: "]")) }
        text.append(byte: UInt8(ascii: ":"))
        text.append(String(port))
        body(ByteView(text.bytes))
    }
}
