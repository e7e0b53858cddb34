import SystemIO
import TraceModel

/// The calls that are open at one point of a document that `FinalFileMerge` reads, of all hosts, and the
/// events that clip them at the ends of a span of time. Memory is bounded by the open calls.
struct SpanCalls {
    private struct Thread: Hashable {
        let host: UInt64
        let pid: UInt32
        let tid: UInt32
    }

    private var threads: [Thread: OpenSlices] = [:]
    private var begun: UInt64 = 0
    private var openBytes = 0
    private let openBytesMax: Int
    /// Idle threads are forgotten when there are so many threads; doubled while most are not idle.
    private var threadsMax = 1_024

    /// What an open call takes besides its name.
    private static let fixedBytes = 64

    /// Throws when open calls would take more than `openBytesMax` bytes.
    init(openBytesMax: Int = Limits.catContinuedBytesMax) { self.openBytesMax = openBytesMax }

    // MARK: Rows

    /// Takes the next row of a host, in order of time. A row that is neither begin nor end of a call
    /// changes nothing. Of a continued call that is open already nothing changes either.
    /// - Throws: `TraceError(.exhausted)` where more calls are open than there is room for.
    mutating func take(_ row: EventRow, host: UInt64) throws(TraceError) {
        guard let call = row.call, let tid = row.tid else { return }
        let thread = Thread(host: host, pid: row.pid, tid: tid)
        let cost = call.name.count + Self.fixedBytes
        switch call.phase {
        case .begin:
            if threads.count >= threadsMax { forgetIdle() }
            if call.isContinued, threads[thread]?.isOpen(call, ts: row.ts) == true { return }
            openBytes += cost
            guard openBytes <= openBytesMax else { throw Self.tooMany() }
            begun += 1
            threads[thread, default: OpenSlices()].begin(call, ts: row.ts, order: begun)
        case .end: if threads[thread]?.end(call) == true { openBytes -= cost }
        }
    }

    private mutating func forgetIdle() {
        threads = threads.filter { !$0.value.slices.isEmpty }
        threadsMax = max(threadsMax, 2 * threads.count)
    }

    static func tooMany() -> TraceError {
        TraceError(
            .exhausted, "More calls are open at one time than there is room for",
            remedy: "Name a process with --pid, or a host with --host")
    }

    // MARK: Clipping

    /// A `B` event at `ts` for each open call, as a window's file repeats the calls that go on in it. An
    /// outer call comes before those inside it.
    func forEachOpening(at ts: EpochNanoseconds, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        var text = RawBuffer()
        for (thread, slice) in openCalls {
            text.removeAll()
            text.appendContinuedCall(ts: ts, pid: thread.pid, tid: thread.tid, cookie: slice.cookie) {
                append(nameOf: slice, thread, to: &$0)
            }
            try body(text.bytes)
        }
    }

    /// An `E` event at `ts` for each open call. An outer call comes behind those inside it.
    func forEachClosing(at ts: EpochNanoseconds, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        var text = RawBuffer()
        for (thread, slice) in openCalls.reversed() {
            text.removeAll()
            text.appendClippedEnd(ts: ts, pid: thread.pid, tid: thread.tid) { append(nameOf: slice, thread, to: &$0) }
            try body(text.bytes)
        }
    }

    /// By the time at which they began, then by the order of their rows.
    private var openCalls: [(thread: Thread, slice: OpenSlices.Slice)] {
        threads.flatMap { thread, calls in calls.slices.map { (thread, $0) } }.sorted {
            ($0.slice.ts, $0.slice.order) < ($1.slice.ts, $1.slice.order)
        }
    }

    private func append(nameOf slice: OpenSlices.Slice, _ thread: Thread, to text: inout RawBuffer) {
        threads[thread]?.name(of: slice).withUnsafeBytes { text.append($0) }
    }
}

/// Reads the rows of one host that come before a span of time, in order of time, to find the calls that
/// are open where the span begins. Only files that overlap in time are open together.
struct EarlyRows {
    /// A file of the host, not yet opened.
    struct Waiting {
        let path: String
        /// Place among all files; windows and their parts follow one another in this order.
        let rank: Int
        /// The time of the first row that is not a continued call.
        let firstTs: EpochNanoseconds
        /// When it is opened: no later than any file behind it. A call that has ended in a later window
        /// is then never taken up again from an earlier window's list of continued calls.
        var due: EpochNanoseconds
    }

    /// A continued call that stands in its file before the row at which the file was opened.
    private struct Pending {
        let ts: EpochNanoseconds
        let row: [UInt8]
    }

    private let host: UInt64
    private let end: EpochNanoseconds
    private let selection: RowSelection
    private let filesMax: Int
    /// By due time, the earliest last.
    private(set) var waiting: [Waiting]
    /// After `run`: those whose next row is in the span.
    private(set) var open: [FinalFile] = []
    /// By time, the earliest last.
    private var pending: [Pending] = []

