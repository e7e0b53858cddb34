public import SystemIO
public import TraceModel

/// Collects the rendered rows of one output until they can be written in order. A row's bytes go to `text`, then
/// `endRow` adds its key. `flush` writes the rows sorted to a run file, and starts a new run if they sort before the
/// end of the current one.
///
/// A flush keeps young rows, because older ones may still arrive. These rows are not moved: new rows go to a second
/// arena, and the two arenas swap roles at the next flush.
///
/// The hot path writes rows through `target`.
@usableFromInline package final class RunBuffer {
    @usableFromInline @exclusivity(unchecked) package var text = RawBuffer(
        capacity: RunBuffer.idleBytes
    )

    /// The arena of the rows that stayed at the last flush. Also contains rows that were written since.
    @exclusivity(unchecked) private var kept = RawBuffer(capacity: RunBuffer.idleBytes)

    let kind: OutputKind
    /// The host of all rows; nil if the output contains many hosts.
    let host: HostID?
    /// All runs of the window. New rows continue the last one while `continuesRun`.
    var runs: [RunFile] = []
    var continuesRun = false
    var names = NameTable()

    let hosts: HostTable
    private let ledger: RunLedger
    private let store: RunFileStore
    private let holdbackNanoseconds: Int64

    @usableFromInline @exclusivity(unchecked) var keys = RawArray<RowKey>(
        capacity: RunBuffer.idleRows
    )
    @usableFromInline @exclusivity(unchecked) var rowStart = 0
    /// Whether the keys are in their final order.
    @usableFromInline @exclusivity(unchecked) var isSorted = true
    /// `text` reports to the ledger when it reaches this offset.
    @usableFromInline @exclusivity(unchecked) var ledgerUpdateAt = 0
    /// The bytes last reported to the ledger.
    private var ledgerBytes = 0
    /// The number of rows that stayed at the last flush.
    private var keptCount = 0
    /// Whether the ledger lists this buffer as having rows or names in the open window.
    private(set) var isLive = false
    /// Whether the buffer has been full since its memory was last considered for release.
    private var wasFull = false
    /// The most bytes that it has held since then.
    private var peakBytes = 0
    /// The number of bytes that stay in a full buffer, because older rows may arrive. Doubled each time a row arrives
    /// too late for its run, so that agents with different delays cost memory rather than additional runs to merge.
    private var keptBytesMax: Int

    init(
        _ kind: OutputKind,
        host: HostID?,
        hosts: HostTable,
        ledger: RunLedger,
        store: RunFileStore,
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

    var isEmpty: Bool { unsafe keys.count == 0 }

    /// The window's rows, written or not. Rows of a segment that was damaged count as well.
    var rowCount: UInt64 {
        unsafe runs.reduce(UInt64(keys.count)) { $0 + UInt64($1.rows) }
    }

    /// The number of new bytes that make the buffer full. The kept rows fit into the other half of its budget.
    private var fullBytes: Int { max(ledger.runBytesMax / 2, keptBytesMax) }

    /// The memory of both arenas, in bytes.
    var capacity: Int { unsafe text.capacity + kept.capacity }

    // MARK: Rows

    /// Ends a row of the host's trace: one event `{"ts":…,"pid":…,…}` without a line end.
    package func endRow(ts: EpochNanoseconds, pid: UInt32) {
        assert(kind == .json)
        unsafe text.append(",\n")
        endRow(ts: ts, pid: pid, host: 0)
    }

    /// The hot path's way to write rows.
    package var target: RowTarget { RowTarget(self) }

    /// Commits what a `RowWriter` has written up to `at`, if given, and reserves at least `count` bytes and the slack.
    func room(_ at: UnsafeMutableRawPointer?, _ count: Int) -> UnsafeMutableRawBufferPointer {
        if let at = unsafe at { unsafe commit(at) }
        let start = unsafe text.reserve(count + RowWriter.slackBytes)
        return unsafe UnsafeMutableRawBufferPointer(start: start, count: text.capacity - text.count)
    }

    /// Commits what a `RowWriter` has written up to `at`, then lets `body` append.
    func append<Result>(
        _ at: UnsafeMutableRawPointer,
        _ body: (inout RawBuffer) -> Result
    ) -> Result {
        unsafe commit(at)
        return unsafe body(&text)
    }

    @inlinable @inline(__always) func commit(_ at: UnsafeMutableRawPointer) {
        unsafe text.commit(at - (text.base + text.count))
    }

    /// Discards what was appended since the end of the last row.
    package func dropRow() { unsafe text.truncate(to: rowStart) }

    /// Ends a row: adds the key of the bytes since the end of the last row.
    @inlinable @inline(__always) func endRow(ts: EpochNanoseconds, pid: UInt32, host: UInt32) {
        let key = unsafe RowKey(
            ts: ts,
            pid: pid,
            host: host,
            offset: UInt32(truncatingIfNeeded: rowStart),
            length: UInt32(truncatingIfNeeded: text.count &- rowStart)
        )
        if unsafe isSorted, unsafe keys.count > 0, unsafe precedes(key, keys[keys.count - 1]) {
            unsafe isSorted = false
        }
        unsafe keys.append(key)
        unsafe rowStart = unsafe text.count
        if unsafe rowStart >= ledgerUpdateAt { updateLedger() }
    }

    /// Updates the ledger every few rows: the bytes in use, and whether a flush is due.
    @inline(never) @usableFromInline func updateLedger() {
        unsafe precondition(rowStart < RowKey.keptBase, "offsets in an arena are 31 bits wide")
        if !isLive { beginWindow() }
        let bytes = unsafe kept.count + rowStart + keys.count * MemoryLayout<RowKey>.stride
        unsafe ledger.bytes += bytes - ledgerBytes
        ledgerBytes = bytes
        if unsafe rowStart >= fullBytes { wasFull = true }
        if unsafe rowStart >= fullBytes || ledger.bytes >= ledger.bytesMax {
            unsafe ledger.needsFlush = true
        }
        let step = min(Self.ledgerStepBytes, ledger.bytesMax / 64)
        unsafe ledgerUpdateAt =
            unsafe rowStart < fullBytes ? min(rowStart + step, fullBytes) : rowStart + step
    }

    private static let ledgerStepBytes = 4_096
    /// The capacity that the arenas of an idle host keep, in bytes.
    private static let idleBytes = 64
    private static let idleRows = 4

    // MARK: Writing

    /// Writes rows to their runs. After an error no row is lost, and the same call may be repeated. Must not be called
    /// within a row. Blocks.
    /// - Parameter isCrowded: Whether so many outputs grow at once that small buffers wait at a tick, because each
    ///   write would have to open a file.
    func flush(_ scope: FlushScope, window: UInt64, isCrowded: Bool = false) throws(SystemError) {
        unsafe precondition(text.count == rowStart, "flush within a row")
        let wasQuiet = unsafe keys.count == keptCount
        keptCount = unsafe keys.count
        peakBytes = unsafe max(peakBytes, kept.count + text.count)
        guard !isEmpty else { return }
        if unsafe scope == .full && text.count < fullBytes { return }
        if unsafe scope == .tick && isCrowded && text.count + kept.count < fullBytes / 8 { return }
        if unsafe !isSorted {
            unsafe store.sorter.sort(keys.elements, by: precedes)
            unsafe isSorted = true
        }
        let count =
            switch scope {
            case .all: unsafe keys.count
            case .tick: unsafe wasQuiet ? keys.count : oldRows(keepingAtMost: .max)
            case .full: oldRows(keepingAtMost: keptBytesMax)
            }
        guard count > 0 else { return }
        try write(count, window: window)
        drop(count)
        keptCount = unsafe keys.count
    }

    /// Releases the memory of an empty buffer.
    func releaseMemory() {
        guard isEmpty, unsafe text.count == 0 else { return }
        unsafe text.shrink(keeping: Self.idleBytes)
        unsafe kept.shrink(keeping: Self.idleBytes)
        unsafe keys.shrink(keeping: Self.idleRows)
        wasFull = false
        peakBytes = 0
    }

    /// Releases the memory of an empty buffer if little of it was used since the last call, or if it exceeds `spare`:
    /// the bytes that all buffers which were never full may keep together.
    func releaseUnneededMemory(_ spare: inout Int) {
        guard isEmpty, unsafe text.count == 0 else { return }
        if !wasFull {
            guard peakBytes >= capacity / 4, capacity <= spare else { return releaseMemory() }
            spare -= capacity
        }
        wasFull = false
        peakBytes = 0
    }

    /// Ends the current run, which takes the names with it. Later rows start a new run.
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

    /// Adds the buffer to the ledger's live ones, at its first row or name in the window.
    func beginWindow() {
        guard !isLive else { return }
        isLive = true
        unsafe ledger.live.append(Unmanaged.passUnretained(self))
    }

    /// Resets the buffer after the window's runs were closed.
    func windowEnded() {
        runs = []
        names = NameTable()
        isLive = false
        // The next row updates the ledger, whatever its size.
        unsafe ledgerUpdateAt = 0
    }

    /// The number of sorted rows that are older than the hold-back; more if the others would exceed `bytesMax`.
    private func oldRows(keepingAtMost bytesMax: Int) -> Int {
        guard !isEmpty else { return 0 }
        let newest = unsafe keys[keys.count - 1].ts
        let (edge, overflow) = newest.subtractingReportingOverflow(holdbackNanoseconds)
        var count = unsafe keys.count
        var kept = 0
        while count > 0, unsafe overflow || keys[count - 1].ts > edge {
            unsafe kept += Int(keys[count - 1].length)
            if kept > bytesMax { break }
            count -= 1
        }
        return count
    }

    /// Writes the first `count` rows.
    private func write(_ count: Int, window: UInt64) throws(SystemError) {
        let rows = unsafe UnsafeBufferPointer(rebasing: keys.elements[..<count])
        let (first, last) = unsafe (rows[0], rows[count - 1])
        let run = run(for: first, window: window)
        var end = run.length
        if end == 0 { end = try store.writeHead(of: run, kind: kind) }
        let bytes = unsafe rows.reduce(0) { $0 + Int($1.length) }
        let arenas = unsafe RowArenas(text: text.bytes, kept: kept.bytes)
        let checksum = try unsafe store.append(
            rows,
            of: arenas,
            kind: kind,
            bytes: bytes,
            at: end,
            to: run
        )
        ledger.wrote(end + bytes - run.length, kind)
        run.length = end + bytes
        run.checksum = checksum
        if run.rows == 0 { run.firstTs = first.ts }
        run.rows += UInt64(count)
        run.last = RunPosition(ts: last.ts, pid: last.pid, host: last.host)
    }

    /// Returns the run for rows from `first` on.
    private func run(for first: RowKey, window: UInt64) -> RunFile {
        if continuesRun, let run = runs.last {
            let last = RowKey(
                ts: run.last.ts,
                pid: run.last.pid,
                host: run.last.host,
                offset: 0,
                length: 0
            )
            if run.rows == 0 || !precedes(first, last) { return run }
            keptBytesMax = min(2 * keptBytesMax, 4 * ledger.runBytesMax)
        }
        let run = store.begin(kind, window: window, host: host.map { hosts[$0] })
        runs.append(run)
        continuesRun = true
        return run
    }

    /// Removes the first `count` rows after they were written. The others are not moved, except those that stay a
    /// second time. These are few, because rows are written oldest first.
    private func drop(_ count: Int) {
        unsafe keys.removeFirst(count)
        if isEmpty { unsafe kept.removeAll() } else { keepRows() }
        unsafe text.removeAll()
        unsafe rowStart = 0
        updateLedger()
    }

    private func keepRows() {
        for at in unsafe 0..<keys.count {
            let key = unsafe keys.base[at]
            if key.isKept {
                unsafe keys.base[at].offset = unsafe UInt32(text.count)
                unsafe text.append(RowArenas(text: text.bytes, kept: kept.bytes)[key.range])
            }
            unsafe keys.base[at].offset += RowKey.keptBase
        }
        unsafe swap(&text, &kept)
    }
}
