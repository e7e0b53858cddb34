import AnomalyRules
import SystemIO
import TraceFiles
import TraceModel
import TraceTime

/// Where and when the event being applied happened, and where its rows go.
struct EventContext {
    let files: TraceFileManager
    let totals: UnsafeMutablePointer<SlotTotals>
    let host: HostID
    let pid: UInt32
    var tid: UInt32
    /// When it happened.
    let time: EpochNanoseconds
    /// `HH:MM:SS.mmm` of `time` in the configured zone, 12 bytes.
    let readable: UnsafeRawPointer
    let json: RunBuffer
    /// What the process did in the open window.
    let activity: UnsafeMutablePointer<WindowActivity>
    let category: StaticString
    unowned(unsafe) let ruleSet: RuleSet
    /// What holds for the process.
    var rules: UnsafePointer<Thresholds>
    /// Whether the event gave the process another name.
    private(set) var isRenamed = false

    var csv: RunBuffer { files.csv }

    /// The process goes by this name from here on: it may be one that other rules hold for.
    mutating func rename(_ name: ByteView) {
        isRenamed = true
        rules = ruleSet.thresholds(comm: name, host: files.hostName(host), pid: pid)
    }

    /// Begins a JSON event in `text`: everything up to and including `"args":{`. The caller appends the
    /// arguments, then `endEvent`.
    @inline(__always)
    func beginEvent(
        _ text: inout RawBuffer,
        _ phase: StaticString,
        name: ByteView,
        category: StaticString? = nil
    ) {
        beginEvent(&text, phase, name: name, category: category ?? self.category, at: time)
    }

    @inline(__always)
    func beginEvent(
        _ text: inout RawBuffer,
        _ phase: StaticString,
        name: ByteView,
        category: StaticString,
        at time: EpochNanoseconds
    ) {
        text.appendEventStart(ts: time, pid: pid)
        text.append("\"tid\":")
        text.appendDecimal(tid)
        text.append(",\"ph\":\"")
        text.append(phase)
        text.append("\",\"cat\":\"")
        text.append(category)
        text.append("\",\"name\":")
        count(replaced: text.appendJSONString(cut(name)))
        text.append(",\"readable_time\":\"")
        text.append(UnsafeRawBufferPointer(start: readable, count: ReadableClock.byteCount))
        text.append("\",\"args\":{")
    }

    /// Closes the arguments and the event. The row ends with `json.endRow`.
    @inline(__always)
    func endEvent(_ text: inout RawBuffer) {
        if text.lastByte == UInt8(ascii: ",") { text.truncate(to: text.count - 1) }
        text.append("}}")
    }

    /// What a name becomes in the output; a longer one is cut and counted.
    @inline(__always)
    func cut(_ name: ByteView) -> ByteView {
        guard name.count > Limits.nameBytesMax else { return name }
        totals.pointee.namesCut += 1
        return name.cut(at: Limits.nameBytesMax)
    }

    @inline(__always)
    func count(replaced: Int) {
        if replaced > 0 { totals.pointee.utf8Replaced += UInt64(replaced) }
    }
}
