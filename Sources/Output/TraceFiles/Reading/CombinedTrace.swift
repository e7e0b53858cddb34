package import SystemIO
package import TraceModel

/// Selects the events of a trace of all resources.
package struct CombinedTraceSelection: Sendable, Equatable {
    /// Inclusive bounds, in nanoseconds since the epoch; nil means unbounded.
    package var from: EpochNanoseconds?
    package var to: EpochNanoseconds?
    package var pid: UInt32?
    /// The host's name as its agents send it; nil selects all hosts.
    package var host: String?
    /// The limit of the trace's size, at least `Limits.traceBytesMin`; nil means unlimited.
    package var bytesMax: Int?

    package init(
        from: EpochNanoseconds? = nil,
        to: EpochNanoseconds? = nil,
        pid: UInt32? = nil,
        host: String? = nil,
        bytesMax: Int? = nil
    ) {
        self.from = from
        self.to = to
        self.pid = pid
        self.host = host
        self.bytesMax = bytesMax
    }
}

/// What a trace of all resources contains, and what was left out because of its limit.
package struct CombinedTraceReport: Sendable, Equatable {
    /// Numbers by resource, of events that stand for received ones, and of anomalies.
    package struct Counts: Sendable, Equatable {
        fileprivate(set) var byResource = [UInt64](repeating: 0, count: Resource.count)
        package fileprivate(set) var anomalies: UInt64 = 0

        package subscript(_ resource: Resource) -> UInt64 { byResource[Int(resource.rawValue)] }

        /// The number of events of all resources, without anomalies.
        package var events: UInt64 { byResource.reduce(0, +) }

        fileprivate mutating func add(_ content: CombinedRow.Content, _ resource: Resource) {
            switch content {
            case .event: byResource[Int(resource.rawValue)] += 1
            case .anomaly: anomalies += 1
            case .counter, .other: break
            }
        }

        fileprivate func append(to text: inout RawBuffer) {
            text.append("{")
            for resource in Resource.allCases {
                text.append("\"\(resource.name)\":")
                text.appendDecimal(self[resource])
                text.append(",")
            }
            text.append("\"anomaly\":")
            text.appendDecimal(anomalies)
            text.append("}")
        }
    }

    package fileprivate(set) var written = Counts()
    package fileprivate(set) var leftOut = Counts()
    /// False if the time was up before everything that was left out was counted.
    package fileprivate(set) var isLeftOutCounted = true
    /// The time of the last event that was written before the limit was reached or the time was up; nil if neither was.
    package fileprivate(set) var cutAt: EpochNanoseconds?
    package fileprivate(set) var hosts = 0
    package fileprivate(set) var processes = 0
    /// Names of processes and threads that did not fit into memory.
    package fileprivate(set) var namesLeftOut: UInt64 = 0
    /// The size of the trace.
    package fileprivate(set) var bytes = 0

    /// Appends the members of a JSON object, without its braces.
    package func appendMembers(to text: inout RawBuffer) {
        text.append("\"events\":")
        written.append(to: &text)
        text.append(
            cutAt == nil ? ",\"complete\":true,\"left_out\":" : ",\"complete\":false,\"left_out\":"
        )
        leftOut.append(to: &text)
        if !isLeftOutCounted { text.append(",\"left_out_counted\":false") }
        if let cutAt {
            text.append(",\"cut_at_ns\":")
            text.appendDecimal(cutAt)
        }
        text.append(",\"hosts\":")
        text.appendDecimal(UInt64(hosts))
        text.append(",\"processes\":")
        text.appendDecimal(UInt64(processes))
        text.append(",\"names_left_out\":")
        text.appendDecimal(namesLeftOut)
    }
}

