import AnomalyRules
import SystemIO
import TraceFiles
import TraceModel
import TraceTime

/// The time and place of the event being applied, and the targets of its rows. Owns nothing: it lives within a call
/// of its processor, which owns what it points to.
struct EventContext {
    unowned(unsafe) let files: TraceFileManager
    private(set) var totals: UnsafeMutablePointer<SlotTotals>
    let host: HostID
    private(set) var pid: UInt32
    private(set) var tid: UInt32
    /// The time for state and rules: the event's timestamp, or the arrival if the timestamp is far ahead of that.
    /// Otherwise a single timestamp in the future would make all later events look late.
    private(set) var time: EpochNanoseconds
    /// Time, process and thread as text, and what else of the event would be copied from call to call.
    let texts: EventTexts
    let json: RowTarget
    let csv: RowTarget
    /// The process's activity in the open window.
    private(set) var activity: UnsafeMutablePointer<WindowActivity>
    unowned(unsafe) let ruleSet: RuleSet
    /// The thresholds that apply to the process.
    private(set) var rules: UnsafePointer<Thresholds>
    /// Whether the event gave the process another name.
    private(set) var isRenamed = false
    /// The model's prefetch result for the event, -1 for none. It may belong to another process, or refer to a
    /// removed entry.
    private(set) var found = -1

    init(
        files: TraceFileManager,
        totals: UnsafeMutablePointer<SlotTotals>,
        host: HostID,
        pid: UInt32,
        tid: UInt32,
        stamp: EpochNanoseconds,
        arrival: EpochNanoseconds,
        semantics: Semantics,
        texts: EventTexts,
        activity: UnsafeMutablePointer<WindowActivity>,
        givenName: EventText,
        suppressed: UnsafeMutablePointer<SuppressedFindings>,
        ruleSet: RuleSet,
        rules: UnsafePointer<Thresholds>
    ) {
        self.files = files
        self.totals = totals
        self.host = host
        self.pid = pid
        self.tid = tid
        time = Self.time(of: stamp, arrival: arrival)
        self.texts = texts
        json = files.json(host).target
        csv = files.csv.target
        self.activity = activity
        self.ruleSet = ruleSet
        self.rules = rules
        texts.set(stamp)
        texts.set(pid: NumberText(UInt64(pid)))
        texts.set(tid: NumberText(UInt64(tid)))
        texts.setBatch(arrival: arrival, semantics: semantics, hostField: files.hostField(host))
        texts.setProcess(givenName: givenName, suppressed: suppressed)
    }

    /// The event's own timestamp: for rows, and for the durations of calls.
    @inline(__always) var stamp: EpochNanoseconds { texts.time }

    /// The arrival of the batch.
    @inline(__always) var arrival: EpochNanoseconds { texts.arrival }

    /// The stamp for state entries that the event uses.
    @inline(__always) var used: StateSweep.Stamp { texts.used }

    /// The semantics of the batch's fields; for normalisers only.
    @inline(__always) var semantics: Semantics { texts.semantics }

    /// The name that agents have given the process beside its events; empty if there is none.
    @inline(__always) var givenName: EventText { texts.givenName }

    /// The process's findings that cool-downs suppress.
    @inline(__always) var suppressed: UnsafeMutablePointer<SuppressedFindings> { texts.suppressed }

    /// Moves the context to another event of the same host.
    @inline(__always) mutating func move(
        to pid: UInt32,
        pidText: NumberText,
        tid: UInt32,
        stamp: EpochNanoseconds,
        totals: UnsafeMutablePointer<SlotTotals>,
        activity: UnsafeMutablePointer<WindowActivity>,
        givenName: EventText,
        suppressed: UnsafeMutablePointer<SuppressedFindings>,
        rules: UnsafePointer<Thresholds>,
        found: Int
    ) {
        self.pid = pid
        self.tid = tid
        texts.set(pid: pidText)
        texts.set(tid: tid == pid ? pidText : NumberText(UInt64(tid)))
        if stamp != texts.time { texts.set(stamp) }
        time = Self.time(of: stamp, arrival: arrival)
        self.totals = totals
        self.activity = activity
        texts.setProcess(givenName: givenName, suppressed: suppressed)
        self.rules = rules
        self.found = found
        isRenamed = false
    }

    @inline(__always) private static func time(
        of stamp: EpochNanoseconds,
        arrival: EpochNanoseconds
    ) -> EpochNanoseconds { stamp <= arrival &+ Limits.stampAheadNanosecondsMax ? stamp : arrival }

