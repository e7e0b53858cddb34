package import SystemIO
package import TraceModel

/// Writes all output files of one worker. Not thread-safe: only the worker's apply loop uses it.
///
/// # Windows, runs, files
/// Barriers number the windows. A window has these outputs: one Chrome trace per host, one CSV file, one file of call
/// stacks per host, one list of anomalies, and the call trees. The rows of an output are rendered into a `RunBuffer`, sorted by (ts,
/// pid, host, arrival), and appended to a *run* under `segments/<worker>/`, named
/// `<resource>_trace_w<window>_r<serial>[_<host>].<kind>`. The checkpoint and the announcement of a run contain its
/// checksum, which the merge compares. Rows that arrive too late for the current run start a new one. Every run is
/// therefore sorted, rows with equal keys keep their order of arrival, and `WindowMerger` can build the final files
/// from any number of runs of any number of workers.
///
/// # On disk
/// - *Trace* (`.json`): a header of `JSONSegment.headerBytes` bytes, then one event per line,
///   `{"ts":<µs>,"pid":<n>,…},\n`. While the file grows, the header opens a bare array. Closing the file overwrites the
///   header with the object form, appends the names (`M` events, by pid and tid), removes the last comma, and ends the
///   file with `\n]}\n`.
/// - *CSV*: RFC 4180 with CRLF. The first row names the columns. The second column is the process id, the last two are
///   `host` and `Timestamp(ns)`; only the host may be quoted.
/// - *Stacks, anomalies, call trees* (`.records`): see `SegmentRecord` and `CallTreeRecord.swift`. The payload of a stack is `u32 length | process | frames,
///   separated by newlines`, that of an anomaly `u32 length | JSON line | CSV line`.
///
/// # Crash
/// A checkpoint consists of `flush(.all)`, `sync()` and `saveOffsets`. `restore` truncates every run to its length at
/// the checkpoint, removes files that the checkpoint does not know, and restores headers that an unfinished close has
/// overwritten.
package final class TraceFileManager {
    package let worker: WorkerName
    /// The window that receives new rows.
    package var window: UInt64 = 0
    /// Closed windows that are not merged yet, oldest first. They are announced until `forgetWindow`.
    package var closedWindows: [ClosedWindow] = [] {
        didSet { closedMergeBytesMax = closedWindows.map(\.mergeBytesMax).max() ?? 0 }
    }
    /// An upper bound of the bytes that merging any one of the closed windows writes.
    private var closedMergeBytesMax = 0

    /// Whether CSV fields are protected from being run as spreadsheet formulas; see `appendCSVField`.
    package let guardsFormulas: Bool

    let hosts: HostTable
    let store: RunFileStore
    let ledger: RunLedger
    let budget: FileBudget
    let timeZoneName: String
    var json: [RunBuffer?] = []
    var stacks: [RunBuffer?] = []
    package let csv: RunBuffer
    let anomalies: RunBuffer
    let profile: RunBuffer
    /// Traces and call stacks of the hosts that exceed the window's limit of files.
    let otherJSON: RunBuffer
    let otherStacks: RunBuffer
    /// Rows in `otherJSON` and `otherStacks`, counted over the windows that this process has closed.
    package private(set) var rowsWithoutFile: UInt64 = 0
    /// Segments that `restore` found missing or shorter than the checkpoint says. Their rows are lost; the merge of
    /// their window counts them.
    package internal(set) var damagedSegments: [String] = []
    /// Findings that were not reported yet.
    var recentFindings = RecentFindings()
    /// Called from time to time during long operations, so that the watchdog sees that this thread is alive.
    package var onProgress: () -> Void = {}

    /// Creates the worker's directory if it is missing. Call `restore(from:)` next.
    /// - Parameter csvHeader: The column names, without a line end. The last two are `host` and `Timestamp(ns)`.
    /// - Parameter root: The data directory; empty if it is the current directory.
    package init(
        worker: WorkerName,
        csvHeader: StaticString,
        timeZoneName: String,
        guardsFormulas: Bool = false,
        root: String = "",
        budget: FileBudget = FileBudget()
    ) throws(SystemError) {
        self.worker = worker
        self.timeZoneName = timeZoneName
        self.budget = budget
        let store = RunFileStore(
            root: root,
            worker: worker,
            csvHeader: csvHeader,
            openFilesMax: budget.openFilesMax
        )
        let ledger = RunLedger(budget: budget)
        let hosts = HostTable(guardsFormulas: guardsFormulas, countMax: budget.hostsMax)
        func buffer(_ kind: OutputKind) -> RunBuffer {
            RunBuffer(
                kind,
                host: nil,
                hosts: hosts,
                ledger: ledger,
                store: store,
                holdbackNanoseconds: budget.runHoldbackNanoseconds
            )
        }
        self.guardsFormulas = guardsFormulas
        self.hosts = hosts
        self.store = store
        self.ledger = ledger
        csv = buffer(.csv)
        anomalies = buffer(.anomalies)
        profile = buffer(.profile)
        otherJSON = buffer(.json)
        otherStacks = buffer(.stacks)
        let directory = store.absolute(store.directory)
        try FileSystem.createDirectory(directory)
        // Sync even if the directory exists: the process that created it may have died before it synced.
        let parent = FileSystem.parent(of: directory)
        try FileSystem.syncDirectory(parent)
        try FileSystem.syncDirectory(FileSystem.parent(of: parent))
    }

    // MARK: Hosts and buffers

    /// Returns the number of a host, and adds the host if it is unknown. Invalid UTF-8 in its name is repaired. A host
    /// beyond the limit evicts the least recently used ones: see `hasEvictedHosts`. `countsAsUse` is false if the host
    /// is only mentioned and has sent nothing.
    package func registerHost(
        _ name: ByteView,
        isThisMachine: Bool,
        countsAsUse: Bool = true
    ) -> HostID {
        let host = hosts.register(
            name.cut(at: Limits.hostBytesMax).string,
            isThisMachine: isThisMachine,
            countsAsUse: countsAsUse
        )
        growBufferLists()
        return host
    }

    func growBufferLists() {
        while json.count < hosts.indexEnd {
            json.append(nil)
            stacks.append(nil)
        }
    }

    /// Whether hosts have been evicted since `acknowledgeEvictions`. The caller must then drop whatever it keeps of
    /// them before the next event. Their rows in the open window are written as usual.
    package var hasEvictedHosts: Bool { hosts.hasEvicted }

    /// Whether the host was evicted and has not been used since.
    package func isEvicted(_ host: HostID) -> Bool { hosts.isEvicted(host) }

    /// Resets `hasEvictedHosts`, after the caller has dropped its state of evicted hosts.
    package func acknowledgeEvictions() { hosts.acknowledgeEvictions() }

    /// Returns the host's name.
    package func hostName(_ host: HostID) -> String { hosts[host].name }

    /// The host's name as a CSV field. Valid as long as the host's number.
    package func hostField(_ host: HostID) -> ByteView { hosts.field(host) }

    /// Whether the host is the machine on which the cluster runs.
    package func isThisMachine(_ host: HostID) -> Bool { hosts[host].isThisMachine }

    /// The trace of a host, or `otherJSON` if the window has no file left for the host. Valid until the window ends.
    package func json(_ host: HostID) -> RunBuffer {
        let buffer = ownJSON(host)
        return hasFile(buffer) ? buffer : otherJSON
    }

    func stackBuffer(_ host: HostID) -> RunBuffer {
        let buffer = ownStacks(host)
        return hasFile(buffer) ? buffer : otherStacks
    }

    private func hasFile(_ buffer: RunBuffer) -> Bool {
        unsafe buffer.isLive || ledger.live.count < budget.hostFilesMax
    }

    func ownJSON(_ host: HostID) -> RunBuffer {
        if let buffer = json[Int(host.index)] { return buffer }
        let buffer = makeBuffer(.json, host)
        json[Int(host.index)] = buffer
        return buffer
    }

    func ownStacks(_ host: HostID) -> RunBuffer {
        if let buffer = stacks[Int(host.index)] { return buffer }
        let buffer = makeBuffer(.stacks, host)
        stacks[Int(host.index)] = buffer
        return buffer
    }

    /// Calls `body` with every buffer that has rows or names in the open window.
    func forEachLive(_ body: (RunBuffer) throws(SystemError) -> Void) throws(SystemError) {
        let live = unsafe ledger.live
        for index in unsafe live.indices {
            if index % 64 == 63 { onProgress() }
            try unsafe body(live[index].takeUnretainedValue())
        }
    }

    var liveBuffers: [RunBuffer] { unsafe ledger.live.map { unsafe $0.takeUnretainedValue() } }

    private func makeBuffer(_ kind: OutputKind, _ host: HostID) -> RunBuffer {
        RunBuffer(
            kind,
            host: host,
            hosts: hosts,
            ledger: ledger,
            store: store,
            holdbackNanoseconds: budget.runHoldbackNanoseconds
        )
    }

    // MARK: Sizes

    /// Bytes of the open window's rows, written or buffered.
    package var openWindowBytes: Int { unsafe ledger.writtenBytes + ledger.bytes }

    /// An upper bound of the bytes that merging one unmerged window writes. Includes the open window.
    package var mergeBytesMax: Int {
        // Buffered rows may include call stacks too, but usually few, and they are written soon.
        let open = OutputKind.mergeBytesMax(
            bytes: openWindowBytes,
            stackBytes: ledger.writtenStackBytes,
            profileBytes: ledger.writtenProfileBytes
        )
        return max(open, closedMergeBytesMax)
    }

    // MARK: Writing

    /// Whether one buffer, or all of them together, are full. `flush(.full)` must then run before the next event.
    package var needsFlush: Bool { unsafe ledger.needsFlush }

    /// Writes buffered rows to their runs. After an error (disk full) no row is lost, and the same call may be
    /// repeated. Blocks.
    package func flush(_ scope: FlushScope) throws(SystemError) {
        let isOverBudget = unsafe ledger.bytes >= ledger.bytesMax
        let isCrowded = unsafe ledger.live.count > budget.openFilesMax / 2
        try forEachLive { buffer throws(SystemError) in
            try buffer.flush(isOverBudget ? .all : scope, window: window, isCrowded: isCrowded)
            if isOverBudget { buffer.releaseMemory() }
        }
        unsafe ledger.needsFlush = false
    }

    /// Syncs all flushed rows to the disk. Blocks. A failure is final: the process must end.
    package func sync() throws(SystemError) { try store.sync() }

    // MARK: Windows

    /// Sets the first window of a new worker.
    package func openWindow(_ window: UInt64) {
        unsafe precondition(ledger.live.isEmpty, "a window is already open")
        self.window = window
    }

    /// Advances to `window` if barriers were lost with a part of the log. The rows of the skipped windows are part of
    /// `window`.
    package func crossBarriers(to window: UInt64) { self.window = max(self.window, window) }

    /// Starts new runs for the rows that follow. They belong to slots owned since `order`, the log position of the
    /// transfer, and sort after the runs of earlier owners. Blocks.
    package func beginEpoch(order: LSN) throws(SystemError) {
        try flush(.all)
        for buffer in liveBuffers { buffer.endRun() }
        store.order = order
    }

    /// Finishes and syncs all runs, and opens the next window. An output without rows makes no file. May be called
    /// again after an error of `write`; an error of `fdatasync` is final. Blocks.
    package func closeWindow(stem: String, nextWindow: UInt64) throws(SystemError) -> [ClosedFile] {
        precondition(stem.utf8.count <= 64 && stem.utf8.allSatisfy(SafeName.isSafe))
        try flush(.all)
        var files: [ClosedFile] = []
        try forEachLive { buffer throws(SystemError) in
            buffer.endRun()
            guard !buffer.runs.isEmpty else { return }
            let host = buffer.host.map { hosts[$0] }
            var runs: [ClosedRun] = []
            for run in buffer.runs {
                runs.append(try finish(run, kind: buffer.kind, host: host?.name, stem: stem))
            }
            files.append(
                ClosedFile(
                    kind: buffer.kind,
                    worker: worker,
                    window: window,
                    host: host?.name ?? "",
                    isThisMachine: host?.isThisMachine ?? false,
                    runs: runs
                )
            )
        }
        try store.sync()
        for run in otherJSON.runs + otherStacks.runs { rowsWithoutFile += run.rows }
        var spare = 4 * budget.runFlushBytes
        for buffer in liveBuffers {
            for run in buffer.runs { store.close(run) }
            buffer.windowEnded()
            buffer.releaseUnneededMemory(&spare)
        }
        if !files.isEmpty {
            closedWindows.append(ClosedWindow(window: window, stem: stem, files: files))
        }
        ledger.windowClosed()
        for host in hosts.windowEnded() {
            json[Int(host.index)] = nil
            stacks[Int(host.index)] = nil
        }
        window = nextWindow
        return files
    }

    /// Stops announcing the window, which the aggregator has merged.
    package func forgetWindow(_ window: UInt64) { closedWindows.removeAll { $0.window == window } }

    /// Writes the final header, names and ending of a trace. Idempotent.
    private func finish(
        _ run: RunFile,
        kind: OutputKind,
        host: String?,
        stem: String
    ) throws(SystemError) -> ClosedRun {
        guard kind == .json, !run.isDamaged else {
            return closedRun(run, bytes: run.length, checksum: run.checksum)
        }
        var tail = RawBuffer()
        tail.append(JSONSegment.separator)
        run.names.appendLines(to: &tail)
        tail.truncate(to: tail.count - JSONSegment.separatorBytes)
        tail.append(JSONSegment.ending)
        let start = run.length - JSONSegment.separatorBytes
        try unsafe store.write(tail.bytes, at: start, to: run)
        let checksum = run.checksum.map { unsafe Checksum.crc32c(tail.bytes, after: $0) }
        let summary = JSONSegment.Summary(
            resource: worker.resource,
            host: host ?? "",
            stem: stem,
            window: window,
            timeZoneName: timeZoneName,
            baseTime: run.firstTs,
            extent: .whole(events: run.rows)
        )
        let end = start + tail.count
        tail.removeAll()
        JSONSegment.appendFinalHeader(summary, to: &tail)
        try unsafe store.write(tail.bytes, at: 0, to: run)
        return closedRun(run, bytes: end, checksum: checksum)
    }

    private func closedRun(_ run: RunFile, bytes: Int, checksum: UInt32?) -> ClosedRun {
        ClosedRun(
            path: run.path,
            order: run.order,
            serial: run.serial,
            rows: run.rows,
            bytes: UInt64(bytes),
            firstTs: run.firstTs,
            lastTs: run.last.ts,
            checksum: checksum
        )
    }
}
