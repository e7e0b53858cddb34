import Glibc
import SystemIO
import TraceModel

/// Merges the rows of final files by time, then process id, then the order of the files.
///
/// Each file is sorted, and most files follow one another, so only files that overlap in time are open together, at
/// most `filesMax`. A call that spans several windows is repeated at the start of each later file, with its original
/// time. The merge returns only the first occurrence. Repeated calls at the start of files may be as old as the
/// process; they are held in memory, because otherwise all files would overlap.
///
/// Calls in traces are clipped to the selected time span: a call that is open at its start begins there, and a call
/// that is open at its end ends there. If a file does not repeat a call's begin, the exit is an instant in that file;
/// the merge turns it into the end of the slice that an earlier file begins.
final class FinalFileMerge {
    /// A repeated call from the start of a file, held until its turn by time.
    private struct Continued {
        let ts: EpochNanoseconds
        let pid: UInt32
        let host: UInt64
        let call: OpenedCall
        let row: [UInt8]
    }

    /// A row of the merge, valid until the next one. `ts` and `pid` are only those of events.
    @safe
    struct Row {
        let bytes: UnsafeRawBufferPointer
        let content: FinalFile.Content
        let ts: EpochNanoseconds
        let pid: UInt32
        /// The hash of the file's host.
        let host: UInt64
    }

    private let selection: RowSelection
    private let kind: FinalFile.Kind
    private let clipsCalls: Bool
    private let readsNames: Bool
    private let filesMax: Int
    private let budget: ReadingBudget
    private let onRow: () throws -> Void
    /// The selected host as files write it; nil to select all hosts.
    private let hostTexts: [[UInt8]]?
    /// Files not yet opened, latest first.
    private var waiting: [EarlyRows.Waiting] = []
    private var continued: [Continued] = []
    /// All calls that are or were in `continued`.
    private var known: Set<OpenedCall> = []
    private var continuedBytes = 0
    private var open: [FinalFile] = []
    private var hosts: [Int: UInt64] = [:]
    /// The time of the first row in the files of each host, without continued calls.
    private var firstTs: [UInt64: EpochNanoseconds] = [:]
    /// The file whose row was returned last, and the host of that row.
    private var current: Int?
    private var currentHost: UInt64 = 0
    /// The open calls, as far as they are tracked: those at the start of the time span after `begin`.
    var calls: SpanCalls
    /// Calls that begin at `openedAt`.
    private var opened: Set<OpenedCall> = []
    private var openedAt = EpochNanoseconds.min
    private var held = RawBuffer()

    /// Reads the beginning of each file. `clipsCalls`: whether the files are traces of calls. `readsNames`: whether the
    /// merge returns the names that follow the events of a trace; otherwise no file is read beyond the time span.
    /// `filesMax`: the limit of files that overlap in time. `onRow` is called for each row that is read, also for those
    /// that are not selected; it throws to end the merge. Memory is taken from `budget`.
    /// - Throws: `TraceError` if a file is damaged; `SystemError`.
    init(
        _ paths: [String],
        _ kind: FinalFile.Kind,
        _ selection: RowSelection,
        clipsCalls: Bool,
        readsNames: Bool = true,
        filesMax: Int,
        budget: ReadingBudget = ReadingBudget(),
        onRow: @escaping () throws -> Void = {}
    ) throws {
        self.budget = budget
        calls = SpanCalls(budget: budget)
        self.selection = selection
        self.clipsCalls = clipsCalls
        self.readsNames = readsNames
        self.onRow = onRow
        self.kind = kind
        self.filesMax = filesMax
        hostTexts = selection.hostTexts(kind)
        for (rank, path) in paths.enumerated() { try scanBeginning(path, rank) }
        waiting.sort { ($1.firstTs, $1.rank) < ($0.firstTs, $0.rank) }
        continued.sort { ($1.ts, $1.pid) < ($0.ts, $0.pid) }
    }

    /// The memory of a file that is not open, and of a call that is held, each without its text.
    private static let fileBytes = 128
    private static let continuedFixedBytes = 224

