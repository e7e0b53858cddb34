import SystemIO
import TraceFiles
import TraceModel

// The members of an event's `args`. Each ends with a comma; `endEvent` removes the last one.
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

    /// Appends a text from an event. Empty text is left out, which readers can distinguish from any text sent. Each
    /// text has one such place in the trace, where repairs of it are counted.
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

    /// Appends a text of this server, or one that the trace already contains. Empty text is left out.
    mutating func argument(_ name: StaticString, uncounted value: ByteView) {
        guard !value.isEmpty else { return }
        key(name)
        appendJSONString(RawBuffer.shown(value))
        append(byte: UInt8(ascii: ","))
    }

    /// Appends one CSV column that is not the first.
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

    /// Appends one CSV column. Replacements are not counted here, but where the trace gets the text.
    @inline(__always) mutating func column(_ value: EventText, _ context: EventContext) {
        append(byte: UInt8(ascii: ","))
        if value.isPlain {
            append(value.view)
        } else {
            appendCSVField(value.view, guardsFormulas: context.files.guardsFormulas)
        }
    }
}
