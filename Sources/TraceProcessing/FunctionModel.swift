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

    mutating func apply(_ event: UnsafePointer<FunctionEvent>, _ context: inout EventContext) {
        let name = context.cut(event.pointee.functionName)
        let (function, isPlain) = functions.position(of: name, context)
        let row = FunctionRow(event, name: EventText(name, isPlain: isPlain))
        if event.pointee.eventType == 1 {
            exit(event, row, function: function, &context)
        } else {
            enter(event, row, function: function, &context)
        }
        functions.touch(function, event)
    }

    // The context by reference, as in `exit`: of a value the compiler would make a copy for each.
    @inline(__always)
    private mutating func enter(
        _ event: UnsafePointer<FunctionEvent>,
        _ row: FunctionRow,
        function: Int,
        _ context: inout EventContext
    ) {
        functions.entered(function)
        context.activity.pointee.entered()
        let isSlice = threads.push(
            OpenCalls.Call(
                cookie: event.pointee.cookie,
                function: UInt32(function),
                began: context.time
            ),
            tid: context.tid,
            context.totals
        )
        // What is neither entry nor exit is kept as an entry, with its type for the reader to see.
        row.writeEvent(
            isSlice ? .begin : .instant,
            duration: nil,
            eventType: event.pointee.eventType != 0 || !isSlice ? event.pointee.eventType : nil,
            context
        )
    }

    @inline(__always)
    private mutating func exit(
        _ event: UnsafePointer<FunctionEvent>,
        _ row: FunctionRow,
        function: Int,
        _ context: inout EventContext
    ) {
        let call = threads.pop(
            cookie: event.pointee.cookie,
            function: UInt32(function),
            tid: context.tid
        )
        let duration = call.map { max(context.time - $0.began, 0) }
        let isInstant = call?.isInstant ?? false
        row.writeEvent(
            isInstant ? .instant : .end,
            duration: duration,
            eventType: isInstant ? event.pointee.eventType : nil,
            context
        )
        guard let duration else {
            return functions.unmatched(function)
        }
        let isSlow = Double(duration) / 1e6 > context.threshold(.slowCallMilliseconds)
        context.activity.pointee.completed(nanoseconds: UInt64(duration), isSlow: isSlow)
        functions.completed(function, nanoseconds: duration, isSlow: isSlow)
        row.writeCall(duration: duration, isSlow: isSlow, context)
        functions.judge(function, nanoseconds: duration, isSlow: isSlow, context)
    }

    var needsTicks: Bool { threads.openCount > 0 }

    mutating func tick(_ context: EventContext) -> Bool {
        guard context.isEnabled(.stuckCall) else { return false }
        let seconds = context.threshold(.stuckCallSeconds)
        let stuck = threads.takeStuck(until: context.time &- Int64(seconds * 1e9))
        for (tid, call) in stuck {
            var context = context
            context.move(toThread: tid)
            let nanoseconds = context.time &- call.began
            functions.judgeOpen(Int(call.function), nanoseconds: nanoseconds, context)
        }
        return !stuck.isEmpty
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
