public import SystemIO
public import TraceModel

/// One event of a trace, parsed: its process and thread, and the call that it begins or ends. Views are valid as long
/// as the row.
struct EventRow {
    /// The begin or end of a call, with the fields that identify the call.
    @safe
    struct Call {
        /// Whether the row begins or ends the call.
        enum Phase {
            case begin
            case end
        }

        let phase: Phase
        let cookie: Int64
        /// JSON string with its quotes.
        let name: UnsafeRawBufferPointer
        /// Whether the event repeats the begin of a call that continues from an earlier file.
        let isContinued: Bool
        /// When the call began, if this is an exit written as an instant because its file does not repeat the call's
        /// begin. Nil for all other events.
        var began: EpochNanoseconds?
    }

    let ts: EpochNanoseconds
    let pid: UInt32
    /// Nil if the event belongs to the process as a whole.
    let tid: UInt32?
    /// Nil if the event neither begins nor ends a call.
    let call: Call?

    /// Parses a row. Nil if the bytes are not an event that this program writes.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let row = unsafe RunRow(json: bytes) else { return nil }
        self.init(row)
    }

    /// Parses the current row of a trace. Nil if the file is not at an event.
    init?(_ file: FinalFile) {
        guard file.kind == .json, file.content == .event else { return nil }
        unsafe self.init(file.row)
    }

    /// Parses the rest of a row. Nil if it is not an event that this program writes.
    init?(_ row: RunRow) {
        ts = row.ts
        pid = row.pid
        var parser = unsafe RowParser(row.bytes)
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
        // The end of a call whose exit is missing has no category.
        if parser.skip(",\"cat\":\"") {
            isContinued = parser.skip("continued")
            guard isContinued || parser.skip("function"), parser.skip("\"") else { return nil }
        } else if isBegin {
            return nil
        }
        guard parser.skip(",\"name\":"), let name = unsafe parser.text() else { return nil }
        if parser.skip(",\"readable_time\":"), unsafe parser.text() == nil { return nil }
        guard parser.skip(",\"args\":{") else { return nil }
        if parser.skip("\"duration\":") {
            parser.skipNumber()
            guard parser.skip(",") else { return nil }
        }
        guard parser.skip("\"cookie\":"), let cookie = parser.signed() else { return nil }
        let began = isInstant ? began(&parser) : nil
        guard !isInstant || began != nil else { return nil }
        return unsafe Call(
            phase: isBegin ? .begin : .end,
            cookie: cookie,
            name: name,
            isContinued: isContinued,
            began: began
        )
    }

    /// Parses what `FunctionRow.writeEvent` writes after the cookie of an instant.
    private static func began(_ parser: inout RowParser) -> EpochNanoseconds? {
        guard parser.skip(",\"call_count\":"), parser.number() != nil,
            parser.skip(",\"avg_duration_us\":"),
            parser.number() != nil, parser.skip(",\"event_type\":"), parser.signed() != nil,
            parser.skip(",\"began\":")
        else { return nil }
        return parser.microseconds()
    }

    /// Appends an event with its phase replaced. Returns false if the bytes are not a thread's event that this program
    /// writes.
    static func append(
        _ bytes: UnsafeRawBufferPointer,
        as phase: UInt8,
        to text: inout RawBuffer
    ) -> Bool {
        guard let row = unsafe RunRow(json: bytes) else { return false }
        var parser = unsafe RowParser(bytes)
        parser.position = row.keyEnd
        guard parser.skip(",\"tid\":"), parser.processID() != nil, parser.skip(",\"ph\":\"") else {
            return false
        }
        let at = parser.position
        unsafe text.append(UnsafeRawBufferPointer(rebasing: bytes[..<at]))
        text.append(byte: phase)
        unsafe text.append(UnsafeRawBufferPointer(rebasing: bytes[(at + 1)...]))
        return true
    }
}

/// A run buffer as the hot path uses it, without reference counting. Valid as long as the buffer lives.
///
///     var text = target.beginRow()
///     text.append("{\"ts\":")
///     …
///     target.endRow(text, ts: ts, pid: pid)
///
/// One row at a time. Nothing else may be appended to the buffer before the row ends.
@safe
@usableFromInline package struct RowTarget {
    @usableFromInline let rows: Unmanaged<RunBuffer>

    init(_ rows: RunBuffer) { unsafe self.rows = unsafe Unmanaged.passUnretained(rows) }

    /// The buffer itself, for rare operations.
    package var buffer: RunBuffer { unsafe rows._withUnsafeGuaranteedRef { $0 } }

    /// Begins a row at the end of the buffer. The previous row must have ended.
    @inlinable @inline(__always) package func beginRow() -> RowWriter {
        unsafe rows._withUnsafeGuaranteedRef { buffer in
            unsafe assert(buffer.text.count == buffer.rowStart, "the previous row has not ended")
            let at = unsafe buffer.text.reserve(RowWriter.slackBytes)
            let end = unsafe buffer.text.base + buffer.text.capacity
            return unsafe RowWriter(rows, at: at, end: end)
        }
    }

    /// Ends a row of a host's trace: one event `{"ts":…,"pid":…,…}` without a line end.
    @inlinable @inline(__always) package func endRow(
        _ row: RowWriter,
        ts: EpochNanoseconds,
        pid: UInt32
    ) {
        var row = row
        row.append(",\n")
        unsafe rows._withUnsafeGuaranteedRef { buffer in
            unsafe buffer.commit(row.at)
            buffer.endRow(ts: ts, pid: pid, host: 0)
        }
    }

    /// Ends a CSV row: appends the last two columns and the line end. `field` is the host's CSV field, and `time`
    /// appends the time in nanoseconds. The row's second column must be `pid`.
    @inlinable @inline(__always) package func endRow(
        _ row: RowWriter,
        ts: EpochNanoseconds,
        pid: UInt32,
        host: HostID,
        field: ByteView,
        _ time: (inout RowWriter) -> Void
    ) {
        var row = row
        row.append(byte: UInt8(ascii: ","))
        row.append(field)
        row.append(byte: UInt8(ascii: ","))
        time(&row)
        row.append("\r\n")
        unsafe rows._withUnsafeGuaranteedRef { buffer in
            unsafe buffer.commit(row.at)
            buffer.endRow(ts: ts, pid: pid, host: host.index)
        }
    }
}
