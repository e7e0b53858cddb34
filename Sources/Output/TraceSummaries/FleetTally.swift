import SystemIO
package import TraceFiles
package import TraceModel

/// The hosts and processes that the summaries of windows name.
package struct FleetTally: Sendable {
    /// A process in all windows of a query.
    struct Process {
        var name: [UInt8]
        var events: UInt64 = 0
        var resources: Set<Resource> = []
        var firstSeen = EpochNanoseconds.max
        var lastSeen = EpochNanoseconds.min
    }

    /// What makes a process one; names are compared by bytes.
    struct Key: Hashable {
        let host: [UInt8]
        let pid: UInt32
    }

    private let processesMax: Int
    private(set) var processes: [Key: Process] = [:]
    private(set) var windows = 0
    /// False if summaries leave out processes, which have the most important ones only, or there were too many.
    private(set) var isComplete = true

    init(processesMax: Int = Limits.consoleProcessesMax) { self.processesMax = processesMax }

    /// Reads the summaries of the windows that overlap a span, of which nil ends are open. Blocks. `root` is the data
    /// directory; empty if it is the current directory. `checkCancelled` is called for each window, and throws to end
    /// the reading.
    /// - Throws: `TraceError` if a summary is damaged or too large; whatever `checkCancelled` throws.
    package init(
        _ reading: WindowCatalog.Reading,
        from: EpochNanoseconds?,
        to: EpochNanoseconds?,
        root: String = "",
        checkCancelled: () throws -> Void = {}
    ) throws {
        self.init()
        isComplete = reading.isComplete
        for window in reading.windows where window.overlaps(from: from, to: to) {
            try checkCancelled()
            if let summary = try window.readSummary(root: root) { add(summary) }
        }
    }

    /// Adds a window's summary. Names are those of the window added first.
    mutating func add(_ summary: WindowSummary) {
        windows += 1
        guard let own = summary.tables.first(where: { $0.schema.name == "processes" }) else {
            return
        }
        if own.rowCount > own.rows.count { isComplete = false }
        let events = own.schema.columns.firstIndex { $0.name == "events" }
        for row in own.rows {
            let key = Key(host: row.key.host, pid: row.key.pid)
            guard var process = processes[key] ?? newProcess(row.process) else { continue }
            process.events += events.map { row.values[$0] } ?? 0
            process.resources.insert(summary.resource)
            process.firstSeen = min(process.firstSeen, summary.firstTime)
            process.lastSeen = max(process.lastSeen, summary.lastTime)
            processes[key] = process
        }
    }

    /// Returns a process without events; nil if there are too many already.
    private mutating func newProcess(_ name: [UInt8]) -> Process? {
        if processes.count < processesMax { return Process(name: name) }
        isComplete = false
        return nil
    }
}

/// The hosts of windows, as `tracectl hosts --json` and the console's `hosts` give them.
package struct HostsReport: Encodable, Sendable {
    /// A host that has sent events.
    package struct Host: Encodable, Sendable {
        package let host: String
        package let firstTsNs: EpochNanoseconds
        package let lastTsNs: EpochNanoseconds
        package let events: UInt64
        package let processes: Int
        package let resources: [String]
    }

    package let hosts: [Host]
    package let windows: Int
    package let complete: Bool

    package init(_ tally: FleetTally) {
        var groups: [[UInt8]: [FleetTally.Process]] = [:]
        for (key, process) in tally.processes { groups[key.host, default: []].append(process) }
        hosts = groups.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { host, own in
            Host(
                host: String(decoding: host, as: UTF8.self),
                firstTsNs: own.map(\.firstSeen).min() ?? 0,
                lastTsNs: own.map(\.lastSeen).max() ?? 0,
                events: own.reduce(0) { $0 + $1.events },
                processes: own.count,
                resources: Self.names(own.reduce(into: []) { $0.formUnion($1.resources) })
            )
        }
        windows = tally.windows
        complete = tally.isComplete
    }

    fileprivate static func names(_ resources: Set<Resource>) -> [String] {
        Resource.allCases.filter(resources.contains).map(\.name)
    }
}

/// The processes of windows, as `tracectl processes --json` and the console's `processes` give them.
package struct ProcessesReport: Encodable, Sendable {
    /// A process that has sent events.
    package struct Process: Encodable, Sendable {
        package let host: String
        package let pid: UInt32
        package let process: String
        package let firstTsNs: EpochNanoseconds
        package let lastTsNs: EpochNanoseconds
        package let events: UInt64
        package let resources: [String]
    }

    /// Those with the most events first.
    package let processes: [Process]
    package let windows: Int
    package let complete: Bool

    /// - Parameters:
    ///   - host: Only the processes of one host; nil for all.
    ///   - limit: The greatest number of processes.
    package init(_ tally: FleetTally, host: String?, pid: UInt32?, limit: Int) {
        let host = host.map { Array($0.utf8) }
        let wanted = tally.processes.filter { key, _ in
            (pid.map { key.pid == $0 } ?? true) && (host.map { key.host == $0 } ?? true)
        }
        let sorted = wanted.sorted {
            if $0.value.events != $1.value.events { return $0.value.events > $1.value.events }
            if $0.key.host != $1.key.host {
                return $0.key.host.lexicographicallyPrecedes($1.key.host)
            }
            return $0.key.pid < $1.key.pid
        }
        processes = sorted.prefix(limit).map { key, process in
            Process(
                host: String(decoding: key.host, as: UTF8.self),
                pid: key.pid,
                process: String(decoding: process.name, as: UTF8.self),
                firstTsNs: process.firstSeen,
                lastTsNs: process.lastSeen,
                events: process.events,
                resources: HostsReport.names(process.resources)
            )
        }
        windows = tally.windows
        complete = tally.isComplete && sorted.count <= limit
    }
}

extension CatalogWindow {
    /// Reads the window's summary; nil if it has none, or retention has removed it meanwhile. Blocks. `root` is the data
    /// directory; empty if it is the current directory.
    /// - Throws: `TraceError` if the file is damaged or too large.
    package func readSummary(root: String = "") throws -> WindowSummary? {
        guard let file = summary else { return nil }
        guard file.bytes <= Limits.summaryReadBytesMax else {
            throw TraceError(.exhausted, "\(file.path) is too large to be read here")
        }
        do {
            let path = root.isEmpty ? file.path : "\(root)/\(file.path)"
            return try SummaryFile.summary(in: try FileSystem.contents(path))
        } catch let error as SystemError where error.isNotFound {
            return nil
        } catch let error as TraceError {
            throw TraceError(
                .corrupt,
                "\(file.path) can't be read",
                remedy: "Move it away to see the other windows",
                cause: error
            )
        }
    }
}
