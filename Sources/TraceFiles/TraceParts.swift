import SystemIO
import TraceModel

/// Writes the trace of one host that is too large for one file as several, each a whole trace by itself: a head, rows in
/// their order, the names of their processes and threads. A file is ended before the row that would make it too
/// large. Calls that are open there begin the next file, at their own time, as calls open at a barrier begin the next
/// window's.
struct TraceParts {
    private let files: OutputParts
    private var summary: JSONSegment.Summary
    private var names: PartNames
    private var calls: OpenSlices
    /// In the open file, those of continued calls not counted.
    private var rows = 0
    private var hasRow = false

    /// Of a file what open calls may take at its beginning, and of memory what names may.
    static func shareMax(of budget: FileBudget) -> Int { budget.finalFileBytesMax / 4 }

    init(
        _ files: OutputParts,
        summary: JSONSegment.Summary,
        names: PartNames,
        budget: FileBudget
    ) {
        self.files = files
        self.summary = summary
        self.names = names
        calls = OpenSlices(bytesMax: Self.shareMax(of: budget))
    }

    /// The next row of the trace. Blocks where a buffer is full, or a file has to be ended.
    mutating func append(_ row: RunRow) throws {
        guard let event = EventRow(row.bytes) else {
            throw TraceError(.corrupt, "a segment holds an event that is none of ours")
        }
        if rows == 0 {
            try begin(at: event.ts)
        } else if !holds(row.bytes, event) {
            try end()
            try files.next()
            try begin(at: event.ts)
        }
        try write(row.bytes, event)
        rows += 1
        calls.take(event)
    }

    /// No row follows.
    mutating func end() throws {
        for line in names.takeDue() {
            files.writer.text.append(JSONSegment.separator)
            line.withUnsafeBytes { files.writer.text.append($0) }
            try files.writer.rowEnded()
        }
        files.writer.text.append(JSONSegment.ending)
    }

    private func holds(_ bytes: UnsafeRawBufferPointer, _ event: EventRow) -> Bool {
        files.holds(
            JSONSegment.separatorBytes + bytes.count + names.dueBytes
                + names.bytesAdded(by: event) + JSONSegment.ending.utf8CodeUnitCount
        )
    }

    private mutating func begin(at ts: EpochNanoseconds) throws {
        rows = 0
        hasRow = false
        let open = calls.inOrder
        summary.extent = .part(files.number)
        summary.baseTime = open.first?.ts ?? ts
        JSONSegment.appendFinalHeader(summary, to: &files.writer.text)
        var text = RawBuffer()
        for slice in open {
            text.removeAll()
            text.appendContinuedCall(
                ts: slice.ts,
                pid: slice.pid,
                tid: slice.tid,
                cookie: slice.cookie
            ) { text in slice.name.withUnsafeBytes { text.append($0) } }
            guard let event = EventRow(text.bytes) else { continue }
            try write(text.bytes, event)
        }
    }

    private mutating func write(_ bytes: UnsafeRawBufferPointer, _ event: EventRow) throws {
        if hasRow { files.writer.text.append(JSONSegment.separator) }
        hasRow = true
        files.writer.text.append(bytes)
        names.add(event)
        try files.writer.rowEnded()
    }
}
