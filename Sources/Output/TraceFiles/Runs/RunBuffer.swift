public import SystemIO
public import TraceModel

/// Rendered rows of one output that wait for their order. A row's bytes go to `text`, then `endRow`
/// files it under its key; `flush` writes them sorted to a run file, and begins another run where they
/// would not continue the last one.
///
/// Rows that stay at a flush, as older ones may come, stay where they lie: the next ones go to another arena, and
/// both change places at the next flush.
///
/// Where rows are hot, `target` writes them.
@usableFromInline package final class RunBuffer {
    @usableFromInline @exclusivity(unchecked) package var text = RawBuffer(capacity: RunBuffer.idleBytes)

    /// Where rows lie that stayed at the last flush, among others that were written.
    @exclusivity(unchecked) private var kept = RawBuffer(capacity: RunBuffer.idleBytes)

    let kind: OutputKind
    /// The host whose rows these are; nil where the output holds many hosts.
    let host: HostID?
    /// All runs of the window so far; rows continue the last one while `continuesRun`.
    var runs: [RunFile] = []
    var continuesRun = false
    var names = NameTable()

    let hosts: HostTable
    private let ledger: RunLedger
    private let store: RunFileStore
    private let holdbackNanoseconds: Int64

    @usableFromInline @exclusivity(unchecked) var keys = RawArray<RowKey>(capacity: RunBuffer.idleRows)
    @usableFromInline @exclusivity(unchecked) var rowStart = 0
    /// Whether the keys stand in their final order, wherever the rows lie.
    @usableFromInline @exclusivity(unchecked) var isSorted = true
    /// Rows that end behind this are told to the ledger.
    @usableFromInline @exclusivity(unchecked) var unnotedEnd = 0
    /// What the ledger knows of.
    private var notedBytes = 0
    /// Rows that stayed when the buffer was last flushed.
    private var keptCount = 0
    /// Whether it is among the ledger's live ones.
    private(set) var isLive = false
    /// Whether it has been full since it last gave memory back.
    private var wasFull = false
    /// The most it has held since then, in bytes.
    private var peakBytes = 0
    /// Rows of so many bytes stay back where the buffer is full, as older ones may come: twice as many once one
    /// came too late for its run, so that agents that lag behind one another cost memory and no merge.
    private var keptBytesMax: Int

    init(
        _ kind: OutputKind, host: HostID?, hosts: HostTable, ledger: RunLedger, store: RunFileStore,
        holdbackNanoseconds: Int64
    ) {
        self.kind = kind
        self.host = host
        self.hosts = hosts
        self.ledger = ledger
        self.store = store
        self.holdbackNanoseconds = holdbackNanoseconds
        keptBytesMax = ledger.runBytesMax / 8
    }

    var isEmpty: Bool { keys.count == 0 }

    /// New rows of so many bytes fill the buffer: what stays of them fits half of what it may hold.
    private var fullBytes: Int { max(ledger.runBytesMax / 2, keptBytesMax) }

    /// What its arenas take of memory.
    var capacity: Int { text.capacity + kept.capacity }

    // MARK: Rows

    /// Ends a row of the host's trace: one event `{"ts":…,"pid":…,…}` without a line's end.
    package func endRow(ts: EpochNanoseconds, pid: UInt32) {
        assert(kind == .json)
        text.append(",\n")
        file(ts: ts, pid: pid, host: 0)
    }

    /// For rows that are written by a cursor.
    package var target: RowTarget { RowTarget(self) }

    /// Counts what a row's cursor has written until `at`, if any, and returns room for `count` bytes and more.
    func room(_ at: UnsafeMutableRawPointer?, _ count: Int) -> UnsafeMutableRawBufferPointer {
        if let at { commit(at) }
        let start = text.reserve(count + RowWriter.slackBytes)
        return UnsafeMutableRawBufferPointer(start: start, count: text.capacity - text.count)
    }

    /// Lets `body` append behind what a row's cursor has written until `at`.
    func append<Result>(_ at: UnsafeMutableRawPointer, _ body: (inout RawBuffer) -> Result) -> Result {
        commit(at)
        return body(&text)
    }

    @inlinable @inline(__always) func commit(_ at: UnsafeMutableRawPointer) {
        text.commit(at - (text.base + text.count))
    }

    /// Forgets what stands in `text` since the last row's end.
    package func dropRow() { text.truncate(to: rowStart) }

    /// Files the bytes since the last row's end under their key.
    @inlinable @inline(__always) func file(ts: EpochNanoseconds, pid: UInt32, host: UInt32) {
        let key = RowKey(
            ts: ts, pid: pid, host: host, offset: UInt32(truncatingIfNeeded: rowStart),
            length: UInt32(truncatingIfNeeded: text.count &- rowStart))
        if isSorted, keys.count > 0, precedes(key, keys[keys.count - 1]) { isSorted = false }
        keys.append(key)
        rowStart = text.count
        if rowStart >= unnotedEnd { note() }
    }

    /// Tells the ledger, every few rows, how much there is, and that there is too much.
    @inline(never) @usableFromInline func note() {
        precondition(rowStart < RowKey.keptBase, "offsets in an arena are 31 bits wide")
        if !isLive { beginWindow() }
        let bytes = kept.count + rowStart + keys.count * MemoryLayout<RowKey>.stride
        ledger.bytes += bytes - notedBytes
        notedBytes = bytes
        if rowStart >= fullBytes { wasFull = true }
        if rowStart >= fullBytes || ledger.bytes >= ledger.bytesMax { ledger.needsFlush = true }
        let step = min(Self.notedStep, ledger.bytesMax / 64)
        unnotedEnd = rowStart < fullBytes ? min(rowStart + step, fullBytes) : rowStart + step
    }

    private static let notedStep = 4_096
    /// What arenas of a host of which nothing comes keep.
    private static let idleBytes = 64
    private static let idleRows = 4

    // MARK: Writing

    /// Writes rows to the run file(s). On an error no row is lost: the same call may be made again.
    /// Only between rows. Blocks.
    /// `isCrowded`: so many outputs grow at once that few rows stay at a tick, as each write means to open a file.
    func flush(_ scope: FlushScope, window: UInt64, isCrowded: Bool = false) throws(SystemError) {
        precondition(text.count == rowStart, "flush within a row")
        let wasQuiet = keys.count == keptCount
        keptCount = keys.count
        peakBytes = max(peakBytes, kept.count + text.count)
        guard !isEmpty else { return }
        if scope == .full && text.count < fullBytes { return }
        if scope == .tick && isCrowded && text.count + kept.count < fullBytes / 8 { return }
        if !isSorted {
            store.sorter.sort(keys.elements, by: precedes)
            isSorted = true
        }
        let count =
            switch scope {
            case .all: keys.count
            case .tick: wasQuiet ? keys.count : oldRows(keepingAtMost: .max)
            case .full: oldRows(keepingAtMost: keptBytesMax)
            }
        guard count > 0 else { return }
        try write(count, window: window)
        drop(count)
        keptCount = keys.count
    }

    /// Gives an emptied buffer's memory back.
    func giveBack() {
        guard isEmpty, text.count == 0 else { return }
        text.shrink(keeping: Self.idleBytes)
        kept.shrink(keeping: Self.idleBytes)
        keys.shrink(keeping: Self.idleRows)
        wasFull = false
        peakBytes = 0
    }

    /// Gives an emptied buffer's memory back where it was not needed since it last did, or is more than the `spare` bytes that
    /// buffers which were never full may keep together.
    func giveBackUnneeded(_ spare: inout Int) {
        guard isEmpty, text.count == 0 else { return }
        if !wasFull {
            guard peakBytes >= capacity / 4, capacity <= spare else { return giveBack() }
            spare -= capacity
        }
        wasFull = false
        peakBytes = 0
    }

    /// No later row continues a run written so far: its names go with it.
    func endRun() {
        guard continuesRun, let run = runs.last else { return }
        continuesRun = false
        run.names = names
        names = NameTable()
    }

    @inlinable @inline(__always) func precedes(_ left: RowKey, _ right: RowKey) -> Bool {
        if left.ts != right.ts { return left.ts < right.ts }
        if left.pid != right.pid { return left.pid < right.pid }
        return left.host != right.host && precedes(host: left.host, right.host)
    }

    @inline(never) @usableFromInline func precedes(host left: UInt32, _ right: UInt32) -> Bool {
        hosts.precedes(left, right, inTable: kind == .csv)
    }

    // MARK: Windows

    /// The open window has something of this output: rows, or names. From the first one on.
    func beginWindow() {
        guard !isLive else { return }
        isLive = true
        ledger.live.append(Unmanaged.passUnretained(self))
    }

    /// The window's runs are closed.
    func windowEnded() {
        runs = []
        names = NameTable()
        isLive = false
        // The next row is noted, whatever its size.
        unnotedEnd = 0
    }

    /// How many of the sorted rows are older than the hold-back; more where the rest would be above
    /// `bytesMax`.
    private func oldRows(keepingAtMost bytesMax: Int) -> Int {
        guard !isEmpty else { return 0 }
        let newest = keys[keys.count - 1].ts
        let (edge, overflow) = newest.subtractingReportingOverflow(holdbackNanoseconds)
        var count = keys.count
        var kept = 0
        while count > 0, overflow || keys[count - 1].ts > edge {
            kept += Int(keys[count - 1].length)
            if kept > bytesMax { break }
            count -= 1
        }
        return count
    }

    /// Writes the first `count` rows.
    private func write(_ count: Int, window: UInt64) throws(SystemError) {
        let rows = UnsafeBufferPointer(rebasing: keys.elements[..<count])
        let (first, last) = (rows[0], rows[count - 1])
        let run = run(for: first, window: window)
        var end = run.length
        if end == 0 { end = try store.writeHead(of: run, kind: kind) }
        let bytes = rows.reduce(0) { $0 + Int($1.length) }
        let arenas = RowArenas(text: text.bytes, kept: kept.bytes)
        let checksum = try store.append(rows, of: arenas, kind: kind, bytes: bytes, at: end, to: run)
        ledger.wrote(end + bytes - run.length, kind)
        run.length = end + bytes
        run.checksum = checksum
        if run.rows == 0 { run.firstTs = first.ts }
        run.rows += UInt64(count)
        run.last = RunPosition(ts: last.ts, pid: last.pid, host: last.host)
    }

    /// The run that rows from `first` on go to.
    private func run(for first: RowKey, window: UInt64) -> RunFile {
        if continuesRun, let run = runs.last {
            let last = RowKey(ts: run.last.ts, pid: run.last.pid, host: run.last.host, offset: 0, length: 0)
            if run.rows == 0 || !precedes(first, last) { return run }
            keptBytesMax = min(2 * keptBytesMax, 4 * ledger.runBytesMax)
        }
        let run = store.begin(kind, window: window, host: host.map { hosts[$0] })
        runs.append(run)
        continuesRun = true
        return run
    }

    /// Forgets the first `count` rows, which are written. The others stay where they lie, but for those that stay a second
    /// time: few, as newer rows are written later.
    private func drop(_ count: Int) {
        keys.removeFirst(count)
        if isEmpty { kept.removeAll() } else { keepRows() }
        text.removeAll()
        rowStart = 0
        note()
    }

    private func keepRows() {
        for at in 0..<keys.count {
            let key = keys.base[at]
            if key.isKept {
                keys.base[at].offset = UInt32(text.count)
                text.append(RowArenas(text: text.bytes, kept: kept.bytes)[key.place])
            }
            keys.base[at].offset += RowKey.keptBase
        }
        swap(&text, &kept)
    }
}