/// Writes the final traces of all resources, windows and hosts as one Chrome trace in order of time. Files may be plain
/// or compressed.
///
/// - Processes and threads have the names that any resource knows, and processes of different hosts different ids
///   (`CombinedProcesses`).
/// - Beside running totals of bytes stand rates (`RateTracks`).
/// - Calls that are open at a bound of the selected time span, at the end of the files or at the size's limit are clipped
///   there and marked: a begin has the category `continued` and the argument `began`, an end the argument `clipped`. So
///   each begin has an end.
/// - At the size's limit the trace ends. What follows is only counted, and the metadata at the end says how much it is.
///
/// Streams: files that are not needed for the time span are not read, and memory is bounded by the files that overlap in
/// time, the open calls, the names and the processes. Skips files that retention removes meanwhile. Not thread-safe;
/// blocks on the disk and in `write`.
@safe
package final class CombinedTrace {
    /// Receives one piece of the document.
    package typealias Output = (UnsafeRawBufferPointer) throws -> Void

    /// One resource's rows in order of time.
    private struct Source {
        let resource: Resource
        let merge: FinalFileMerge
        var row: FinalFileMerge.Row?
    }

    private static let pieceBytes = 256 << 10
    /// The number of rows between two calls of `checkCancelled`.
    private static let rowsUnchecked = 1_024

    private let selection: CombinedTraceSelection
    private let windows: [CatalogWindow]
    private let root: String
    private let filesMax: Int
    private let isOverdue: (_ isCut: Bool) -> Bool
    private let checkCancelled: () throws -> Void
    private let write: Output
    private var rowsRead = 0
    private var sources: [Source] = []
    private let budget: ReadingBudget
    private var processes: CombinedProcesses
    private var rates = RateTracks()
    /// The first needed trace of calls of each host.
    private var firstFiles: [UInt64: String] = [:]
    private var report = CombinedTraceReport()
    private var piece = RawBuffer(capacity: CombinedTrace.pieceBytes)
    /// The names and the row that are written next.
    private var next = RawBuffer()
    /// More than the ending of the document takes.
    private var endingBytes = 0
    private var isFirst = true
    /// The time of the last event that was written.
    private var lastTs: EpochNanoseconds?

    /// Reads from the data directory `root`; empty if it is the current directory.
    ///
    /// - Parameters:
    ///   - windows: What is known of the windows: files that end before the time span are not read to find that out.
    ///   - filesMax: The limit of the files of one resource that overlap in time.
    ///   - budget: What memory is taken from.
    ///   - isOverdue: Once it returns true, the trace ends as at the size's limit, and nothing more is counted. `isCut`:
    ///     whether it has ended already.
    ///   - checkCancelled: Called after every thousand rows that are read, also of those that are not selected; throws to
    ///     end the reading.
    package init(
        _ selection: CombinedTraceSelection,
        windows: [CatalogWindow] = [],
        root: String = "",
        filesMax: Int = Limits.catFilesMax,
        budget: ReadingBudget = ReadingBudget(),
        isOverdue: @escaping (_ isCut: Bool) -> Bool = { _ in false },
        checkCancelled: @escaping () throws -> Void = {},
        write: @escaping Output
    ) {
        precondition(selection.bytesMax.map { $0 >= Limits.traceBytesMin } ?? true)
        self.selection = selection
        self.windows = windows
        self.root = root
        self.filesMax = filesMax
        self.budget = budget
        processes = CombinedProcesses(budget: budget)
        self.isOverdue = isOverdue
        self.checkCancelled = checkCancelled
        unsafe self.write = unsafe write
    }

    /// Writes the whole document. May be called only once. Blocks.
    /// - Returns: What the document contains, and what not.
    /// - Throws: `TraceError` if a file is damaged, or too many overlap, calls are open or processes exist; whatever
    ///   `write` and `checkCancelled` throw.
    package func run() throws -> CombinedTraceReport {
        // Function comes last, so that the names that agents give replace those of their events.
        for resource in [.cpu, .memory, .network, .io, .gpu, .function] as [Resource] {
            try open(resource)
        }
        report.hosts = processes.hostCount
        piece.append("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")
        report.bytes = piece.count
        var ending = RawBuffer()
        appendEnding(to: &ending)
        // Its numbers will be longer.
        endingBytes = ending.count + 32 * 20
        try writeOpenings()
        var rowsTaken = 0
        while let index = firstSource {
            let source = sources[index]
            if rowsTaken % Self.rowsUnchecked == 0, isOverdue(report.cutAt != nil) {
                if let row = source.row { end(at: row.ts) }
                break
            }
            rowsTaken += 1
            if let row = source.row { try write(row, of: source.resource) }
            sources[index].row = try source.merge.next()
        }
        try writeClosings()
        report.namesLeftOut = processes.namesLeftOut
        ending.removeAll()
        appendEnding(to: &ending)
        report.bytes += ending.count
        unsafe piece.append(ending.bytes)
        try flush()
        return report
    }

    // MARK: Files

    private func open(_ resource: Resource) throws {
        let paths = try neededPaths(of: resource)
        let merge = try FinalFileMerge(
            paths,
            .json,
            RowSelection(
                from: selection.from,
                to: selection.to,
                pid: selection.pid,
                host: selection.host
            ),
            clipsCalls: resource == .function,
            readsNames: false,
            filesMax: filesMax,
            budget: budget,
            onRow: rowRead
        )
        try unsafe merge.begin { _ in }
        // Calls of these hosts are open all the time, without an event.
        for host in merge.calls.openHosts where !processes.isKnown(host: host) {
            guard let path = firstFiles[host] else { continue }
            let tail = try TraceTail(path, until: nil, onRow: rowRead) { _, name in
                processes.add(name, host: host)
            }
            if let tail { processes.add(host: host, name: tail.host) }
        }
        sources.append(Source(resource: resource, merge: merge, row: try merge.next()))
    }

    private func rowRead() throws {
        rowsRead += 1
        if rowsRead % Self.rowsUnchecked == 0 { try checkCancelled() }
    }

    /// A trace, as far as it matters for what has to be read.
    private struct NeededFile {
        let path: String
        let host: UInt64
        let window: UInt64
        /// Whether it has events at or after the begin of the time span.
        let reaches: Bool
        /// Whether its first event is after the end of the time span.
        let isLater: Bool
    }

    /// Returns the traces of a resource that end before the time span, by their paths, with their hosts.
    private func earlyFiles(
        of resource: Resource
    ) throws -> [String: (host: [UInt8], file: NeededFile)] {
        guard let from = selection.from else { return [:] }
        var found: [String: (host: [UInt8], file: NeededFile)] = [:]
        for window in windows where window.window.resource == resource {
            guard try ends(window, before: from) else { continue }
            for file in window.files where file.kind == "json" {
                guard let host = file.host else { continue }
                let path = absolute(file.path)
                let needed = NeededFile(
                    path: path,
                    host: unsafe host.withUnsafeBytes { unsafe Slot.hash(host: $0) },
                    window: window.window.window,
                    reaches: false,
                    isLater: false
                )
                found[path] = (host, needed)
            }
        }
        return found
    }

    /// Returns whether all rows of a window are before `ts`. Anomalies may be later than its last event: a call that does
    /// not end is found while nothing happens.
    private func ends(_ window: CatalogWindow, before ts: EpochNanoseconds) throws -> Bool {
        guard let last = window.head?.lastTs, last < ts else { return false }
        let silence = EpochNanoseconds(Limits.windowSecondsMax) * 1_000_000_000
        guard ts &- last <= silence else { return true }
        for file in window.files where file.hasFindings {
            guard let findings = try FinalFile(absolute(file.path), .anomalies, rank: 0) else {
                continue
            }
            while try findings.next() { if findings.ts >= ts { return false } }
        }
        return true
    }

    private func absolute(_ path: String) -> String { root.isEmpty ? path : "\(root)/\(path)" }

    /// Returns the paths of the traces that contain selected rows, in order. Adds their hosts and names.
    private func neededPaths(of resource: Resource) throws -> [String] {
        let hostTexts = RowSelection(from: nil, to: nil, pid: nil, host: selection.host)
            .hostTexts(.json)
        let from = selection.from ?? .min
        let early = try earlyFiles(of: resource)
        var found: [NeededFile] = []
        for path in try FinalFile.paths(of: .json, resource, root: root) {
            if let known = early[path] {
                if hostTexts?.contains(known.host) ?? true { found.append(known.file) }
                continue
            }
            let tail = try TraceTail(path, until: selection.to, onRow: rowRead) { tail, name in
                guard tail.reaches(from), hostTexts?.contains(tail.host) ?? true else { return }
                processes.add(name, host: tail.hostHash)
            }
            guard let tail, hostTexts?.contains(tail.host) ?? true else { continue }
            let host = tail.hostHash
            if tail.reaches(from), tail.lastTs != nil { processes.add(host: host, name: tail.host) }
            found.append(
                NeededFile(
                    path: path,
                    host: host,
                    window: tail.window,
                    reaches: tail.reaches(from),
                    isLater: tail.lastTs == nil
                )
            )
        }
        guard resource == .function else {
            return found.filter { $0.reaches && !$0.isLater }.map(\.path)
        }
        // Names of windows that end within one second do not sort by window. The sort is stable.
        found.sort { $0.window < $1.window }
        /// Of each host the first file that is needed: the first that reaches into the time span, as it repeats the calls
        /// that were open at its begin; else the last file, where calls may still be open.
        var first: [UInt64: Int] = [:]
        var reached: Set<UInt64> = []
        for (position, file) in found.enumerated() where !reached.contains(file.host) {
            first[file.host] = position
            if file.reaches { reached.insert(file.host) }
        }
        firstFiles = first.mapValues { found[$0].path }
        return found.enumerated().filter { $0.offset >= first[$0.element.host] ?? 0 }.map(
            \.element.path
        )
    }

    // MARK: Events

    /// The source with the next row.
    private var firstSource: Int? {
        var first: Int?
        var ts = EpochNanoseconds.max
        for index in sources.indices {
            guard let row = sources[index].row, first == nil || row.ts < ts else { continue }
            first = index
            ts = row.ts
        }
        return first
    }

    private func write(_ row: FinalFileMerge.Row, of resource: Resource) throws {
        guard let event = unsafe CombinedRow(row.bytes, of: resource) else {
            throw TraceError(.corrupt, "a trace contains an event in an unknown form")
        }
        if rates.isDue(at: row.ts) { try rates.takeDue(at: row.ts, writeRate) }
        guard report.cutAt == nil else { return report.leftOut.add(event.content, resource) }
        next.removeAll()
        let pid = try processes.show(host: row.host, pid: row.pid, tid: event.tid, names: &next)
        var phase = event.phase
        let call = resource == .function ? unsafe EventRow(row.bytes) : nil
        let closingBytes =
            call?.call?.phase == .begin
            ? unsafe SpanCalls.closingBytes(nameBytes: call?.call?.name.count ?? 0) : 0
        guard fits(next.count + event.bytesMax + closingBytes) else {
            cut(at: row.ts)
            // Counting what is left out may take long.
            try flush()
            return report.leftOut.add(event.content, resource)
        }
        if let call, let functions, call.call != nil,
            try !functions.calls.take(call, host: row.host)
        {
            // The end of a call that no event begins is a moment, and a call is begun once.
            guard call.call?.phase == .end else { return }
            phase = UInt8(ascii: "i")
        }
        unsafe event.append(row.bytes, pid: pid, phase: phase, to: &next)
        try append(at: row.ts)
        report.written.add(event.content, resource)
        if let (kind, total) = event.totals { rates.take(total, pid: pid, kind: kind, ts: row.ts) }
    }

    private func writeRate(
        _ rate: RateTracks.Pair,
        pid: UInt32,
        kind: RateTracks.Kind,
        ts: EpochNanoseconds
    ) throws {
        guard report.cutAt == nil else { return }
        next.removeAll()
        next.appendEventStart(ts: ts, pid: pid)
        switch kind {
        case .network: next.append("\"ph\":\"C\",\"name\":\"network bytes/s\",\"args\":{\"tx\":")
        case .io: next.append("\"ph\":\"C\",\"name\":\"io bytes/s\",\"args\":{\"read\":")
        }
        next.appendDecimal(rate.first)
        next.append(kind == .network ? ",\"rx\":" : ",\"write\":")
        next.appendDecimal(rate.second)
        next.append("}}")
        guard fits(next.count + JSONSegment.separatorBytes) else { return cut(at: ts) }
        try append(at: ts)
    }

    // MARK: Clipped calls

    private func writeOpenings() throws {
        guard let from = selection.from, let calls = functions?.calls else { return }
        try unsafe calls.forEachOpening(at: from) { row, host in
            guard try unsafe writeClipped(row, host: host, ts: from) else {
                throw TraceError(
                    .exhausted,
                    "The calls that are open at the start of the time take more than the limit",
                    remedy: "Raise the limit, or name a process with --pid"
                )
            }
        }
    }

    private func writeClosings() throws {
        if report.cutAt == nil, let end = selection.to ?? lastTs {
            try rates.takeLast(at: end, writeRate)
        }
        guard let end = report.cutAt ?? selection.to ?? lastTs, let calls = functions?.calls else {
            return
        }
        // Their room is reserved.
        try unsafe calls.forEachClosing(at: end) { row, host in
            _ = try unsafe writeClipped(row, host: host, ts: end, isReserved: true)
        }
    }

    /// Writes an event of a clipped call; returns false if it does not fit.
    private func writeClipped(
        _ bytes: UnsafeRawBufferPointer,
        host: UInt64,
        ts: EpochNanoseconds,
        isReserved: Bool = false
    ) throws -> Bool {
        guard let key = unsafe RunRow(json: bytes),
            let event = unsafe CombinedRow(bytes, of: .function)
        else { return true }
        next.removeAll()
        let pid = try processes.show(host: host, pid: key.pid, tid: event.tid, names: &next)
        guard isReserved || fits(next.count + event.bytesMax) else { return false }
        unsafe event.append(bytes, pid: pid, phase: event.phase, to: &next)
        try append(at: ts)
        return true
    }

    private var functions: FinalFileMerge? { sources.last?.merge }

    // MARK: Document

    /// Whether so many more bytes fit, beside the ends of all open calls and the ending of the document.
    private func fits(_ count: Int) -> Bool {
        guard let bytesMax = selection.bytesMax else { return true }
        return report.bytes + count + (functions?.calls.closingBytes ?? 0) + endingBytes <= bytesMax
    }

    /// Ends the trace because the time is up.
    private func end(at ts: EpochNanoseconds) {
        if report.cutAt == nil { cut(at: ts) }
        report.isLeftOutCounted = false
    }

    private func cut(at ts: EpochNanoseconds) { report.cutAt = lastTs ?? selection.from ?? ts }

    /// Appends `next`.
    private func append(at ts: EpochNanoseconds) throws {
        lastTs = ts
        report.processes = processes.processCount
        let before = piece.count
        piece.append(isFirst ? "\n" : ",\n")
        isFirst = false
        unsafe piece.append(next.bytes)
        report.bytes += piece.count - before
        if piece.count >= Self.pieceBytes { try flush() }
    }

    private func flush() throws {
        guard piece.count > 0 else { return }
        try unsafe write(piece.bytes)
        piece.removeAll()
        piece.shrink(keeping: Self.pieceBytes)
    }

    private func appendEnding(to text: inout RawBuffer) {
        text.append("\n],\"metadata\":{\"resource\":\"all\",\"server\":\"trace-processor ")
        text.append(BuildInfo.version)
        text.append("\",")
        if let from = selection.from {
            text.append("\"from_ns\":")
            text.appendDecimal(from)
            text.append(",")
        }
        if let to = selection.to {
            text.append("\"to_ns\":")
            text.appendDecimal(to)
            text.append(",")
        }
        if let pid = selection.pid {
            text.append("\"pid\":")
            text.appendDecimal(pid)
            text.append(",")
        }
        if var host = selection.host {
            text.append("\"host\":")
            host.withUTF8 {
                _ = unsafe text.appendJSONString(ByteView(UnsafeRawBufferPointer($0)))
            }
            text.append(",")
        }
        if let bytesMax = selection.bytesMax {
            text.append("\"limit_bytes\":")
            text.appendDecimal(UInt64(bytesMax))
            text.append(",")
        }
        report.appendMembers(to: &text)
        text.append("}}\n")
    }
}

