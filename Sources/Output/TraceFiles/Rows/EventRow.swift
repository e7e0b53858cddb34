public import SystemIO
public import TraceModel

/// Whose an event is, as its row in a trace says, and what it says of a call. Views are valid as long as the row.
struct EventRow {
    /// What begins or ends a call, as far as rows tell calls apart.
    struct Call {
        enum Phase {
            case begin
            case end
        }

        let phase: Phase
        let cookie: Int64
        /// JSON text with its quotes.
        let name: UnsafeRawBufferPointer
        /// Whether it repeats the opening of a call that went on from an earlier file.
        let isContinued: Bool
        /// Of an exit that is an instant, as its file does not repeat the beginning that an earlier file has of the call:
        /// when that was. Nil for all others.
        var began: EpochNanoseconds?
    }

    let ts: EpochNanoseconds
    let pid: UInt32
    /// Nil where the event is the whole process's.
    let tid: UInt32?
    /// Nil for any other event.
    let call: Call?

    /// Nil where the bytes are no row of ours.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let row = RunRow(json: bytes) else { return nil }
        self.init(row)
    }

    /// The event at which a trace's reader stands; nil where it stands at none.
    init?(_ file: FinalFile) {
        guard file.kind == .json, file.content == .event else { return nil }
        self.init(file.row)
    }

    /// Nil where the row of a trace is none of ours.
    init?(_ row: RunRow) {
        ts = row.ts
        pid = row.pid
        var parser = RowParser(row.bytes)
        parser.position = row.keyEnd
        guard parser.skip(",\"tid\":") else {
            tid = nil
            call = nil
            return
        }
        guard let tid = parser.processID() else { return nil }
        self.tid = tid
        call = Self.call(&parser)
    }

    private static func call(_ parser: inout RowParser) -> Call? {
        let isBegin = parser.skip(",\"ph\":\"B\"")
        let isInstant = !isBegin && parser.skip(",\"ph\":\"i\"")
        guard isBegin || isInstant || parser.skip(",\"ph\":\"E\"") else { return nil }
        var isContinued = false
        // The end of a call whose exit did not come has no category.
        if parser.skip(",\"cat\":\"") {
            isContinued = parser.skip("continued")
            guard isContinued || parser.skip("function"), parser.skip("\"") else { return nil }
        } else if isBegin {
            return nil
        }
        guard parser.skip(",\"name\":"), let name = parser.text() else { return nil }
        if parser.skip(",\"readable_time\":"), parser.text() == nil { return nil }
        guard parser.skip(",\"args\":{") else { return nil }
        if parser.skip("\"duration\":") {
            parser.skipNumber()
            guard parser.skip(",") else { return nil }
        }
        guard parser.skip("\"cookie\":"), let cookie = parser.signed() else { return nil }
        let began = isInstant ? began(&parser) : nil
        guard !isInstant || began != nil else { return nil }
        return Call(phase: isBegin ? .begin : .end, cookie: cookie, name: name, isContinued: isContinued, began: began)
    }

    /// What stands behind an instant's cookie in `FunctionRow.writeEvent`.
    private static func began(_ parser: inout RowParser) -> EpochNanoseconds? {
        guard parser.skip(",\"call_count\":"), parser.number() != nil, parser.skip(",\"avg_duration_us\":"),
            parser.number() != nil, parser.skip(",\"event_type\":"), parser.signed() != nil, parser.skip(",\"began\":")
        else { return nil }
        return parser.microseconds()
    }

    /// Appends an event with another phase; false where the bytes are no row of a thread of ours.
    static func append(_ bytes: UnsafeRawBufferPointer, as phase: UInt8, to text: inout RawBuffer) -> Bool {
        guard let row = RunRow(json: bytes) else { return false }
        var parser = RowParser(bytes)
        parser.position = row.keyEnd
        guard parser.skip(",\"tid\":"), parser.processID() != nil, parser.skip(",\"ph\":\"") else { return false }
        let at = parser.position
        text.append(UnsafeRawBufferPointer(rebasing: bytes[..<at]))
        text.append(byte: phase)
        text.append(UnsafeRawBufferPointer(rebasing: bytes[(at + 1)...]))
        return true
    }
}

/// A run buffer as the hot path holds it: nobody counts references. Valid as long as the buffer lives.
///
///     var text = target.beginRow()
///     text.append("{\"ts\":")
///     …
///     target.endRow(text, ts: ts, pid: pid)
///
/// One row at a time; nothing else may be appended to the buffer meanwhile.
@usableFromInline package struct RowTarget {
    @usableFromInline let rows: Unmanaged<RunBuffer>

    init(_ rows: RunBuffer) { self.rows = Unmanaged.passUnretained(rows) }

    /// The buffer itself, for what is rare.
    package var buffer: RunBuffer { rows._withUnsafeGuaranteedRef { $0 } }

    @inlinable @inline(__always) package func beginRow() -> RowWriter {
        rows._withUnsafeGuaranteedRef { buffer in
            assert(buffer.text.count == buffer.rowStart, "a row has begun")
            let at = buffer.text.reserve(RowWriter.slackBytes)
            let end = buffer.text.base + buffer.text.capacity
            return RowWriter(rows, at: at, end: end)
        }
    }

    /// Ends a row of a host's trace: one event `{"ts":…,"pid":…,…}` without a line's end.
    @inlinable @inline(__always) package func endRow(_ row: RowWriter, ts: EpochNanoseconds, pid: UInt32) {
        var row = row
        row.append(",\n")
        rows._withUnsafeGuaranteedRef { buffer in
            buffer.commit(row.at)
            buffer.file(ts: ts, pid: pid, host: 0)
        }
    }

    /// Ends a CSV row: adds the last two columns, the host's field and what `time` appends, the time in nanoseconds, and
    /// the line's end. The second column must be `pid`.
    @inlinable @inline(__always) package func endRow(
        _ row: RowWriter, ts: EpochNanoseconds, pid: UInt32, host: HostID, field: ByteView,
        _ time: (inout RowWriter) -> Void
    ) {
        var row = row
        row.append(byte: UInt8(ascii: ","))
        row.append(field)
        row.append(byte: UInt8(ascii: ","))
        time(&row)
        row.append("\r\n")
        rows._withUnsafeGuaranteedRef { buffer in
            buffer.commit(row.at)
            buffer.file(ts: ts, pid: pid, host: host.index)
        }
    }
}
