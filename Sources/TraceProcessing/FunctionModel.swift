import AnomalyRules
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceWire

/// Function calls of one process: what is open on each thread, and durations by function.
struct FunctionModel: ProcessModel, ~Copyable {
    typealias Event = FunctionEvent

    static var csvHeader: StaticString {
        "Timestamp,PID,Cookie,Call Count,AVG Duration(us),TID,Function,Duration(us),Slow,host,Timestamp(ns)"
    }

    private var functions = FunctionTable()
    private var threads = OpenCalls()

    init() {}

    mutating func apply(_ event: FunctionEvent, _ context: inout EventContext) {
        let function = functions.position(of: context.cut(event.functionName), context)
        if event.eventType == 1 {
            exit(event, function: function, context)
        } else {
            enter(event, function: function, context)
        }
        functions.touch(function, event)
    }

    private mutating func enter(
        _ event: FunctionEvent,
        function: Int,
        _ context: EventContext
    ) {
        functions.entered(function)
        context.activity.pointee.entered(function) { functions.name(of: function) }
        let isSlice = threads.push(
            OpenCalls.Call(cookie: event.cookie, function: UInt32(function), began: context.time),
            tid: context.tid,
            context
        )
        context.beginEvent(&context.json.text, isSlice ? "B" : "i", name: event.functionName)
        arguments(event, &context.json.text)
        // What is neither entry nor exit is kept as an entry, with its type for the reader to see.
        if event.eventType != 0 || !isSlice {
            context.json.text.argument("event_type", Int64(event.eventType))
        }
        context.endEvent(&context.json.text)
        context.json.endRow(ts: context.time, pid: context.pid)
    }

    private mutating func exit(_ event: FunctionEvent, function: Int, _ context: EventContext) {
        let call = threads.pop(
            cookie: event.cookie,
            function: UInt32(function),
            tid: context.tid
        )
        let duration = call.map { max(context.time - $0.began, 0) }
        let isInstant = call?.isInstant ?? false
        context.beginEvent(&context.json.text, isInstant ? "i" : "E", name: event.functionName)
        if let duration { context.json.text.argument("duration", Double(duration) / 1e6) }
        arguments(event, &context.json.text)
        if isInstant { context.json.text.argument("event_type", Int64(event.eventType)) }
        context.endEvent(&context.json.text)
        context.json.endRow(ts: context.time, pid: context.pid)
        guard let duration else {
            context.activity.pointee.unmatchedExit(function) { functions.name(of: function) }
            return functions.unmatched(function)
        }
        let isSlow = Double(duration) / 1e6 > context.threshold(.slowCallMilliseconds)
        context.activity.pointee.completed(
            function,
            nanoseconds: UInt64(duration),
            isSlow: isSlow,
            name: { functions.name(of: function) }
        )
        functions.completed(function, nanoseconds: duration, isSlow: isSlow)
        row(event, duration: duration, isSlow: isSlow, context)
        functions.judge(function, nanoseconds: duration, isSlow: isSlow, context)
    }

    var needsTicks: Bool { threads.openCount > 0 }

    mutating func tick(_ context: EventContext) -> Bool {
        guard context.isEnabled(.stuckCall) else { return false }
        let seconds = context.threshold(.stuckCallSeconds)
        let stuck = threads.takeStuck(until: context.time &- Int64(seconds * 1e9))
        for (tid, call) in stuck {
            var context = context
            context.tid = tid
            let nanoseconds = context.time &- call.began
            functions.judgeOpen(Int(call.function), nanoseconds: nanoseconds, context)
        }
        return !stuck.isEmpty
    }

    @inline(__always)
    private func arguments(_ event: FunctionEvent, _ text: inout RawBuffer) {
        text.argument("cookie", event.cookie)
        text.argument("call_count", event.callCount)
        text.argument("avg_duration_us", event.averageDurationMicroseconds)
    }

    /// The CSV row of a completed call.
    @inline(__always)
    private func row(
        _ event: FunctionEvent,
        duration: Int64,
        isSlow: Bool,
        _ context: EventContext
    ) {
        let csv = context.csv
        csv.text.firstColumns(time: context.time, pid: context.pid)
        csv.text.append(byte: UInt8(ascii: ","))
        csv.text.appendDecimal(event.cookie)
        csv.text.column(event.callCount)
        csv.text.column(event.averageDurationMicroseconds)
        csv.text.column(UInt64(context.tid))
        csv.text.column(event.functionName, context)
        csv.text.append(byte: UInt8(ascii: ","))
        csv.text.appendMicroseconds(ns: duration)
        csv.text.append(isSlow ? ",1" : ",0")
        csv.endRow(ts: context.time, pid: context.pid, host: context.host)
    }

    /// Calls open at the rotation begin the new file too, at their own time.
    mutating func windowBegins(_ context: inout EventContext) {
        let context = context
        threads.reopen { tid, call in
            let text = context.json
            text.text.appendEventStart(ts: call.began, pid: context.pid)
            text.text.append("\"tid\":")
            text.text.appendDecimal(tid)
            text.text.append(",\"ph\":\"B\",\"cat\":\"continued\",\"name\":")
            text.text.appendJSONString(functions.name(of: Int(call.function)))
            text.text.append(",\"args\":{\"cookie\":")
            text.text.appendDecimal(call.cookie)
            text.text.append("}}")
            text.endRow(ts: call.began, pid: context.pid)
        }
    }

    borrowing func processName() -> ByteView { .empty }

    mutating func collect(_ samples: inout ProcessSamples, all: Bool) {
        samples.add(.activeFunctions, .gauge(Double(threads.openCount)))
        functions.collect(&samples, all: all)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        functions.encode(into: &buffer)
        threads.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        functions = try FunctionTable(decoding: &reader)
        threads = try OpenCalls(decoding: &reader)
    }
}
