import TraceModel
import TraceSummaries

/// Turns what processes did in a window into rows of its summary.
enum SummaryBuilder {
    /// Adds the rows of a process.
    static func add<Model: ProcessModel & ~Copyable>(
        _ entry: ProcessTable<Model>.Entry,
        host: String,
        to summary: inout WindowSummary
    ) {
        addProcess(entry.pointee.activity, to: &summary)
        forEachRow(of: entry, host: host) { summary.add($0, toTable: $1, place: &$2) }
    }

    /// Counts what a process did whose own rows can't be kept.
    static func count<Model: ProcessModel & ~Copyable>(
        _ entry: ProcessTable<Model>.Entry,
        host: String,
        in summary: inout WindowSummary
    ) {
        if entry.pointee.activity.pointee.isEmpty { return }
        addProcess(entry.pointee.activity, to: &summary)
        forEachRow(of: entry, host: host) { row, table, _ in summary.count(row, inTable: table) }
    }

    /// Visits the process's rows with the tables they belong to, and their last places in what adds them up.
    private static func forEachRow<Model: ProcessModel & ~Copyable>(
        of entry: ProcessTable<Model>.Entry,
        host: String,
        _ visit: (SummaryRow, Int, inout UInt32) -> Void
    ) {
        let activity = entry.pointee.activity
        entry.pointee.model.tellWindow(to: activity)
        let host = Array(host.utf8)
        let name = entry.pointee.model.processName().cut(at: Limits.summaryNameBytesMax)
        let process = name.isEmpty ? Array("pid-\(entry.pointee.pid)".utf8) : Array(name.buffer)
        func row(
            _ item: [UInt8],
            _ values: SummaryValues,
            _ sketch: QuantileSketch = QuantileSketch()
        ) -> SummaryRow {
            let key = SummaryRow.Key(host: host, pid: entry.pointee.pid, item: item)
            return SummaryRow(key: key, process: process, values: values, sketch: sketch)
        }
        var place = UInt32.max
        visit(row([], activity.pointee.process), 0, &place)
        activity.pointee.forEachUsedItem { item in
            visit(
                row(item.pointee.name, item.pointee.values, item.pointee.sketch),
                item.pointee.table,
                &item.pointee.place
            )
        }
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
