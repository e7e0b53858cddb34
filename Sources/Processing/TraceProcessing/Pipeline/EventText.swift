import SystemIO
import TraceFiles
import TraceModel

/// A text of an event, cut already, for all rows it will stand in.
struct EventText {
    let view: ByteView
    /// As `RawBuffer.isPlainText`.
    let isPlain: Bool

    @inline(__always) init(_ view: ByteView) {
        self.init(view, isPlain: RawBuffer.isPlainText(view))
    }

    @inline(__always) init(_ view: ByteView, isPlain: Bool) {
        self.view = view
        self.isPlain = isPlain
    }

    /// Of letters.
    @inline(__always) init(_ literal: StaticString) { self.init(ByteView(literal), isPlain: true) }

    @inline(__always) var isEmpty: Bool { view.isEmpty }
}

extension EventText {
    /// What the text takes in JSON at most, with its quotes.
    var jsonBytesMax: Int {
        isPlain ? view.count + 2 : view.count * 3 / 2 + Limits.escapedSpareBytes + 2
    }
}

extension RowWriter {
    /// As the one of a view.
    @inline(__always) @discardableResult mutating func appendJSONString(_ text: EventText) -> Int {
        guard text.isPlain else { return appendJSONString(text.view) }
        append(byte: UInt8(ascii: "\""))
        append(text.view)
        append(byte: UInt8(ascii: "\""))
        return 0
    }
}
