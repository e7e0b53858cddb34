import AnomalyRules
import SystemIO
import TraceFiles
import TraceModel
import TraceTime

/// Where and when the event being applied happened, and where its rows go. Holds nothing: it lives within a call
/// of its processor, which does.
struct EventContext {
    unowned(unsafe) let files: TraceFileManager
    private(set) var totals: UnsafeMutablePointer<SlotTotals>
    let host: HostID
    private(set) var pid: UInt32
    private(set) var tid: UInt32
    /// When it happened, for state and rules: the time of arrival where the stamp is far ahead of that, so that one stamp
    /// in the future does not make everything after it look late.
    private(set) var time: EpochNanoseconds
    /// Time, process and thread as text, and what else of the event would be copied from call to call for nothing.
    let texts: EventTexts
    let json: RowTarget
    let csv: RowTarget
    /// What the process did in the open window.
    private(set) var activity: UnsafeMutablePointer<WindowActivity>
    unowned(unsafe) let ruleSet: RuleSet
    /// What holds for the process.
    private(set) var rules: UnsafePointer<Thresholds>
    /// Whether the event gave the process another name.
    private(set) var isRenamed = false
    /// What the model's looks ahead at the event have found, -1 for nothing: another process's perhaps, or gone.
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

    /// When it happened, as it says itself: for rows, and for how long a call took.
    @inline(__always) var stamp: EpochNanoseconds { texts.time }

    /// When its batch came.
    @inline(__always) var arrival: EpochNanoseconds { texts.arrival }

    /// What entries of the state are marked with that the event uses.
    @inline(__always) var used: StateSweep.Stamp { texts.used }

    /// What the fields of its batch mean; for normalisers only.
    @inline(__always) var semantics: Semantics { texts.semantics }

    /// The name that agents have given the process beside its events; empty for none.
    @inline(__always) var givenName: EventText { texts.givenName }

    /// What cool-downs suppress of the process.
    @inline(__always) var suppressed: UnsafeMutablePointer<SuppressedFindings> { texts.suppressed }

    /// Another event's turn, of the same host.
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

    /// Another thread's turn, also for other contexts of the processor: they share `texts`.
    mutating func move(toThread tid: UInt32) {
        self.tid = tid
        texts.set(tid: NumberText(UInt64(tid)))
    }

    /// Another moment of the same process, and the thread, of a row that had to wait; also for other contexts of the
    /// processor, as they share `texts`.
    mutating func move(to stamp: EpochNanoseconds, thread tid: UInt32) {
        if stamp != texts.time { texts.set(stamp) }
        time = Self.time(of: stamp, arrival: arrival)
        move(toThread: tid)
    }

    /// The process goes by this name from here on: it may be one that other rules hold for.
    mutating func rename(_ name: ByteView) {
        isRenamed = true
        rules = ruleSet.thresholds(comm: name, host: files.hostName(host), pid: pid)
    }

    /// Begins a row of the trace: everything up to and including `"args":{`. The caller appends the arguments,
    /// then `endEvent`, `endInstant`. `countsName`: what of the name has to be replaced is counted, as it is
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

    /// Begins a row of the trace: time and process.
    @inline(__always) func beginEvent() -> RowWriter {
        var text = json.beginRow()
        text.append("{\"ts\":")
        texts.appendMicroseconds(to: &text)
        text.append(",\"pid\":")
        texts.appendPID(to: &text)
        text.append(byte: UInt8(ascii: ","))
        return text
    }

    /// Ends a slice of the thread whose exit did not come: viewers would leave it open. No event stands for it, so it
    /// has no category.
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

    /// Begins a row of the table: `Timestamp` (epoch milliseconds) and `PID`.
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

    /// What a field of an event becomes in the output; one that would take too much is cut and counted. To be called once
    /// a field, however often it is written.
    @inline(__always) func text(_ field: ByteView, bytesMax: Int = Limits.nameBytesMax) -> EventText
    {
        let isPlain = RawBuffer.isPlainText(field)
        if field.isEmpty || isPlain && field.count <= bytesMax {
            return EventText(field, isPlain: isPlain)
        }
        return EventText(cut(field, bytesMax: bytesMax))
    }

    /// As `text`.
    func cut(_ field: ByteView, bytesMax: Int = Limits.nameBytesMax) -> ByteView {
        let shown = RawBuffer.shown(field, bytesMax: bytesMax)
        if shown.count < field.count { totals.pointee.namesCut += 1 }
        return shown
    }

    /// Counts a field of an event of which something had to be replaced: once, as `cut`.
    @inline(__always) func count(replaced: Int) {
        if replaced > 0 { totals.pointee.utf8Replaced += 1 }
    }
}