    /// Records where a file begins, and the calls that it continues.
    private func scanBeginning(_ path: String, _ rank: Int) throws {
        guard let file = try FinalFile(path, kind, rank: rank, budget: budget) else { return }
        try budget.take(path.utf8.count + Self.fileBytes)
        if kind == .json, let hostTexts, !hostTexts.contains(file.host) { return }
        hosts[rank] = unsafe file.host.withUnsafeBytes { unsafe Slot.hash(host: $0) }
        while try file.next() {
            if let call = OpenedCall(file, host: hosts[rank] ?? 0), call.isContinued {
                try hold(file, call)
                continue
            }
            waiting.append(
                EarlyRows.Waiting(path: path, rank: rank, firstTs: file.ts, due: file.ts)
            )
            let host = hosts[rank] ?? 0
            firstTs[host] = min(firstTs[host] ?? .max, file.ts)
            return
        }
    }

    private func hold(_ file: FinalFile, _ call: OpenedCall) throws {
        guard selection.holds(ts: file.ts, pid: file.pid), known.insert(call).inserted else {
            return
        }
        unsafe continuedBytes += file.row.count
        try unsafe budget.take(file.row.count + Self.continuedFixedBytes)
        guard continuedBytes <= Limits.catContinuedBytesMax else {
            throw TraceError(
                .exhausted,
                "the files continue more calls than fit into memory",
                remedy: "Narrow the time with --from and --to, or name a process with --pid"
            )
        }
        unsafe continued.append(
            Continued(
                ts: file.ts,
                pid: file.pid,
                host: hosts[file.rank] ?? 0,
                call: call,
                row: Array(file.row)
            )
        )
    }

    // MARK: Rows

    /// Calls `body` with every selected row, valid during the call. May be called only once. Blocks.
    /// - Throws: `TraceError` if a file is damaged or too many overlap; whatever `body` throws.
    func forEachRow(
        _ body: (_ row: UnsafeRawBufferPointer, _ content: FinalFile.Content) throws -> Void
    ) throws {
        try unsafe begin { try unsafe body($0, .name) }
        if clipsCalls, let from = selection.from {
            try unsafe calls.forEachOpening(at: from) { row, _ in try unsafe body(row, .event) }
        }
        let end = clipsCalls ? selection.to : nil
        while let row = try next() {
            if end != nil, row.content == .event, let event = unsafe EventRow(row.bytes) {
                try calls.take(event, host: row.host)
            }
            try unsafe body(row.bytes, row.content)
        }
        if let end {
            try unsafe calls.forEachClosing(at: end) { row, _ in try unsafe body(row, .event) }
        }
    }

    /// Reads what precedes the time span, and finds the calls that are open at its start (`calls`). To be called once,
    /// before `next`. `name` receives the names of files that end before the time span. Blocks.
    func begin(name: (UnsafeRawBufferPointer) throws -> Void) throws {
        guard clipsCalls, let from = selection.from else { return }
        try unsafe readEarlyRows(before: from, name: name)
    }

    /// Finds the calls that are open at the start of the time span, host by host.
    private func readEarlyRows(
        before from: EpochNanoseconds,
        name: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let files = Dictionary(grouping: waiting) { hosts[$0.rank] ?? 0 }
        waiting = []
        for (host, files) in files.sorted(by: { $0.key < $1.key }) {
            var early = EarlyRows(
                files.sorted { $0.rank < $1.rank },
                host: host,
                before: from,
                selection,
                filesMax: filesMax,
                budget: budget,
                onRow: onRow
            )
            try unsafe early.run(into: &calls, name: name)
            open += early.open
            guard open.count <= filesMax else { throw Self.tooManyFiles(filesMax) }
            waiting += early.waiting
        }
        waiting.sort { ($1.firstTs, $1.rank) < ($0.firstTs, $0.rank) }
    }

    static func tooManyFiles(_ filesMax: Int) -> TraceError {
        TraceError(
            .exhausted,
            "More than \(filesMax) files overlap in time",
            remedy: "Narrow the time with --from and --to, or name a host with --host"
        )
    }

