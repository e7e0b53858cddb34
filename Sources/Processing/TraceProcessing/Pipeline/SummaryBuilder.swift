import TraceFiles
import TraceModel
import TraceSummaries

/// Turns the activity of processes in a window into rows of its summary, and resets it for the next window.
enum SummaryBuilder {
    /// Returns the encoded summary of the window that has ended; empty if it had no events.
    static func takeWindow<Model: ProcessModel & ~Copyable>(
        of processes: inout ProcessLifecycle<Model>
    ) -> [UInt8] {
        var summary = WindowSummary(Model.Event.resource)
        for evicted in processes.takeEvicted() { summary.merge(evicted) }
        let entries = processes.table.entries
        var hosts = OwnerHost()
        for place in entries.indices {
            ProcessTable<Model>.prefetchEntry(of: entries, place + 4)
            let entry = entries[place]
            guard !entry.pointee.activity.pointee.isEmpty else { continue }
            let host = hosts.bytes(of: entry.pointee.host, processes.files)
            add(entry, processes.files, host: host, to: &summary)
        }
        guard !summary.isEmpty else { return [] }
        if Model.hasStanding {
            for entry in entries {
                let host = hosts.bytes(of: entry.pointee.host, processes.files)
                addStanding(entry, processes.files, host: host, to: &summary)
            }
        }
        summary.keepTop()
        return summary.encoded
    }

    /// The name of the host of the processes that are added, converted once for several of them.
    private struct OwnerHost {
        private var host: HostID?
        private var name: [UInt8] = []

        mutating func bytes(of host: HostID, _ files: TraceFileManager) -> [UInt8] {
            if self.host?.index != host.index {
                self.host = host
                name = Array(files.hostName(host).utf8)
            }
            return name
        }
    }

    /// The owner of a process's parts, made when it is first needed: most parts become no row and need none.
    private struct PartOwner<Model: ProcessModel & ~Copyable> {
        let entry: ProcessTable<Model>.Entry
        let files: TraceFileManager
        /// The name of its host, where it is converted already.
        var host: [UInt8]?
        private var known: SummaryOwner?

        init(
            _ entry: ProcessTable<Model>.Entry,
            _ files: TraceFileManager,
            host: [UInt8]? = nil
        ) {
            self.entry = entry
            self.files = files
            self.host = host
        }

        mutating func made() -> SummaryOwner {
            if let known { return known }
            let name = entry.pointee.name.cut(at: Limits.summaryNameBytesMax)
            let pid = entry.pointee.pid
            let host = host ?? Array(files.hostName(entry.pointee.host).utf8)
            let owner =
                name.isEmpty
                ? SummaryOwner(host: host, pid: pid, process: Array("pid-\(pid)".utf8))
                : SummaryOwner(host: host, pid: pid, name: name)
            known = owner
            return owner
        }
    }

    /// Adds the rows of a process.
    private static func add<Model: ProcessModel & ~Copyable>(
        _ entry: ProcessTable<Model>.Entry,
        _ files: TraceFileManager,
        host: [UInt8],
        to summary: inout WindowSummary
    ) {
        addProcess(entry.pointee.activity, to: &summary)
        var owner = PartOwner(entry, files, host: host)
        takeParts(of: entry) { summary.add($0, of: owner.made(), toTable: $1, position: &$2) }
    }

    /// Adds what exists of a process at the end of the window, whether it had events in it or not.
    private static func addStanding<Model: ProcessModel & ~Copyable>(
        _ entry: ProcessTable<Model>.Entry,
        _ files: TraceFileManager,
        host: [UInt8],
        to summary: inout WindowSummary
    ) {
        var owner = PartOwner(entry, files, host: host)
        var place = UInt32.max
        entry.pointee.model.visitStanding { part, table in
            summary.add(part, of: owner.made(), toTable: table, position: &place)
        }
    }

    /// Counts the activity of a process whose own rows cannot be kept.
    static func count<Model: ProcessModel & ~Copyable>(
        _ entry: ProcessTable<Model>.Entry,
        _ files: TraceFileManager,
        in summary: inout WindowSummary
    ) {
        if entry.pointee.activity.pointee.isEmpty { return }
        addProcess(entry.pointee.activity, to: &summary)
        var owner = PartOwner(entry, files)
        takeParts(of: entry) { part, table, _ in
            summary.count(part, of: owner.made(), inTable: table)
        }
    }

    /// Visits the process's parts, their tables, and their last positions in the table that aggregates them.
    private static func takeParts<Model: ProcessModel & ~Copyable>(
        of entry: ProcessTable<Model>.Entry,
        _ visit: (SummaryPart, Int, inout UInt32) -> Void
    ) {
        let activity = entry.pointee.activity
        // The model's values for the process as a whole go to its own row.
        entry.pointee.model.takeWindow(activity, visit)
        var place = UInt32.max
        withUnsafePointer(to: QuantileSketch()) { none in
            let process = activity.pointee.process
            visit(SummaryPart(item: .empty, values: process, sketch: none), 0, &place)
        }
        activity.pointee.takeWindow(visit)
    }

    private static func addProcess(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        to summary: inout WindowSummary
    ) {
        summary.addProcess(
            events: activity.pointee.events,
            from: activity.pointee.firstTime,
            to: activity.pointee.lastTime
        )
    }
}