    /// Moves to another thread. This affects the processor's other contexts too, as they share `texts`.
    mutating func move(toThread tid: UInt32) {
        self.tid = tid
        texts.set(tid: NumberText(UInt64(tid)))
    }

    /// Moves to the time and thread of a row that was deferred, in the same process. This affects the processor's
    /// other contexts too, as they share `texts`.
    mutating func move(to stamp: EpochNanoseconds, thread tid: UInt32) {
        if stamp != texts.time { texts.set(stamp) }
        time = Self.time(of: stamp, arrival: arrival)
        move(toThread: tid)
    }

    /// Notes the process's new name, and selects the rules that apply to it.
    mutating func rename(_ name: ByteView) {
        isRenamed = true
        rules = ruleSet.thresholds(comm: name, host: files.hostName(host), pid: pid)
    }

    /// Begins a trace row: everything up to and including `"args":{`. The caller appends the arguments, then calls
    /// `endEvent` or `endInstant`. With `countsName`, replacements in the name are counted here, because the name is
    /// written nowhere else.
    @inline(__always) func beginEvent(
        _ phase: EventPhase,
        _ category: StaticString,
        name: EventText,
        countsName: Bool = false
    ) -> RowWriter {
        var text = beginEvent()
        text.append("\"tid\":")
        texts.appendTID(to: &text)
        text.append(",\"ph\":\"")
        text.append(byte: phase.rawValue)
        text.append("\",\"cat\":\"")
        text.append(category)
        text.append("\",\"name\":")
        let replaced = text.appendJSONString(name)
        if countsName { count(replaced: replaced) }
        text.append(",\"readable_time\":\"")
        text.append(ReadableClock.byteCount, of24: texts.readable)
        text.append("\",\"args\":{")
        return text
    }

    /// Begins a trace row with time and process.
    @inline(__always) func beginEvent() -> RowWriter {
        var text = json.beginRow()
        text.append("{\"ts\":")
        texts.appendMicroseconds(to: &text)
        text.append(",\"pid\":")
        texts.appendPID(to: &text)
        text.append(byte: UInt8(ascii: ","))
        return text
    }

    /// Ends a slice of the thread whose exit is missing, as viewers would leave it open. The row represents no event,
    /// so it has no category.
    func closeSlice(name: EventText, cookie: Int64) {
        var text = beginEvent()
        text.append("\"tid\":")
        texts.appendTID(to: &text)
        text.append(",\"ph\":\"E\",\"name\":")
        text.appendJSONString(name)
        text.append(",\"args\":{")
        text.argument("cookie", cookie)
        endEvent(text)
    }

    /// Closes the arguments and the event, and ends the row.
    @inline(__always) func endEvent(_ text: RowWriter) {
        var text = text
        text.dropComma()
        text.append("}}")
        json.endRow(text, ts: stamp, pid: pid)
    }

    /// Begins a table row: `Timestamp` (epoch milliseconds) and `PID`.
    @inline(__always) func beginRow() -> RowWriter {
        var text = csv.beginRow()
        texts.appendMilliseconds(to: &text)
        text.append(byte: UInt8(ascii: ","))
        texts.appendPID(to: &text)
        return text
    }

    @inline(__always) func endRow(_ text: RowWriter) {
        csv.endRow(text, ts: stamp, pid: pid, host: host, field: texts.hostField) {
            texts.appendNanoseconds(to: &$0)
        }
    }

    /// Returns an event's field in its output form. A field that is too long is cut and counted. Call it once per
    /// field, however often the field is written.
    @inline(__always) func text(_ field: ByteView, bytesMax: Int = Limits.nameBytesMax) -> EventText
    {
        let isPlain = RawBuffer.isPlainText(field)
        if field.isEmpty || isPlain && field.count <= bytesMax {
            return EventText(field, isPlain: isPlain)
        }
        return EventText(cut(field, bytesMax: bytesMax))
    }

    /// Cuts a field as `text` does, and counts the cut.
    func cut(_ field: ByteView, bytesMax: Int = Limits.nameBytesMax) -> ByteView {
        let shown = RawBuffer.shown(field, bytesMax: bytesMax)
        if shown.count < field.count { totals.pointee.namesCut += 1 }
        return shown
    }

    /// Counts a field in which something had to be replaced: once, as `cut` does.
    @inline(__always) func count(replaced: Int) {
        if replaced > 0 { totals.pointee.utf8Replaced += 1 }
    }
}
