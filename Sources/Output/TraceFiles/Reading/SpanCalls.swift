import SystemIO
import TraceModel

/// Tracks the open calls of all hosts at one point of a document that `FinalFileMerge` reads. Makes the events that
/// clip them to a time span. Memory is bounded by the number of open calls.
struct SpanCalls {
    /// A thread of a host.
    private struct Thread: Hashable {
        let host: UInt64
        let pid: UInt32
        let tid: UInt32
    }

    private var threads: [Thread: OpenSlices] = [:]
    private var begun: UInt64 = 0
    /// The memory of all open calls.
    private var openBytes = 0
    private var openCount = 0
    private let openBytesMax: Int
    private let budget: ReadingBudget
    /// Idle threads are forgotten at this number of threads. Doubled while most threads are not idle.
    private var threadsMax = 1_024

    /// The memory of an open call without its name, in bytes.
    private static let fixedBytes = 64

    /// The memory of a thread, in bytes.
    private static let threadBytes = 224

    /// Limits the memory of open calls to `openBytesMax` bytes of the budget; `take` throws beyond.
    init(
        openBytesMax: Int = Limits.catContinuedBytesMax,
        budget: ReadingBudget = ReadingBudget()
    ) {
        self.openBytesMax = openBytesMax
        self.budget = budget
    }

    // MARK: Rows

    /// Processes the next row of a host, in order of time. Returns false for rows that change nothing: those that
    /// neither begin nor end a call, ends of calls that are not open, and continued calls that are already open.
    /// - Throws: `TraceError(.exhausted)` if too many calls are open.
    @discardableResult mutating func take(
        _ row: EventRow,
        host: UInt64
    ) throws(TraceError) -> Bool {
        guard let call = row.call, let tid = row.tid else { return false }
        let thread = Thread(host: host, pid: row.pid, tid: tid)
        let cost = unsafe call.name.count + Self.fixedBytes
        switch call.phase {
        case .begin:
            if threads.count >= threadsMax { forgetIdle() }
            if call.isContinued, threads[thread]?.isOpen(call, ts: row.ts) == true {
                return false
            }
            openBytes += cost
            openCount += 1
            guard openBytes <= openBytesMax else { throw Self.tooMany() }
            try budget.take(cost + (threads[thread] == nil ? Self.threadBytes : 0))
            begun += 1
            threads[thread, default: OpenSlices()].begin(call, ts: row.ts, order: begun)
        case .end:
            guard threads[thread]?.end(call) == true else { return false }
            openBytes -= cost
            openCount -= 1
            budget.give(cost)
        }
        return true
    }

    /// The hashes of the hosts of all open calls.
    var openHosts: Set<UInt64> {
        Set(threads.lazy.filter { !$0.value.slices.isEmpty }.map(\.key.host))
    }

    /// An upper bound of the bytes that `forEachClosing` makes, with a separator for each event.
    var closingBytes: Int { openBytes + openCount * (Self.closingFixedBytes - Self.fixedBytes) }

    /// An upper bound of the bytes that a call with a name of `nameBytes` bytes adds to `closingBytes`.
    static func closingBytes(nameBytes: Int) -> Int { nameBytes + closingFixedBytes }

    /// More than an event of `appendClippedEnd` without the name, and its separator.
    private static let closingFixedBytes = 128

    private mutating func forgetIdle() {
        let count = threads.count
        threads = threads.filter { !$0.value.slices.isEmpty }
        budget.give((count - threads.count) * Self.threadBytes)
        threadsMax = max(threadsMax, 2 * threads.count)
    }

    static func tooMany() -> TraceError {
        TraceError(
            .exhausted,
            "more calls are open at one time than fit into memory",
            remedy: "Name a process with --pid, or a host with --host"
        )
    }

    // MARK: Clipping

    /// Calls `body` with a `B` event at `ts` for each open call, as a window's file repeats continued calls, and the hash
    /// of its host. The argument `began` says when the call began. Outer calls come before inner ones.
    func forEachOpening(
        at ts: EpochNanoseconds,
        _ body: (_ row: UnsafeRawBufferPointer, _ host: UInt64) throws -> Void
    ) rethrows {
        var text = RawBuffer()
        for (thread, slice) in openCalls {
            text.removeAll()
            text.appendClippedBegin(
                ts: ts,
                began: slice.ts,
                pid: thread.pid,
                tid: thread.tid,
                cookie: slice.cookie
            ) {
                append(nameOf: slice, thread, to: &$0)
            }
            try unsafe body(text.bytes, thread.host)
        }
    }