    /// `files`: of one host, by rank. `end`: where the span begins, in nanoseconds since the epoch.
    init(_ files: [Waiting], host: UInt64, before end: EpochNanoseconds, _ selection: RowSelection, filesMax: Int) {
        self.host = host
        self.end = end
        self.selection = selection
        self.filesMax = filesMax
        var files = files
        for index in files.indices.dropLast().reversed() {
            files[index].due = min(files[index].due, files[index + 1].due)
        }
        waiting = files.sorted { ($1.due, $1.rank) < ($0.due, $0.rank) }
    }

    /// Reads all rows before the span into `calls`. Afterwards `open` and `waiting` hold the files that go
    /// on. `name` takes the names behind the events of files that end here. Blocks on the disk.
    /// - Throws: `TraceError` where a file is damaged, too many overlap or too many calls are open.
    mutating func run(into calls: inout SpanCalls, name: (UnsafeRawBufferPointer) throws -> Void) throws {
        while true {
            try openDue(&calls, name)
            let first = firstOpen
            let ts = first.map { open[$0].ts } ?? .max
            // Behind the rows of the same time, as one of them can be the call's own begin.
            if let call = pending.last, call.ts < ts {
                pending.removeLast()
                try take(call.row, &calls)
                continue
            }
            guard let first, ts < end else { return }
            let file = open[first]
            if selection.holds(pid: file.pid), let row = EventRow(file.row) { try calls.take(row, host: host) }
            if try !moveToEvent(file, name) { open.remove(at: first) }
        }
    }

    /// The open file whose row comes first.
    private var firstOpen: Int? {
        open.indices.min { left, right in
            let (left, right) = (open[left], open[right])
            return (left.ts, left.pid, left.rank) < (right.ts, right.pid, right.rank)
        }
    }

    private mutating func openDue(_ calls: inout SpanCalls, _ name: (UnsafeRawBufferPointer) throws -> Void) throws {
        while let next = waiting.last, next.due < end {
            if let first = firstOpen, open[first].ts < next.due { return }
            waiting.removeLast()
            guard let file = try FinalFile(next.path, .json, rank: next.rank) else { continue }
            var hasRow = try moveToEvent(file, name)
            while hasRow, let row = file.continuedCall {
                if row.ts < next.due, row.ts < end {
                    if selection.holds(pid: row.pid) { try calls.take(row, host: host) }
                } else if row.ts < end {
                    pending.append(Pending(ts: row.ts, row: Array(file.row)))
                }
                hasRow = try moveToEvent(file, name)
            }
            pending.sort { $1.ts < $0.ts }
            guard hasRow else { continue }
            guard open.count < filesMax else { throw FinalFileMerge.tooManyFiles(filesMax) }
            open.append(file)
        }
    }

    private func take(_ bytes: [UInt8], _ calls: inout SpanCalls) throws {
        try bytes.withUnsafeBytes { bytes in
            guard let row = EventRow(bytes), selection.holds(pid: row.pid) else { return }
            try calls.take(row, host: host)
        }
    }

    /// False where the file has no more events: its names have then been handed on.
    private func moveToEvent(_ file: FinalFile, _ name: (UnsafeRawBufferPointer) throws -> Void) throws -> Bool {
        while try file.next() {
            guard file.content == .name else { return true }
            if selection.holds(pid: file.pid) { try name(file.row) }
        }
        return false
    }
}

/// The call that a `B` event opens, as far as the events tell calls apart.
struct OpenedCall: Hashable {
    private let ts: EpochNanoseconds
    private let pid: UInt32
    private let tid: UInt32
    private let cookie: Int64
    private let name: UInt64
    private let host: UInt64

    /// Whether the event repeats the opening of a call that went on over a rotation.
    let isContinued: Bool

    /// Nil for any other event. `host` stands for the file's host.
    init?(_ file: FinalFile, host: UInt64) {
        guard let row = EventRow(file) else { return nil }
        self.init(row, host: host)
    }

    /// Nil for any other event.
    init?(_ row: EventRow, host: UInt64) {
        guard let tid = row.tid, let call = row.call, call.phase == .begin else { return nil }
        self.init(call, began: row.ts, pid: row.pid, tid: tid, host: host)
    }

    /// The call that an exit ends, where the exit says when it began; nil for any other event.
    init?(endedBy row: EventRow, host: UInt64) {
        guard let tid = row.tid, let call = row.call, let began = call.began else { return nil }
        self.init(call, began: began, pid: row.pid, tid: tid, host: host)
    }

    private init(_ call: EventRow.Call, began: EpochNanoseconds, pid: UInt32, tid: UInt32, host: UInt64) {
        isContinued = call.isContinued
        ts = began
        self.pid = pid
        self.tid = tid
        cookie = call.cookie
        name = Slot.hash(host: call.name)
        self.host = host
    }

    static func == (left: OpenedCall, right: OpenedCall) -> Bool {
        left.ts == right.ts && left.pid == right.pid && left.tid == right.tid && left.cookie == right.cookie
            && left.name == right.name && left.host == right.host
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(ts)
        hasher.combine(pid)
        hasher.combine(tid)
        hasher.combine(cookie)
    }
}
