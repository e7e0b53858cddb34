import TraceModel
import TraceSummaries

/// The hosts and processes that the summaries of windows name.
struct FleetTally {
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

    /// Records that windows were left out.
    mutating func leaveOut() { isComplete = false }
}
