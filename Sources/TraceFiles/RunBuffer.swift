package import SystemIO
package import TraceModel

/// Rendered rows of one output that wait for their order. A row's bytes go to `text`, then `endRow`
/// files it under its key; `flush` writes them sorted to a run file, and begins another run where they
/// would not continue the last one.
///
/// Render a row through one access (`render(event, into: &rows.text)`) where it is hot.
package final class RunBuffer {
    @exclusivity(unchecked) package var text = RawBuffer(capacity: 4_096)

    let kind: OutputKind
    /// The host whose rows these are; nil where the output holds many hosts.
    let host: HostID?
    /// All runs of the window so far; rows continue the last one while `continuesRun`.
    var runs: [RunFile] = []
    var continuesRun = false
    var names = NameTable()

    private let hosts: HostTable
    private let ledger: RunLedger
    private let store: RunFileStore
    private let holdbackNanoseconds: Int64

    @exclusivity(unchecked) private var keys: [RowKey] = []
    @exclusivity(unchecked) private var rowStart = 0
    /// Whether the rows lie in the arena in their final order.
    @exclusivity(unchecked) private var isSorted = true
    private var hasNewRows = false

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
    }

    var isEmpty: Bool { keys.isEmpty }

    // MARK: Rows

    /// Ends a row of the host's trace: one event `{"ts":…,"pid":…,…}` without a line's end.
    package func endRow(ts: EpochNanoseconds, pid: UInt32) {
        assert(kind == .json)
        text.append(",\n")
        file(ts: ts, pid: pid, host: 0)
    }

    /// Ends a CSV row: adds the last two columns (host, time in nanoseconds) and the line's end. The
    /// second column must be `pid`.
    package func endRow(ts: EpochNanoseconds, pid: UInt32, host: HostID) {
        assert(kind == .csv)
        text.append(byte: UInt8(ascii: ","))
        hosts[host].csv.withUnsafeBytes { text.append($0) }
        text.append(byte: UInt8(ascii: ","))
        text.appendDecimal(ts)
        text.append("\r\n")
        file(ts: ts, pid: pid, host: host.index)
    }

    /// Forgets what stands in `text` since the last row's end.
    package func dropRow() { text.truncate(to: rowStart) }

    /// Files the bytes since the last row's end under their key.
    func file(ts: EpochNanoseconds, pid: UInt32, host: UInt16) {
        let key = RowKey(
            ts: ts,
            pid: pid,
            host: host,
            offset: UInt32(rowStart),
            length: UInt32(text.count - rowStart)
        )
        if isSorted, let last = keys.last, precedes(key, last) { isSorted = false }
        keys.append(key)
        rowStart = text.count
        hasNewRows = true
        ledger.bytes += Int(key.length) + MemoryLayout<RowKey>.stride
        if rowStart >= ledger.runBytesMax || ledger.bytes >= ledger.bytesMax {
            ledger.needsFlush = true
        }
    }

    // MARK: Writing

    /// Writes rows to the run file(s). On an error no row is lost: the same call may be made again.
    /// Only between rows. Blocks.
    func flush(_ scope: FlushScope, window: UInt64) throws(SystemError) {
        precondition(text.count == rowStart, "flush within a row")
        let wasQuiet = !hasNewRows
        hasNewRows = false
        guard !keys.isEmpty else { return }
        if scope == .full && text.count < ledger.runBytesMax { return }
        var order = keys
        if !isSorted { order.sort(by: rowPrecedes) }
        let count =
            switch scope {
            case .all: order.count
            case .tick: wasQuiet ? order.count : oldRows(of: order, keepingAtMost: .max)
            case .full: oldRows(of: order, keepingAtMost: text.count / 2)
            }
        guard count > 0 else { return }
        try write(order[..<count], window: window)
        keep(order[count...])
    }

    /// Gives an emptied buffer's memory back.
    func shrink() {
        guard keys.isEmpty, text.count == 0 else { return }
        text.shrink(keeping: 4_096)
        keys = []
    }

    /// No later row continues a run written so far: its names go with it.
    func endRun() {
        guard continuesRun, let run = runs.last else { return }
        continuesRun = false
        run.names = names
        names = NameTable()
    }

    private func precedes(_ left: RowKey, _ right: RowKey) -> Bool {
        if left.ts != right.ts { return left.ts < right.ts }
        if left.pid != right.pid { return left.pid < right.pid }
        return left.host != right.host && hosts.precedes(left.host, right.host)
    }

    private func rowPrecedes(_ left: RowKey, _ right: RowKey) -> Bool {
        if precedes(left, right) { return true }
        return left.offset < right.offset && !precedes(right, left)
    }

    /// How many of the sorted rows are older than the hold-back; more where the rest would be above
    /// `bytesMax`.
    private func oldRows(of order: [RowKey], keepingAtMost bytesMax: Int) -> Int {
        guard let newest = order.last?.ts else { return 0 }
        let (edge, overflow) = newest.subtractingReportingOverflow(holdbackNanoseconds)
        var count = order.count
        var kept = 0
        while count > 0, overflow || order[count - 1].ts > edge {
            kept += Int(order[count - 1].length)
            if kept > bytesMax { break }
            count -= 1
        }
        return count
    }

    private func write(_ rows: ArraySlice<RowKey>, window: UInt64) throws(SystemError) {
        guard let first = rows.first, let last = rows.last else { return }
        let run = run(for: first, window: window)
        var end = run.length
        if end == 0 { end = try store.writeHead(of: run, kind: kind) }
        if isSorted {
            let count = Int(last.offset + last.length)
            try store.write(
                UnsafeRawBufferPointer(rebasing: text.bytes[..<count]),
                at: end,
                to: run
            )
            end += count
        } else {
            var next = rows.startIndex
            while next < rows.endIndex {
                gather(rows, from: &next, bytesMax: RunFileStore.gatherBytes)
                try store.write(store.scratch.bytes, at: end, to: run)
                end += store.scratch.count
            }
        }
        run.length = end
        if run.rows == 0 { run.firstTs = first.ts }
        run.rows += UInt64(rows.count)
        run.last = RunPosition(ts: last.ts, pid: last.pid, host: last.host)
    }

    /// The run that rows from `first` on go to.
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
        }
        let run = store.begin(kind, window: window, host: host.map { hosts[$0] })
        runs.append(run)
        continuesRun = true
        return run
    }

    /// Copies rows to the scratch buffer until it holds `bytesMax`, at least one.
    private func gather(_ rows: ArraySlice<RowKey>, from next: inout Int, bytesMax: Int) {
        store.scratch.removeAll()
        let bytes = text.bytes
        repeat {
            let key = rows[next]
            let start = Int(key.offset)
            store.scratch.append(
                UnsafeRawBufferPointer(rebasing: bytes[start..<(start + Int(key.length))])
            )
            next += 1
        } while next < rows.endIndex && store.scratch.count < bytesMax
    }

    /// Keeps only these (sorted) rows, laid out in their order.
    private func keep(_ rest: ArraySlice<RowKey>) {
        let before = text.count + keys.count * MemoryLayout<RowKey>.stride
        if rest.isEmpty {
            text.removeAll()
        } else if isSorted, let first = rest.first {
            text.removeFirst(Int(first.offset))
        } else {
            var next = rest.startIndex
            gather(rest, from: &next, bytesMax: .max)
            text.removeAll()
            text.append(store.scratch.bytes)
        }
        keys.removeAll(keepingCapacity: true)
        var offset: UInt32 = 0
        for var key in rest {
            key.offset = offset
            offset += key.length
            keys.append(key)
        }
        rowStart = text.count
        isSorted = true
        ledger.bytes -= before - text.count - keys.count * MemoryLayout<RowKey>.stride
    }
}
