import SystemIO
import TraceFiles
import TraceModel

// The members of an event's `args`: each ends in a comma, the last one's is taken back by `endEvent`.
extension RowWriter {
    @inline(__always) mutating func key(_ name: StaticString) {
        append("\"")
        append(name)
        append("\":")
    }

    @inline(__always) mutating func argument(_ name: StaticString, _ value: UInt64) {
        key(name)
        appendDecimal(value)
        append(byte: UInt8(ascii: ","))
    }

    @inline(__always) mutating func argument(_ name: StaticString, _ value: UInt32) {
        argument(name, UInt64(value))
    }

    @inline(__always) mutating func argument(_ name: StaticString, _ value: Int64) {
        key(name)
        appendDecimal(value)
        append(byte: UInt8(ascii: ","))
    }

    @inline(__always) mutating func argument(_ name: StaticString, _ value: Double) {
        key(name)
        appendJSONDouble(value)
        append(byte: UInt8(ascii: ","))
    }

    @inline(__always) mutating func argument(_ name: StaticString, _ value: borrowing NumberText) {
        key(name)
        append(value)
        append(byte: UInt8(ascii: ","))
    }

    @inline(__always) mutating func argument(_ name: StaticString, _ value: borrowing DoubleText) {
        key(name)
        appendJSONDouble(value)
        append(byte: UInt8(ascii: ","))
    }

    @inline(__always) mutating func argument(_ name: StaticString, _ value: Bool) {
        key(name)
        append(value ? "true," : "false,")
    }

    /// A text that an event brought; empty text is left out, which a reader can tell from any text sent. Each has one such
    /// place in the trace, where its repair is counted.
    @inline(__always) mutating func argument(
        _ name: StaticString,
        _ value: EventText,
        _ context: EventContext
    ) {
        guard !value.isEmpty else { return }
        key(name)
        context.count(replaced: appendJSONString(value))
        append(byte: UInt8(ascii: ","))
    }

    /// A text of ours, or one that stands in the trace already; empty text is left out.
    mutating func argument(_ name: StaticString, uncounted value: ByteView) {
        guard !value.isEmpty else { return }
        key(name)
        appendJSONString(RawBuffer.shown(value))
        append(byte: UInt8(ascii: ","))
    }

    /// One CSV column that is not the first.
    @inline(__always) mutating func column(_ value: UInt64) {
        append(byte: UInt8(ascii: ","))
        appendDecimal(value)
    }

    @inline(__always) mutating func column(_ value: Double) {
        append(byte: UInt8(ascii: ","))
        appendCSVDouble(value)
    }

    @inline(__always) mutating func column(_ value: borrowing NumberText) {
        append(byte: UInt8(ascii: ","))
        append(value)
    }

    @inline(__always) mutating func column(thread context: EventContext) {
        append(byte: UInt8(ascii: ","))
        context.texts.appendTID(to: &self)
    }

    @inline(__always) mutating func column(_ value: borrowing DoubleText) {
        append(byte: UInt8(ascii: ","))
        appendCSVDouble(value)
    }

    /// What is replaced is counted where the trace gets the text.
    @inline(__always) mutating func column(_ value: EventText, _ context: EventContext) {
        append(byte: UInt8(ascii: ","))
        if value.isPlain {
            append(value.view)
        } else {
            appendCSVField(value.view, guardsFormulas: context.files.guardsFormulas)
        }
    }
}
