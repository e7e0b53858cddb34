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
        for place in entries.indices {
            ProcessTable<Model>.prefetchEntry(of: entries, place + 4)
            let entry = entries[place]
            guard !entry.pointee.activity.pointee.isEmpty else { continue }
            add(entry, host: processes.files.hostName(entry.pointee.host), to: &summary)
        }
        guard !summary.isEmpty else { return [] }
        if Model.hasStanding {
            for entry in entries {
                let host = processes.files.hostName(entry.pointee.host)
                addStanding(entry, host: host, to: &summary)
            }
        }
        summary.keepTop()
        return summary.encoded
    }

    /// Adds the rows of a process.
    private static func add<Model: ProcessModel & ~Copyable>(
        _ entry: ProcessTable<Model>.Entry,
        host: String,
        to summary: inout WindowSummary
    ) {
        addProcess(entry.pointee.activity, to: &summary)
        let owner = owner(of: entry, host: host)
        takeParts(of: entry) { summary.add($0, of: owner, toTable: $1, position: &$2) }
    }

    /// Adds what exists of a process at the end of the window, whether it had events in it or not.
    private static func addStanding<Model: ProcessModel & ~Copyable>(
        _ entry: ProcessTable<Model>.Entry,
        host: String,
        to summary: inout WindowSummary
    ) {
        let owner = owner(of: entry, host: host)
        var place = UInt32.max
        entry.pointee.model.visitStanding { part, table in
            summary.add(part, of: owner, toTable: table, position: &place)
        }
    }

    /// Counts the activity of a process whose own rows cannot be kept.
    static func count<Model: ProcessModel & ~Copyable>(
        _ entry: ProcessTable<Model>.Entry,
        host: String,
        in summary: inout WindowSummary
    ) {
        if entry.pointee.activity.pointee.isEmpty { return }
        addProcess(entry.pointee.activity, to: &summary)
        var known: SummaryOwner?
        func owner() -> SummaryOwner {
            if let known { return known }
            let owner = self.owner(of: entry, host: host)
            known = owner
            return owner
        }
        takeParts(of: entry) { part, table, _ in summary.count(part, of: owner(), inTable: table) }
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

    private static func owner<Model: ProcessModel & ~Copyable>(
        of entry: ProcessTable<Model>.Entry,
        host: String
    ) -> SummaryOwner {
        let name = entry.pointee.name.cut(at: Limits.summaryNameBytesMax)
        return SummaryOwner(
            host: Array(host.utf8),
            pid: entry.pointee.pid,
            process: name.isEmpty ? Array("pid-\(entry.pointee.pid)".utf8) : Array(name.buffer)
        )
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
