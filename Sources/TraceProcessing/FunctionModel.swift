import AnomalyRules
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
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

    static var looks: Int { 4 }

    @inline(__always)
    borrowing func lookAhead(
        _ look: Int,
        at event: UnsafePointer<FunctionEvent>,
        _ found: Int
    ) -> Int {
        if look == 0 {
            return functions.prefetchIndex(event.pointee.functionName.cut(at: Limits.nameBytesMax))
        }
        if look == 1 { return functions.prefetchPlace(found) }
        guard found >= 0 else { return found }
        let isExit = event.pointee.eventType == 1
        if look == 2 {
            functions.prefetchStatistics(found, isExit: isExit)
        } else {
            functions.prefetchName(found)
            if isExit { functions.prefetchSketch(found) }
        }
        return found
    }

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
        context.activity.pointee.entered()
        let isSlice = threads.push(
            OpenCalls.Call(cookie: event.cookie, function: UInt32(function), began: context.time),
            tid: context.tid,
            context
        )
        var text = context.beginEvent(
            isSlice ? .begin : .instant,
            "function",
            name: event.functionName,
            countsName: true
        )
        arguments(event, &text)
        // What is neither entry nor exit is kept as an entry, with its type for the reader to see.
        if event.eventType != 0 || !isSlice {
            text.argument("event_type", Int64(event.eventType))
        }
        context.endEvent(text)
    }

    private mutating func exit(_ event: FunctionEvent, function: Int, _ context: EventContext) {
        let call = threads.pop(
            cookie: event.cookie,
            function: UInt32(function),
            tid: context.tid
        )
        let duration = call.map { max(context.time - $0.began, 0) }
        let isInstant = call?.isInstant ?? false
        var text = context.beginEvent(
            isInstant ? .instant : .end,
            "function",
            name: event.functionName,
            countsName: true
        )
        if let duration { text.argument("duration", Double(duration) / 1e6) }
        arguments(event, &text)
        if isInstant { text.argument("event_type", Int64(event.eventType)) }
        context.endEvent(text)
        guard let duration else {
            return functions.unmatched(function)
        }
        let isSlow = Double(duration) / 1e6 > context.threshold(.slowCallMilliseconds)
        context.activity.pointee.completed(nanoseconds: UInt64(duration), isSlow: isSlow)
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
    private func arguments(_ event: FunctionEvent, _ text: inout RowWriter) {
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
        var text = context.beginRow()
        text.append(byte: UInt8(ascii: ","))
        text.appendDecimal(event.cookie)
        text.column(event.callCount)
        text.column(event.averageDurationMicroseconds)
        text.column(UInt64(context.tid))
        text.column(event.functionName, context)
        text.append(byte: UInt8(ascii: ","))
        text.appendMicroseconds(ns: duration)
        text.append(isSlow ? ",1" : ",0")
        context.endRow(text)
    }

    /// Calls open at the rotation begin the new file too, at their own time.
    mutating func windowBegins(_ context: inout EventContext) {
        let context = context
        threads.reopen { tid, call in
            let text = context.json.buffer
            let name = functions.name(of: Int(call.function))
            text.text.appendContinuedCall(
                ts: call.began,
                pid: context.pid,
                tid: tid,
                cookie: call.cookie
            ) { $0.appendJSONString(name) }
            text.endRow(ts: call.began, pid: context.pid)
        }
    }

    mutating func takeWindow(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    ) {
        functions.takeWindow(activity, visit)
    }

    borrowing func processName() -> ByteView { .empty }

    func collect(_ series: inout SeriesWriter) {
        series.add(.activeFunctions, Double(threads.openCount))
    }

    mutating func collectParts(_ series: inout SeriesWriter, all: Bool) {
        functions.collect(&series, all: all)
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
