import AnomalyRules
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceWire

/// Function calls of one process: the open calls of each thread, durations by function, and the call tree.
struct FunctionModel: ProcessModel, ~Copyable {
    typealias Event = FunctionEvent

    static var csvHeader: StaticString {
        "Timestamp,PID,Cookie,Call Count,AVG Duration(us),TID,Function,Duration(us),Slow,Process,host,Timestamp(ns)"
    }

    private var functions = FunctionTable()
    private var threads = OpenCalls()
    private var sampled = SampledCalls()
    private var tree = CallTree()
    /// The smallest difference seen between two timestamps, in nanoseconds.
    private var resolution: Int64 = 1_000_000_000

    init() {}

    static var looks: Int { 4 }

    @inline(__always) borrowing func lookAhead(
        _ look: Int,
        at event: UnsafePointer<FunctionEvent>,
        _ found: Int
    ) -> Int {
        if look == 0 {
            threads.prefetchIndex(event.pointee.threadID)
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
        let (function, name) = functions.position(of: FunctionNormaliser.name(of: event), context)
        if name.view.count < event.pointee.functionName.count {
            context.totals.pointee.namesCut += 1
        }
        let row = FunctionRow(event, name: name)
        if FunctionNormaliser.isSampled(context) {
            let calls = functions.count(function, event, used: context.used)
            context.activity.pointee.called(calls)
            tree.countSampled(calls)
            return applySampled(event, row, function: function, context)
        }
        if event.pointee.eventType == 1 {
            exit(event, row, function: function, &context)
        } else {
            enter(event, row, function: function, &context)
        }
        functions.touch(function, event, used: context.used)
    }

    // MARK: All events are sent

    // The context is passed by reference, as in `exit`: of a value the compiler would make a copy for each call.
    @inline(__always) private mutating func enter(
        _ event: UnsafePointer<FunctionEvent>,
        _ row: FunctionRow,
        function: Int,
        _ context: inout EventContext
    ) {
        functions.entered(function)
        context.activity.pointee.called(1)
        let isSlice = threads.push(
            OpenCalls.Call(
                cookie: event.pointee.cookie,
                function: UInt32(function),
                began: context.stamp
            ),
            tid: context.tid,
            clock: context.time,
            used: context.used,
            &tree,
            context.totals
        )
        // An event that is neither entry nor exit is kept as an entry, with its type as an argument.
        row.writeEvent(
            isSlice ? .begin : .instant,
            duration: nil,
            eventType: event.pointee.eventType != 0 || !isSlice ? event.pointee.eventType : nil,
            context
        )
    }

    @inline(__always) private mutating func exit(
        _ event: UnsafePointer<FunctionEvent>,
        _ row: FunctionRow,
        function: Int,
        _ context: inout EventContext
    ) {
        let ended = threads.pop(
            cookie: event.pointee.cookie,
            function: UInt32(function),
            tid: context.tid,
            at: context.stamp,
            clock: context.time,
            used: context.used,
            &tree
        ) { call in
            let name = functions.text(of: Int(call.function))
            let stamp = context.stamp
            if call.began > stamp { context.move(to: call.began, thread: context.tid) }
            context.closeSlice(name: name, cookie: call.cookie)
            if call.began > stamp { context.move(to: stamp, thread: context.tid) }
        }
        // If a clock was set back, the call came first: it ends at its own begin, not before.
        if let began = ended?.call.began, began > context.stamp {
            context.move(to: began, thread: context.tid)
        }
        // An end without a begin would close another call of the same name.
        let isInstant = ended?.call.isInstant ?? true
        row.writeEvent(
            isInstant ? .instant : .end,
            duration: ended?.nanoseconds,
            eventType: isInstant ? event.pointee.eventType : nil,
            began: isInstant ? ended?.beganElsewhere : nil,
            context
        )
        guard let ended, Self.isPossible(from: ended.call.began, context) else {
            functions.unmatched(function)
            return row.writeExit(duration: ended?.nanoseconds, isSlow: false, context)
        }
        complete(
            row,
            function: function,
            nanoseconds: ended.nanoseconds,
            selfNanoseconds: ended.selfNanoseconds,
            context
        )
    }

    // MARK: Only some events are sent

    private mutating func applySampled(
        _ event: UnsafePointer<FunctionEvent>,
        _ row: FunctionRow,
        function: Int,
        _ context: EventContext
    ) {
        let isExit = event.pointee.eventType == 1
        let record = SampledCalls.Record(
            cookie: event.pointee.cookie,
            callCount: event.pointee.callCount,
            averageMicroseconds: event.pointee.averageDurationMicroseconds,
            time: context.stamp,
            function: UInt32(function),
            tid: context.tid,
            eventType: event.pointee.eventType,
            kind: isExit ? .instant : .open,
            // A slice far ahead would prevent all later calls from being shown as slices.
            isSlice: context.stamp == context.time
        )
        guard isExit else {
            sampled.enter(record, used: context.used, context.totals)
            return writeReady(context)
        }
        let call = sampled.exit(record, used: context.used) { Self.isPossible(from: $0, context) }
        context.activity.pointee.wasOpen(nanoseconds: sampled.takeSettled())
        // Rows come before what the rules find in the call.
        writeReady(context)
        exitSampled(call, row, function: function, context)
    }

    private mutating func exitSampled(
        _ call: SampledCalls.Call?,
        _ row: FunctionRow,
        function: Int,
        _ context: EventContext
    ) {
        guard let call else {
            functions.unmatched(function)
            return row.writeExit(duration: nil, isSlow: false, context)
        }
        complete(
            row,
            function: function,
            nanoseconds: call.nanoseconds,
            selfNanoseconds: call.selfNanoseconds,
            context
        )
    }

    /// Writes the events that need not wait any longer, in order.
    private mutating func writeReady(_ context: EventContext) {
        guard sampled.ready.count > 0 else { return }
        var context = context
        let (stamp, tid) = (context.stamp, context.tid)
        for record in sampled.ready.elements {
            context.move(to: record.time, thread: record.tid)
            write(record, context)
        }
        sampled.removeReady()
        // The texts are shared with the event being processed, so they are restored.
        context.move(to: stamp, thread: tid)
    }

    private func write(_ record: SampledCalls.Record, _ context: EventContext) {
        let name = functions.text(of: Int(record.function))
        if record.kind == .begin, record.isShown {
            return Self.writeContinued(
                record.cookie,
                name,
                tid: record.tid,
                at: record.time,
                context
            )
        }
        let row = FunctionRow(record, name: name)
        switch record.kind {
        case .begin: row.writeEvent(.begin, duration: nil, eventType: nil, context)
        case .end: row.writeEvent(.end, duration: record.nanoseconds, eventType: nil, context)
        case .instant, .open:
            row.writeEvent(.instant, duration: nil, eventType: record.eventType, context)
        }
    }

    var hasRowsWaiting: Bool { sampled.waitingCount > 0 || tree.isUsed }

    mutating func windowEnds(_ context: EventContext) {
        sampled.showAll()
        writeReady(context)
        writeTree(context)
    }

    /// Writes the call tree, and begins it anew with the paths of open calls.
    private mutating func writeTree(_ context: EventContext) {
        guard tree.isUsed else { return }
        var writer = CallTreeWriter()
        tree.write(to: &writer, functionCount: functions.count) { functions.name(of: $0) }
        var process = RawBuffer(capacity: 64)
        if context.givenName.isEmpty {
            process.append("pid-")
            process.appendDecimal(context.pid)
        } else {
            process.append(context.givenName.view.buffer)
        }
        context.files.appendCallTree(
            host: context.host,
            pid: context.pid,
            process: ByteView(process.bytes),
            writer
        )
        threads.moveNodes(tree.empty { threads.visitNodes($0) })
    }

    // MARK: Calls

    /// Counts a call whose entry and exit both arrived.
    @inline(__always) private mutating func complete(
        _ row: FunctionRow,
        function: Int,
        nanoseconds: Int64,
        selfNanoseconds: Int64,
        _ context: EventContext
    ) {
        while context.stamp % resolution != 0 { resolution /= 10 }
        let isSlow = Double(nanoseconds) / 1e6 > context.threshold(.slowCallMilliseconds)
        if isSlow { context.activity.pointee.calledSlowly() }
        functions.completed(
            function,
            nanoseconds: nanoseconds,
            selfNanoseconds: selfNanoseconds,
            isSlow: isSlow
        )
        row.writeExit(duration: nanoseconds, isSlow: isSlow, context)
        functions.evaluate(
            function,
            nanoseconds: nanoseconds,
            resolution: resolution,
            isSlow: isSlow,
            context
        )
    }

    /// Returns whether a call that began then can end with this event. A call that began before its exit's batch
    /// arrived cannot have ended much later than that arrival, however far ahead the exit's timestamp is.
    @inline(__always) private static func isPossible(
        from began: EpochNanoseconds,
        _ context: EventContext
    ) -> Bool {
        context.stamp <= context.arrival || began > context.arrival
            || context.stamp &- context.arrival <= Limits.stampAheadNanosecondsMax
    }

    var needsTicks: Bool { threads.openCount > 0 || sampled.openCount > 0 }

    var staysWhenQuiet: Bool { threads.openCount > 0 }

    mutating func tick(_ context: EventContext) -> Bool {
        guard context.isEnabled(.stuckCall) else { return false }
        let seconds = context.threshold(.stuckCallSeconds)
        let limit = context.time &- Int64(seconds * 1e9)
        let stuck =
            threads.takeStuck(until: limit).map { ($0.tid, $0.call.function, $0.call.began) }
            + sampled.takeStuck(until: limit).map { ($0.tid, $0.function, $0.time) }
        for (tid, function, began) in stuck {
            var context = context
            context.move(toThread: tid)
            functions.evaluateOpen(Int(function), nanoseconds: context.time &- began, context)
        }
        return !stuck.isEmpty
    }

    /// Repeats the calls open at the rotation in the new file, with their own times, within the slot's budget.
    mutating func windowBegins(_ context: inout EventContext) {
        let context = context
        let totals = context.totals
        let allowance = totals.pointee.repetition.allowance(
            in: context.files.window,
            events: totals.pointee.events
        )
        let (bytes, omitted) = threads.reopen(
            bytesMax: allowance,
            cost: { call in
                let name = functions.text(of: Int(call.function))
                return Limits.repeatedCallBytes + name.jsonBytesMax
            },
            visit: { tid, call in
                let name = functions.text(of: Int(call.function))
                Self.writeContinued(call.cookie, name, tid: tid, at: call.began, context)
            }
        )
        totals.pointee.repetition.spend(bytes)
        totals.pointee.callsNotRepeated &+= UInt64(omitted)
    }

    private static func writeContinued(
        _ cookie: Int64,
        _ name: EventText,
        tid: UInt32,
        at began: EpochNanoseconds,
        _ context: EventContext
    ) {
        let text = context.json.buffer
        text.text.appendContinuedCall(ts: began, pid: context.pid, tid: tid, cookie: cookie) {
            $0.appendJSONString(name.view)
        }
        text.endRow(ts: began, pid: context.pid)
    }

    mutating func takeWindow(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    ) {
        activity.pointee.wasOpen(nanoseconds: tree.takeCovered())
        functions.takeWindow(activity, visit)
    }

    // MARK: Bounds

    @inline(__always) var stateBytes: Int {
        functions.stateBytes &+ threads.stateBytes &+ sampled.stateBytes &+ tree.stateBytes
    }

    static var givesWay: Bool { true }

    borrowing func noteEntries(_ sweep: inout StateSweep) {
        threads.noteEntries(&sweep)
        sampled.noteEntries(&sweep)
        functions.noteEntries(&sweep)
    }

    /// Evicts threads with their open calls. Functions that have open calls are kept. The call tree is written early
    /// instead: merges add up what is written of a process.
    mutating func giveUp(
        _ sweep: inout StateSweep,
        _ owner: StateOwner,
        context: () -> EventContext
    ) {
        threads.giveUp(&sweep, owner.totals)
        sampled.giveUp(&sweep, owner.totals)
        if sampled.ready.count > 0 { writeReady(context()) }
        if tree.isUsed { writeTree(context()) }
        var isOpen = RawArray<Bool>(capacity: max(functions.count, 1))
        for _ in 0..<functions.count { isOpen.append(false) }
        threads.visitFunctions { isOpen[Int($0)] = true }
        sampled.visitFunctions { isOpen[Int($0)] = true }
        tree.visitFunctions { isOpen[Int($0)] = true }
        guard let positions = functions.giveUp(&sweep, isOpen: isOpen, owner.totals) else { return }
        threads.moveFunctions(positions)
        sampled.moveFunctions(positions, count: functions.count)
        tree.moveFunctions(positions)
        owner.suppressed.pointee.moveKeys { key in
            let position = key < UInt64(positions.count) ? positions[Int(key)] : .max
            return position == .max ? nil : UInt64(position)
        }
    }

    borrowing func processName() -> ByteView { .empty }

    static var seriesMax: Int { 1 }

    func collect(_ series: inout SeriesWriter) {
        series.add(.activeFunctions, Double(threads.openCount))
    }

    mutating func collectParts(_ series: inout SeriesWriter, all: Bool) {
        functions.collect(&series, all: all)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        functions.encode(into: &buffer)
        tree.encode(into: &buffer)
        threads.encode(into: &buffer)
        sampled.encode(into: &buffer)
        buffer.append(integer: resolution)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        functions = try FunctionTable(decoding: &reader)
        if reader.version > StateVersion.beforeDialects {
            tree = try CallTree(decoding: &reader, functionCount: functions.count)
        }
        threads = try OpenCalls(decoding: &reader, &tree)
        guard reader.version > StateVersion.beforeDialects else { return }
        sampled = try SampledCalls(decoding: &reader)
        resolution = try reader.integer(Int64.self)
        guard resolution > 0 else {
            throw TraceError(.corrupt, "Stored state has no resolution of time stamps")
        }
    }
}