    /// Calls `body` with an `E` event at `ts` for each open call, and the hash of its host. Inner calls come before outer
    /// ones.
    func forEachClosing(
        at ts: EpochNanoseconds,
        _ body: (_ row: UnsafeRawBufferPointer, _ host: UInt64) throws -> Void
    ) rethrows {
        var text = RawBuffer()
        for (thread, slice) in openCalls.reversed() {
            text.removeAll()
            text.appendClippedEnd(ts: ts, pid: thread.pid, tid: thread.tid) {
                append(nameOf: slice, thread, to: &$0)
            }
            try unsafe body(text.bytes, thread.host)
        }
    }

    /// Calls `body` with each open call and its thread, outer calls before inner ones. Names are JSON text.
    func forEachOpen(
        _ body: (
            _ call: (name: UnsafeRawBufferPointer, cookie: Int64, ts: EpochNanoseconds),
            _ thread: (host: UInt64, pid: UInt32, tid: UInt32)
        ) throws -> Void
    ) rethrows {
        for (thread, slice) in openCalls {
            let name = threads[thread]?.name(of: slice) ?? []
            try unsafe name.withUnsafeBytes { name in
                try unsafe body(
                    (name, slice.cookie, slice.ts),
                    (thread.host, thread.pid, thread.tid)
                )
            }
        }
    }

    /// Open calls ordered by the time at which they began, then by the order of their rows.
    private var openCalls: [(thread: Thread, slice: OpenSlices.Slice)] {
        threads.flatMap { thread, calls in calls.slices.map { (thread, $0) } }.sorted {
            ($0.slice.ts, $0.slice.order) < ($1.slice.ts, $1.slice.order)
        }
    }

    private func append(nameOf slice: OpenSlices.Slice, _ thread: Thread, to text: inout RawBuffer)
    {
        unsafe threads[thread]?.name(of: slice).withUnsafeBytes { unsafe text.append($0) }
    }
}

/// Reads the rows of one host before a time span, in order of time, to find the calls that are open at its start. Only
/// files that overlap in time are open together.
struct EarlyRows {
    /// A file of the host that is not opened yet.
    struct Waiting {
        let path: String
        /// Position among all files, which is the order of windows and their parts.
        let rank: Int
        /// The time of the first row that is not a continued call.
        let firstTs: EpochNanoseconds
        /// When the file is opened: no later than any later file. Otherwise a call that ended in a later window could
        /// be opened again by the continued calls of an earlier one.
        var due: EpochNanoseconds
    }

    /// A continued call that precedes the row at which its file was opened.
    private struct Pending {
        let ts: EpochNanoseconds
        let row: [UInt8]
    }

    private let host: UInt64
    private let end: EpochNanoseconds
    private let selection: RowSelection
    private let filesMax: Int
    private let budget: ReadingBudget
    private let onRow: () throws -> Void
    /// Ordered by due time, earliest last.
    private(set) var waiting: [Waiting]
    /// After `run`: the files whose next row is in the time span.
    private(set) var open: [FinalFile] = []
    /// Ordered by time, earliest last.
    private var pending: [Pending] = []

    /// Prepares to read the files of one host, given by rank, up to `end`, the start of the time span in nanoseconds
    /// since the epoch. `onRow` is called for each row and throws to end the reading.
    init(
        _ files: [Waiting],
        host: UInt64,
        before end: EpochNanoseconds,
        _ selection: RowSelection,
        filesMax: Int,
        budget: ReadingBudget,
        onRow: @escaping () throws -> Void
    ) {
        self.budget = budget
        self.onRow = onRow
        self.host = host
        self.end = end
        self.selection = selection
        self.filesMax = filesMax
        var files = files
        // The calls that the first file continues have begun in no other.
        if !files.isEmpty { files[0].due = .min }
        for index in files.indices.dropLast().reversed() {
            files[index].due = min(files[index].due, files[index + 1].due)
        }
        waiting = files.sorted { ($1.due, $1.rank) < ($0.due, $0.rank) }
    }