/// An event of one resource's trace, as far as a trace of all resources has to know it.
struct CombinedRow {
    /// What an event stands for.
    enum Content {
        /// An event that was received.
        case event
        case anomaly
        case counter
        /// A call's event that was not received: repeated, or made for the call's sake.
        case other
    }

    let content: Content
    /// Nil if the event belongs to the process as a whole.
    let tid: UInt32?
    let phase: UInt8
    /// Running totals of bytes.
    private(set) var totals: (RateTracks.Kind, RateTracks.Pair)?
    /// An upper bound of the bytes of the event with another process id, and a separator.
    let bytesMax: Int
    private let pidStart: Int
    private let pidEnd: Int
    private let phaseAt: Int

    /// Parses an event. Nil if it is none that this program writes.
    init?(_ bytes: UnsafeRawBufferPointer, of resource: Resource) {
        var parser = unsafe RowParser(bytes)
        guard parser.skip("{\"ts\":"), parser.microseconds() != nil, parser.skip(",\"pid\":") else {
            return nil
        }
        pidStart = parser.position
        guard parser.processID() != nil else { return nil }
        pidEnd = parser.position
        bytesMax = bytes.count + 10 + JSONSegment.separatorBytes
        if parser.skip(",\"tid\":") {
            guard let tid = parser.processID() else { return nil }
            self.tid = tid
        } else {
            tid = nil
        }
        guard parser.skip(",\"ph\":\""), parser.position < bytes.count else { return nil }
        phaseAt = parser.position
        phase = unsafe bytes[phaseAt]
        parser.position += 1
        guard parser.skip("\"") else { return nil }
        if phase == UInt8(ascii: "C") {
            content = .counter
            totals = Self.totals(&parser, resource)
        } else if parser.skip(",\"cat\":"), let category = unsafe parser.text() {
            let name = unsafe category.dropFirst().dropLast()
            content =
                unsafe name.elementsEqual(resource.name.utf8)
                ? .event : name.elementsEqual("anomaly".utf8) ? .anomaly : .other
        } else {
            content = .other
        }
    }

