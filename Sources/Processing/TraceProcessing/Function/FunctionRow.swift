import TraceFiles
import TraceModel
import TraceWire

/// A function event as text: texts that appear both in its trace row and in its table row are made once.
struct FunctionRow {
    private let name: EventText
    private let cookie: NumberText
    private let callCount: NumberText
    private let averageMicroseconds: NumberText

    @inline(__always) init(_ event: UnsafePointer<FunctionEvent>, name: EventText) {
        self.name = name
        cookie = NumberText(event.pointee.cookie)
        callCount = NumberText(event.pointee.callCount)
        averageMicroseconds = NumberText(event.pointee.averageDurationMicroseconds)
    }

    /// Creates the texts of an event that was deferred.
    init(_ record: SampledCalls.Record, name: EventText) {
        self.name = name
        cookie = NumberText(record.cookie)
        callCount = NumberText(record.callCount)
        averageMicroseconds = NumberText(record.averageMicroseconds)
    }

    /// Writes the trace row. `duration`: nanoseconds, if a call has ended. `eventType`: if the phase does not imply
    /// it. `began`: for an exit whose call is a slice in an earlier window's trace but not in this one's (see
    /// `EventRow.Call.began`).
    @inline(__always) func writeEvent(
        _ phase: EventPhase,
        duration: Int64?,
        eventType: Int32?,
        began: EpochNanoseconds? = nil,
        _ context: EventContext
    ) {
        var text = context.beginEvent(phase, "function", name: name, countsName: true)
        if let duration { text.argument("duration", Double(duration) / 1e6) }
        text.argument("cookie", cookie)
        text.argument("call_count", callCount)
        text.argument("avg_duration_us", averageMicroseconds)
        if let eventType { text.argument("event_type", Int64(eventType)) }
        if let began {
            text.append("\"began\":")
            text.appendMicroseconds(ns: began)
            text.append(byte: UInt8(ascii: ","))
        }
        context.endEvent(text)
    }

    /// Writes the table row of an exit. `duration`: nanoseconds, nil if the entry is missing. Microseconds always
    /// have decimals, so that the column has one type in every file.
    @inline(__always) func writeExit(duration: Int64?, isSlow: Bool, _ context: EventContext) {
        var text = context.beginRow()
        text.column(cookie)
        text.column(callCount)
        text.column(averageMicroseconds)
        text.column(thread: context)
        text.column(name, context)
        text.append(byte: UInt8(ascii: ","))
        if let duration { text.appendMicroseconds(ns: duration, withDecimals: true) }
        text.append(isSlow ? ",1" : ",0")
        text.column(context.givenName, context)
        context.endRow(text)
    }
}