    /// Returns the next selected row, valid until the next call; nil after the last one. Blocks.
    func next() throws -> Row? {
        while true {
            try onRow()
            try moveOn()
            try openDue()
            let first = firstOpen
            if let last = continued.last, isDue(last, before: first) {
                continued.removeLast()
                guard isNew(last.call, at: last.ts) else { continue }
                currentHost = last.host
                held.removeAll()
                unsafe last.row.withUnsafeBytes { unsafe held.append($0) }
                return unsafe Row(
                    bytes: held.bytes,
                    content: .event,
                    ts: last.ts,
                    pid: last.pid,
                    host: last.host
                )
            }
            guard let first else { return nil }
            current = first
            let file = open[first]
            if file.content == .name {
                guard selection.holds(pid: file.pid) else { continue }
                return unsafe row(file.row, of: file)
            }
            // The names of a trace follow its events, so a trace whose names are wanted is read to its end.
            if kind != .json || !readsNames, let to = selection.to, file.ts > to { return nil }
            let event = EventRow(file)
            guard selection.holds(ts: file.ts, pid: file.pid), isOfHost(file),
                isFirstOpening(event, of: file)
            else {
                continue
            }
            currentHost = hosts[file.rank] ?? 0
            return unsafe row(ending(event, file.row) ?? file.row, of: file)
        }
    }

    private func row(_ bytes: UnsafeRawBufferPointer, of file: FinalFile) -> Row {
        unsafe Row(
            bytes: bytes,
            content: file.content,
            ts: file.ts,
            pid: file.pid,
            host: hosts[file.rank] ?? 0
        )
    }

    /// Moves past the row that was returned last.
    private func moveOn() throws {
        guard let current else { return }
        self.current = nil
        if try !hasRow(open[current]) { open.remove(at: current) }
    }

    /// Moves to the next row that the merge may return; returns false if there is none.
    private func hasRow(_ file: FinalFile) throws -> Bool {
        try file.next() && (readsNames || file.content == .event)
    }

    /// Opens the files that may contain the next row.
    private func openDue() throws {
        while let next = waiting.last {
            if let to = selection.to, next.firstTs > to {
                waiting = []
                return
            }
            if let first = firstOpen.map({ open[$0] }) {
                if first.content == .name || first.ts < next.firstTs { return }
            } else if let last = continued.last, last.ts < next.firstTs {
                return
            }
            waiting.removeLast()
            let opened = try FinalFile(next.path, kind, rank: next.rank, budget: budget)
            guard let file = opened, try skipEarly(file) else { continue }
            guard open.count < filesMax else { throw Self.tooManyFiles(filesMax) }
            open.append(file)
        }
    }

    /// Moves to the first row in the time span that is not a held continued call; returns false if there is none.
    private func skipEarly(_ file: FinalFile) throws -> Bool {
        var isLeading = true
        while try hasRow(file) {
            try onRow()
            if file.content == .name { return true }
            if isLeading, let call = OpenedCall(file, host: hosts[file.rank] ?? 0), call.isContinued
            {
                continue
            }
            isLeading = false
            if selection.from.map({ file.ts >= $0 }) ?? true { return true }
        }
        return false
    }

    /// Whether the row belongs to the selected host. Traces of other hosts are not even opened.
    private func isOfHost(_ file: FinalFile) -> Bool {
        guard kind != .json, let hostTexts else { return true }
        guard let field = unsafe file.hostField else { return false }
        return hostTexts.contains { unsafe field.elementsEqual($0) }
    }

    /// The open file with the next row. The names of a file come as soon as its events are done.
    private var firstOpen: Int? {
        open.indices.min { left, right in
            let (left, right) = (open[left], open[right])
            if left.content != right.content { return left.content == .name }
            if left.content == .event {
                if left.ts != right.ts { return left.ts < right.ts }
                if left.pid != right.pid { return left.pid < right.pid }
            }
            return left.rank < right.rank
        }
    }

    /// Whether a held call is next. It comes after the files' rows of the same time and process, because one of these
    /// may be the call's original begin.
    private func isDue(_ call: Continued, before first: Int?) -> Bool {
        guard let file = first.map({ open[$0] }) else { return true }
        guard file.content == .event else { return false }
        return (call.ts, call.pid) < (file.ts, file.pid)
    }

