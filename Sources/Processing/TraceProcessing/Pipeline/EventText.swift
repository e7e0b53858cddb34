import SystemIO
import TraceFiles
import TraceModel

/// A text of an event, cut already, for all rows that it appears in.
struct EventText {
    let view: ByteView
    /// The result of `RawBuffer.isPlainText`.
    let isPlain: Bool

    @inline(__always) init(_ view: ByteView) {
        self.init(view, isPlain: RawBuffer.isPlainText(view))
    }

    @inline(__always) init(_ view: ByteView, isPlain: Bool) {
        self.view = view
        self.isPlain = isPlain
    }

    /// A text from a literal, which must be plain.
    @inline(__always) init(_ literal: StaticString) { self.init(ByteView(literal), isPlain: true) }

    @inline(__always) var isEmpty: Bool { view.isEmpty }
}

extension EventText {
    /// The most bytes that the text takes in JSON, quotes included.
    var jsonBytesMax: Int {
        isPlain ? view.count + 2 : view.count * 3 / 2 + Limits.escapedSpareBytes + 2
    }
}

extension RowWriter {
    /// Appends the text as a JSON string; see the overload for views.
    @inline(__always) @discardableResult mutating func appendJSONString(_ text: EventText) -> Int {
        guard text.isPlain else { return appendJSONString(text.view) }
        append(byte: UInt8(ascii: "\""))
        append(text.view)
        append(byte: UInt8(ascii: "\""))
        return 0
    }
}
