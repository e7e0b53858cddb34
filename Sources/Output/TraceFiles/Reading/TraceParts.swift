import SystemIO
import TraceModel

/// Writes a trace of one host that is too large for one file as several files. Each is a complete trace: a header, rows
/// in order, and the names of their processes and threads. A file ends before the row that would make it too large.
/// Calls that are open there begin the next file, at their original time, as calls that are open at a barrier begin the
/// next window's file.
struct TraceParts {
    private let files: OutputParts
    private var summary: JSONSegment.Summary
    private var names: PartNames
    private var threads: PartThreads
    /// The number of the open file, from 1.
    private var part = 0
    /// Rows in the open file, without continued calls.
    private var rows = 0
    private var hasRow = false

    /// The limit of the open calls repeated at the start of a file, and of the names held in memory, in bytes.
    static func shareMax(of budget: FileBudget) -> Int { budget.finalFileBytesMax / 4 }

    init(_ files: OutputParts, summary: JSONSegment.Summary, names: PartNames, budget: FileBudget) {
        self.files = files
        self.summary = summary
        self.names = names
        threads = PartThreads(openBytesMax: Self.shareMax(of: budget))
    }

    /// Appends the next row of the trace. Blocks if a buffer is full or a file ends.
    mutating func append(_ row: RunRow) throws {
        guard let event = EventRow(row) else {
            throw TraceError(.corrupt, "a segment contains an event in an unknown form")
        }
        let thread = threads.position(of: event)
        if rows == 0 {
            try begin(at: event.ts)
        } else if unsafe !holds(row.bytes, event, thread) {
            try end()
            try files.next()
            try begin(at: event.ts)
        }
        try unsafe write(row.bytes, event, thread)
        rows += 1
        threads.take(event, at: thread)
    }

    /// Ends the last file.
    mutating func end() throws {
        for line in names.takeDue() {
            unsafe files.writer.text.append(JSONSegment.separator)
            unsafe line.withUnsafeBytes { unsafe files.writer.text.append($0) }
            try unsafe files.writer.rowEnded()
        }
        unsafe files.writer.text.append(JSONSegment.ending)
    }

    private func holds(_ bytes: UnsafeRawBufferPointer, _ event: EventRow, _ thread: Int) -> Bool {
        let isNamed = threads.isNamed(thread, inPart: part)
        return files.holds(
            JSONSegment.separatorBytes + bytes.count + names.dueBytes
                + (isNamed ? 0 : names.bytesAdded(by: event))
                + JSONSegment.ending.utf8CodeUnitCount
        )
    }

    private mutating func begin(at ts: EpochNanoseconds) throws {
        rows = 0
        hasRow = false
        part = files.number
        let open = threads.openCalls
        summary.extent = .part(part)
        summary.baseTime = open.first?.slice.ts ?? ts
        unsafe JSONSegment.appendFinalHeader(summary, to: &files.writer.text)
        var text = RawBuffer()
        for call in open {
            text.removeAll()
            text.appendContinuedCall(
                ts: call.slice.ts,
                pid: call.pid,
                tid: call.tid,
                cookie: call.slice.cookie
            ) {
                text in unsafe call.name.withUnsafeBytes { unsafe text.append($0) }
            }
            guard let event = unsafe EventRow(text.bytes) else { continue }
            try unsafe write(text.bytes, event, threads.position(of: event))
        }
    }

    private mutating func write(
        _ bytes: UnsafeRawBufferPointer,
        _ event: EventRow,
        _ thread: Int
    ) throws {
        if hasRow { unsafe files.writer.text.append(JSONSegment.separator) }
        hasRow = true
        unsafe files.writer.text.append(bytes)
        if !threads.isNamed(thread, inPart: part) {
            names.add(event)
            threads.setNamed(thread, inPart: part)
        }
        try unsafe files.writer.rowEnded()
    }
}