    private static func totals(
        _ parser: inout RowParser,
        _ resource: Resource
    ) -> (RateTracks.Kind, RateTracks.Pair)? {
        switch resource {
        case .network:
            guard parser.skip(",\"name\":\"network\",\"args\":{\"tx_bytes\":"),
                let sent = parser.number(), parser.skip(",\"rx_bytes\":"),
                let received = parser.number()
            else { return nil }
            return (.network, RateTracks.Pair(first: sent, second: received))
        case .io:
            guard parser.skip(",\"name\":\"io\",\"args\":{\"read\":"), let read = parser.number(),
                parser.skip(",\"write\":"), let written = parser.number()
            else { return nil }
            return (.io, RateTracks.Pair(first: read, second: written))
        case .function, .cpu, .memory, .gpu: return nil
        }
    }

    /// Appends the bytes from which the event was parsed, with another process id and phase.
    func append(
        _ bytes: UnsafeRawBufferPointer,
        pid: UInt32,
        phase: UInt8,
        to text: inout RawBuffer
    ) {
        unsafe text.append(UnsafeRawBufferPointer(rebasing: bytes[..<pidStart]))
        text.appendDecimal(pid)
        unsafe text.append(UnsafeRawBufferPointer(rebasing: bytes[pidEnd..<phaseAt]))
        text.append(byte: phase)
        unsafe text.append(UnsafeRawBufferPointer(rebasing: bytes[(phaseAt + 1)...]))
    }
}
