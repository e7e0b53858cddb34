import SystemIO
import TraceFiles
import TraceModel

// The members of an event's `args`: each ends in a comma, the last one's is taken back by `endEvent`.
extension RawBuffer {
    @inline(__always)
    mutating func key(_ name: StaticString) {
        append("\"")
        append(name)
        append("\":")
    }

    @inline(__always)
    mutating func argument(_ name: StaticString, _ value: UInt64) {
        key(name)
        appendDecimal(value)
        append(byte: UInt8(ascii: ","))
    }

    @inline(__always)
    mutating func argument(_ name: StaticString, _ value: UInt32) {
        argument(name, UInt64(value))
    }

    @inline(__always)
    mutating func argument(_ name: StaticString, _ value: Int64) {
        key(name)
        appendDecimal(value)
        append(byte: UInt8(ascii: ","))
    }

    @inline(__always)
    mutating func argument(_ name: StaticString, _ value: Double) {
        key(name)
        appendJSONDouble(value)
        append(byte: UInt8(ascii: ","))
    }

    @inline(__always)
    mutating func argument(_ name: StaticString, _ value: Bool) {
        key(name)
        append(value ? "true," : "false,")
    }

    /// Text; empty text is left out, which a reader can tell from any text sent.
    @inline(__always)
    mutating func argument(_ name: StaticString, _ value: ByteView, _ context: EventContext) {
        guard !value.isEmpty else { return }
        key(name)
        context.count(replaced: appendJSONString(context.cut(value)))
        append(byte: UInt8(ascii: ","))
    }

    /// One CSV column that is not the first.
    @inline(__always)
    mutating func column(_ value: UInt64) {
        append(byte: UInt8(ascii: ","))
        appendDecimal(value)
    }

    @inline(__always)
    mutating func column(_ value: Double) {
        append(byte: UInt8(ascii: ","))
        appendCSVDouble(value)
    }

    @inline(__always)
    mutating func column(_ value: ByteView, _ context: EventContext) {
        append(byte: UInt8(ascii: ","))
        context.count(replaced: appendCSVField(context.cut(value)))
    }

    /// `Timestamp` (epoch milliseconds) and `PID`: the first two columns of every CSV row.
    @inline(__always)
    mutating func firstColumns(time: EpochNanoseconds, pid: UInt32) {
        appendDecimal(time >= 0 ? time / 1_000_000 : (time - 999_999) / 1_000_000)
        append(byte: UInt8(ascii: ","))
        appendDecimal(pid)
    }

    @inline(__always)
    var lastByte: UInt8 { count > 0 ? bytes[count - 1] : 0 }
}
