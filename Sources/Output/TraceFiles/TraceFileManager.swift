package import SystemIO
package import TraceModel

/// Everything one worker writes. Used by its apply loop only; nothing here is for several threads.
///
/// # Windows, runs, files
/// A window (a number that barriers count) has these outputs: a Chrome trace a host, one CSV file, call
/// stacks a host, one list of anomalies. Rows of an output are rendered into a `RunBuffer`, sorted by
/// (ts, pid, host, arrival), and appended to a *run* below `segments/<worker>/`, named
/// `<resource>_trace_w<window>_r<serial>[_<host>].<kind>`. The checksum of a run stands in the checkpoint and in what
/// is announced of it, and is compared when it is merged. Rows that come too late for the current run
/// begin another one. So each run is sorted, rows with equal keys stand in order of arrival, and
/// `WindowMerger` makes final files of any number of runs of any number of workers.
///
/// # On disk
/// - *Trace* (`.json`): a header of `JSONSegment.headerBytes`, then one event a line,
///   `{"ts":<µs>,"pid":<n>,…},\n`. In progress the header opens a bare array. At the close the header is
///   overwritten by the object form, the names (`M` events, by pid and tid) follow the last event, the last
///   comma goes, and `\n]}\n` ends it.
/// - *CSV*: RFC 4180 with CRLF. First row: the columns. The second column is the process id, the last two are
///   `host` and `Timestamp(ns)`, all unquoted except the host.
/// - *Stacks, anomalies* (`.records`): see `SegmentRecord`. A stack's payload: `u32 length | process |
///   frames, newline between`. An anomaly's: `u32 length | JSON line | CSV line`.
///
/// # Crash
/// A checkpoint is `flush(.all)`, `sync()`, `saveOffsets`. `restore` cuts every run back to its length there,
/// removes files the checkpoint doesn't know, and reopens headers that a lost close had overwritten.
package final class TraceFileManager {
    package let worker: WorkerName
    /// The window that rows go to now.
    package var window: UInt64 = 0
    /// Closed and not yet merged, oldest first; to be announced until `forgetWindow`.
    package var closedWindows: [ClosedWindow] = [] {
        didSet { closedMergeBytesMax = closedWindows.map(\.mergeBytesMax).max() ?? 0 }
    }
    /// The most that merging one of them can write.
    private var closedMergeBytesMax = 0

    /// Whether tables keep text from being run as a formula by a spreadsheet; see `appendCSVField`.
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
    /// The traces and call stacks of hosts for which the window has no files left.
    let otherJSON: RunBuffer
    let otherStacks: RunBuffer
    /// Their rows, of the windows that this process has ended.
    package private(set) var rowsWithoutFile: UInt64 = 0
    /// Segments that `restore` found shorter than the checkpoint says, or not at all: what they held is lost, which the merge
    /// of their window counts.
    package internal(set) var damagedSegments: [String] = []
    /// Called now and then where something takes long; whoever watches this thread hears that it lives.
    package var onProgress: () -> Void = {}

    /// Creates the worker's directory where it is missing. `csvHeader` ends in `,host,Timestamp(ns)` and has no
    /// line's end. Call `restore(from:)` next. `root` is the data directory, empty where it is the
    /// current one.
    package init(
        worker: WorkerName, csvHeader: StaticString, timeZoneName: String, guardsFormulas: Bool = false,
        root: String = "", budget: FileBudget = FileBudget()
    ) throws(SystemError) {
        self.worker = worker
        self.timeZoneName = timeZoneName
        self.budget = budget
        let store = RunFileStore(root: root, worker: worker, csvHeader: csvHeader, openFilesMax: budget.openFilesMax)
        let ledger = RunLedger(budget: budget)
        let hosts = HostTable(guardsFormulas: guardsFormulas, countMax: budget.hostsMax)
        func buffer(_ kind: OutputKind) -> RunBuffer {
            RunBuffer(
                kind, host: nil, hosts: hosts, ledger: ledger, store: store,
                holdbackNanoseconds: budget.runHoldbackNanoseconds)
        }
        self.guardsFormulas = guardsFormulas
        self.hosts = hosts
        self.store = store
        self.ledger = ledger
        csv = buffer(.csv)
        anomalies = buffer(.anomalies)
        otherJSON = buffer(.json)
        otherStacks = buffer(.stacks)
        let directory = store.absolute(store.directory)
        try FileSystem.createDirectory(directory)
        // Also where it is there: who made it may have died before this.
        let parent = FileSystem.parent(of: directory)
        try FileSystem.syncDirectory(parent)
        try FileSystem.syncDirectory(FileSystem.parent(of: parent))
    }

    // MARK: Hosts and buffers

    /// The number of a host of which something has come, or, not `isHeard`, of which something is known. Invalid UTF-8 is
    /// repaired. Where there are too many hosts, others are given up: see `hasGivenUpHosts`.
    package func registerHost(_ name: ByteView, isThisMachine: Bool, isHeard: Bool = true) -> HostID {
        let host = hosts.register(
            name.cut(at: Limits.hostBytesMax).string, isThisMachine: isThisMachine, isHeard: isHeard)
        makeBufferPlaces()
        return host
    }

    func makeBufferPlaces() {
        while json.count < hosts.indexEnd {
            json.append(nil)
            stacks.append(nil)
        }
    }

    /// Whether hosts have been given up since `noteHostsGivenUp`: whoever keeps anything of them has to forget it before
    /// the next event. What they left in the open window is written as usual.
    package var hasGivenUpHosts: Bool { hosts.hasGivenUp }

    package func isGivenUp(_ host: HostID) -> Bool { hosts.isGivenUp(host) }

    package func noteHostsGivenUp() { hosts.noteGivenUp() }

    package func hostName(_ host: HostID) -> String { hosts[host].name }

    /// The name as a field of a table. Valid as long as the host's number.
    package func hostField(_ host: HostID) -> ByteView { hosts.field(host) }

    package func isThisMachine(_ host: HostID) -> Bool { hosts[host].isThisMachine }

    /// The trace of a host; that of all others where the window has no file left for it. Valid until the window ends.
    package func json(_ host: HostID) -> RunBuffer {
        let buffer = ownJSON(host)
        return hasFile(buffer) ? buffer : otherJSON
    }

    func stackBuffer(_ host: HostID) -> RunBuffer {
        let buffer = ownStacks(host)
        return hasFile(buffer) ? buffer : otherStacks
    }

    private func hasFile(_ buffer: RunBuffer) -> Bool { buffer.isLive || ledger.live.count < budget.hostFilesMax }

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

    /// Calls `body` with each buffer of which the open window has something.
    func forEachLive(_ body: (RunBuffer) throws(SystemError) -> Void) throws(SystemError) {
        for (index, buffer) in ledger.live.enumerated() {
            if index % 64 == 63 { onProgress() }
            try body(buffer.takeUnretainedValue())
        }
    }

    var liveBuffers: [RunBuffer] { ledger.live.map { $0.takeUnretainedValue() } }

    private func makeBuffer(_ kind: OutputKind, _ host: HostID) -> RunBuffer {
        RunBuffer(
            kind, host: host, hosts: hosts, ledger: ledger, store: store,
            holdbackNanoseconds: budget.runHoldbackNanoseconds)
    }

    // MARK: Sizes

    /// Bytes of the open window's rows, written or waiting.
    package var openWindowBytes: Int { ledger.writtenBytes + ledger.bytes }

    /// The most that merging one window of those that are not merged can write, the open one among them.
    package var mergeBytesMax: Int {
        // What waits may be call stacks as well, but few as a rule, and written soon.
        let open = OutputKind.mergeBytesMax(bytes: openWindowBytes, stackBytes: ledger.writtenStackBytes)
        return max(open, closedMergeBytesMax)
    }

    // MARK: Writing

    /// Whether a buffer, or all of them together, is full: then `flush(.full)` is due before the next event.
    package var needsFlush: Bool { ledger.needsFlush }

    /// Writes rows out. Nothing is lost on an error (disk full): the same call may be made again. Blocks.
    package func flush(_ scope: FlushScope) throws(SystemError) {
        let isOverBudget = ledger.bytes >= ledger.bytesMax
        let isCrowded = ledger.live.count > budget.openFilesMax / 2
        try forEachLive { buffer throws(SystemError) in
            try buffer.flush(isOverBudget ? .all : scope, window: window, isCrowded: isCrowded)
            if isOverBudget { buffer.giveBack() }
        }
        ledger.needsFlush = false
    }

    /// All flushed rows are on the disk when this returns. Blocks. A failure is final: the caller dies.
    package func sync() throws(SystemError) { try store.sync() }

    // MARK: Windows

    /// The first window of a new worker.
    package func openWindow(_ window: UInt64) {
        precondition(ledger.live.isEmpty, "a window is open")
        self.window = window
    }

    /// The open window is this one: the barriers of those between were lost with a part of the log, and their rows stand in it.
    package func crossBarriers(to window: UInt64) { self.window = max(self.window, window) }

    /// Rows from now on belong to slots owned since `order` (the log position of the transfer): they go to new
    /// runs, which stand behind those of earlier owners. Blocks.
    package func beginEpoch(order: LSN) throws(SystemError) {
        try flush(.all)
        for buffer in liveBuffers { buffer.endRun() }
        store.order = order
    }

    /// Finishes and syncs all runs and opens the next window. An output without rows makes no file. May be called
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
            for run in buffer.runs { runs.append(try finish(run, kind: buffer.kind, host: host?.name, stem: stem)) }
            files.append(
                ClosedFile(
                    kind: buffer.kind, worker: worker, window: window, host: host?.name ?? "",
                    isThisMachine: host?.isThisMachine ?? false, runs: runs))
        }
        try store.sync()
        for run in otherJSON.runs + otherStacks.runs { rowsWithoutFile += run.rows }
        var spare = 4 * budget.runFlushBytes
        for buffer in liveBuffers {
            for run in buffer.runs { store.close(run) }
            buffer.windowEnded()
            buffer.giveBackUnneeded(&spare)
        }
        if !files.isEmpty { closedWindows.append(ClosedWindow(window: window, stem: stem, files: files)) }
        ledger.windowClosed()
        for host in hosts.windowEnded() {
            json[Int(host.index)] = nil
            stacks[Int(host.index)] = nil
        }
        window = nextWindow
        return files
    }

    /// The aggregator has merged the window: it is announced no more.
    package func forgetWindow(_ window: UInt64) { closedWindows.removeAll { $0.window == window } }

    /// Gives the file its final form. May be repeated.
    private func finish(_ run: RunFile, kind: OutputKind, host: String?, stem: String) throws(SystemError) -> ClosedRun
    {
        guard kind == .json, !run.isDamaged else { return closedRun(run, bytes: run.length, checksum: run.checksum) }
        var tail = RawBuffer()
        tail.append(JSONSegment.separator)
        run.names.appendLines(to: &tail)
        tail.truncate(to: tail.count - JSONSegment.separatorBytes)
        tail.append(JSONSegment.ending)
        let start = run.length - JSONSegment.separatorBytes
        try store.write(tail.bytes, at: start, to: run)
        let checksum = run.checksum.map { Checksum.crc32c(tail.bytes, after: $0) }
        let summary = JSONSegment.Summary(
            resource: worker.resource, host: host ?? "", stem: stem, window: window, timeZoneName: timeZoneName,
            baseTime: run.firstTs, extent: .whole(events: run.rows))
        let end = start + tail.count
        tail.removeAll()
        JSONSegment.appendFinalHeader(summary, to: &tail)
        try store.write(tail.bytes, at: 0, to: run)
        return closedRun(run, bytes: end, checksum: checksum)
    }

    private func closedRun(_ run: RunFile, bytes: Int, checksum: UInt32?) -> ClosedRun {
        ClosedRun(
            path: run.path, order: run.order, serial: run.serial, rows: run.rows, bytes: UInt64(bytes),
            firstTs: run.firstTs, lastTs: run.last.ts, checksum: checksum)
    }
}