    // MARK: Calls

    private func isFirstOpening(_ event: EventRow?, of file: FinalFile) -> Bool {
        guard let event, let call = OpenedCall(event, host: hosts[file.rank] ?? 0) else {
            return true
        }
        let isNew = isNew(call, at: file.ts)
        return isNew || !call.isContinued
    }

    /// Returns the row as the end of a slice, if it is an exit written as an instant and an earlier selected file
    /// begins the slice.
    private func ending(
        _ event: EventRow?,
        _ row: UnsafeRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        guard let event, let began = event.call?.began,
            began >= firstTs[currentHost] ?? .max
                || OpenedCall(endedBy: event, host: currentHost).map({ known.contains($0) }) == true
        else { return nil }
        held.removeAll()
        return unsafe EventRow.append(row, as: UInt8(ascii: "E"), to: &held) ? held.bytes : nil
    }

    /// Whether the call was not returned before, which can only have happened at the same time.
    private func isNew(_ call: OpenedCall, at ts: EpochNanoseconds) -> Bool {
        if ts != openedAt {
            openedAt = ts
            opened.removeAll(keepingCapacity: true)
        }
        // Beyond this limit a call may be returned twice.
        guard opened.count < Limits.catOpeningsMax else { return true }
        return opened.insert(call).inserted
    }
}

/// The calls of one thread that the rows of a trace have begun and not ended. Pairs calls as the worker does: an end
/// closes the innermost call with the same cookie and name and, if the end says when its call began, that time.
struct OpenSlices {
    /// An open call.
    struct Slice {
        /// Sequence number among all calls begun in the trace.
        let order: UInt64
        let ts: EpochNanoseconds
        let cookie: Int64
        /// Range of the JSON string with its quotes in `names`.
        fileprivate let nameStart: Int
        fileprivate let nameEnd: Int
    }

    /// The innermost call is last, and its name is at the end of `names`.
    private(set) var slices: [Slice] = []
    /// The names of all calls in one array, so that a call needs no allocation.
    private var names: [UInt8] = []

    func name(of slice: Slice) -> ArraySlice<UInt8> { names[slice.nameStart..<slice.nameEnd] }

    mutating func begin(_ call: EventRow.Call, ts: EpochNanoseconds, order: UInt64) {
        let start = names.count
        unsafe names.append(contentsOf: call.name)
        slices.append(
            Slice(order: order, ts: ts, cookie: call.cookie, nameStart: start, nameEnd: names.count)
        )
    }

    /// Whether a call with this cookie and name that began at `ts` is open.
    func isOpen(_ call: EventRow.Call, ts: EpochNanoseconds) -> Bool {
        slices.contains { unsafe $0.ts == ts && $0.cookie == call.cookie && isNamed($0, call.name) }
    }

    private func isNamed(_ slice: Slice, _ name: UnsafeRawBufferPointer) -> Bool {
        guard slice.nameEnd - slice.nameStart == name.count, let start = name.baseAddress else {
            return false
        }
        return unsafe names.withUnsafeBytes { names in
            unsafe names.baseAddress.map {
                unsafe memcmp($0 + slice.nameStart, start, name.count) == 0
            } ?? false
        }
    }

    /// Ends a call; returns false if no such call is open.
    mutating func end(_ call: EventRow.Call) -> Bool {
        guard
            let position = slices.lastIndex(where: {
                unsafe $0.cookie == call.cookie && (call.began ?? $0.ts) == $0.ts
                    && isNamed($0, call.name)
            })
        else { return false }
        if position == slices.count - 1 {
            unsafe names.removeLast(call.name.count)
            slices.removeLast()
            return true
        }
        let inner = slices[(position + 1)...].map { ($0, Array(name(of: $0))) }
        names.removeSubrange(slices[position].nameStart...)
        slices.removeSubrange(position...)
        for (slice, name) in inner {
            let start = names.count
            names += name
            slices.append(
                Slice(
                    order: slice.order,
                    ts: slice.ts,
                    cookie: slice.cookie,
                    nameStart: start,
                    nameEnd: names.count
                )
            )
        }
        return true
    }
}