    /// Processes all rows before the time span with `calls`. Afterwards `open` and `waiting` contain the remaining
    /// files. `name` receives the names at the end of files that end here. Blocks.
    /// - Throws: `TraceError` if a file is damaged, too many overlap or too many calls are open.
    mutating func run(
        into calls: inout SpanCalls,
        name: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        while true {
            try onRow()
            try unsafe openDue(&calls, name)
            let first = firstOpen
            let ts = first.map { open[$0].ts } ?? .max
            // Pending calls come after rows of the same time, because one of these may be the call's original begin.
            if let call = pending.last, call.ts < ts {
                pending.removeLast()
                try take(call.row, &calls)
                continue
            }
            guard let first, ts < end else { return }
            let file = open[first]
            if selection.holds(pid: file.pid), let row = unsafe EventRow(file.row) {
                try calls.take(row, host: host)
            }
            if try unsafe !moveToEvent(file, name) { open.remove(at: first) }
        }
    }

    /// The open file with the next row.
    private var firstOpen: Int? {
        open.indices.min { left, right in
            let (left, right) = (open[left], open[right])
            return (left.ts, left.pid, left.rank) < (right.ts, right.pid, right.rank)
        }
    }

    private mutating func openDue(
        _ calls: inout SpanCalls,
        _ name: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        while let next = waiting.last, next.due < end {
            if let first = firstOpen, open[first].ts < next.due { return }
            waiting.removeLast()
            let opened = try FinalFile(next.path, .json, rank: next.rank, budget: budget)
            guard let file = opened else { continue }
            var hasRow = try unsafe moveToEvent(file, name)
            while hasRow, let row = file.continuedCall {
                if row.ts < next.due, row.ts < end {
                    if selection.holds(pid: row.pid) { try calls.take(row, host: host) }
                } else if row.ts < end {
                    unsafe pending.append(Pending(ts: row.ts, row: Array(file.row)))
                }
                hasRow = try unsafe moveToEvent(file, name)
            }
            pending.sort { $1.ts < $0.ts }
            guard hasRow else { continue }
            guard open.count < filesMax else { throw FinalFileMerge.tooManyFiles(filesMax) }
            open.append(file)
        }
    }

    private func take(_ bytes: [UInt8], _ calls: inout SpanCalls) throws {
        try unsafe bytes.withUnsafeBytes { bytes in
            guard let row = unsafe EventRow(bytes), selection.holds(pid: row.pid) else { return }
            try calls.take(row, host: host)
        }
    }

    /// Moves to the next event. Returns false at the end of the file, after passing its names to `name`.
    private func moveToEvent(
        _ file: FinalFile,
        _ name: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> Bool {
        while try file.next() {
            guard file.content == .name else { return true }
            if selection.holds(pid: file.pid) { try unsafe name(file.row) }
        }
        return false
    }
}

/// The identity of the call that a `B` event begins, as far as events distinguish calls.
struct OpenedCall: Hashable {
    private let ts: EpochNanoseconds
    private let pid: UInt32
    private let tid: UInt32
    private let cookie: Int64
    private let name: UInt64
    private let host: UInt64

    /// Whether the event repeats the begin of a call that continues from an earlier window.
    let isContinued: Bool

    /// Nil for any other event. `host` is the hash of the file's host.
    init?(_ file: FinalFile, host: UInt64) {
        guard let row = EventRow(file) else { return nil }
        self.init(row, host: host)
    }

    /// Nil for any other event.
    init?(_ row: EventRow, host: UInt64) {
        guard let tid = row.tid, let call = row.call, call.phase == .begin else { return nil }
        self.init(call, began: row.ts, pid: row.pid, tid: tid, host: host)
    }

    /// The call that an exit ends, if the exit says when the call began; nil for any other event.
    init?(endedBy row: EventRow, host: UInt64) {
        guard let tid = row.tid, let call = row.call, let began = call.began else { return nil }
        self.init(call, began: began, pid: row.pid, tid: tid, host: host)
    }

    private init(
        _ call: EventRow.Call,
        began: EpochNanoseconds,
        pid: UInt32,
        tid: UInt32,
        host: UInt64
    ) {
        isContinued = call.isContinued
        ts = began
        self.pid = pid
        self.tid = tid
        cookie = call.cookie
        name = unsafe Slot.hash(host: call.name)
        self.host = host
    }

    static func == (left: OpenedCall, right: OpenedCall) -> Bool {
        left.ts == right.ts && left.pid == right.pid && left.tid == right.tid
            && left.cookie == right.cookie
            && left.name == right.name && left.host == right.host
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(ts)
        hasher.combine(pid)
        hasher.combine(tid)
        hasher.combine(cookie)
    }
}
