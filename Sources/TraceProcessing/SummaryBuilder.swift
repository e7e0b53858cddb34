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
        let activity = entry.pointee.activity
        let host = Array(host.utf8)
        let name = entry.pointee.model.processName().cut(at: Limits.summaryNameBytesMax)
        let process = name.isEmpty ? Array("pid-\(entry.pointee.pid)".utf8) : Array(name.buffer)
        func key(_ item: [UInt8]) -> SummaryRow.Key {
            SummaryRow.Key(host: host, pid: entry.pointee.pid, item: item)
        }
        addProcess(activity, to: &summary)
        summary.add(
            SummaryRow(
                key: key([]),
                process: process,
                values: activity.pointee.process,
                sketch: QuantileSketch()
            ),
            toTable: 0
        )
        for item in activity.pointee.items {
            summary.add(
                SummaryRow(
                    key: key(item.name),
                    process: process,
                    values: item.values,
                    sketch: item.sketch
                ),
                toTable: item.table
            )
        }
    }

    /// Counts what a process did whose rows can't be kept.
    static func count<Model: ProcessModel & ~Copyable>(
        _ entry: ProcessTable<Model>.Entry,
        in summary: inout WindowSummary
    ) {
        let activity = entry.pointee.activity
        guard !activity.pointee.isEmpty else { return }
        addProcess(activity, to: &summary)
        summary.count(activity.pointee.process, QuantileSketch(), inTable: 0)
        for item in activity.pointee.items {
            summary.count(item.values, item.sketch, inTable: item.table)
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
