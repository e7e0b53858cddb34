import TraceFiles
import TraceMetrics
import TraceModel

/// Collects the series of slots, of their processes, and of the hosts of these.
struct SeriesCollector<Model: ProcessModel & ~Copyable>: ~Copyable {
    /// The series that describe slots as a whole, as last reported.
    private var slotSeries = [SeriesSet](repeating: SeriesSet(), count: Slot.count)

    /// Writes a slot's section: what changed since the last one, or everything if `isFull` or if series have ended.
    /// Returns false if the definitions did not fit into one section.
    mutating func collect(
        slot: UInt8,
        of processes: inout ProcessLifecycle<Model>,
        isFull: Bool,
        lsn: LSN,
        into series: inout SeriesWriter
    ) -> Bool {
        let own = processes.totals + Int(slot)
        let isFull = isFull || own.pointee.isFullNeeded
        series.beginSection(slot: slot, lsn: lsn, isFull: isFull)
        series.begin(slotSeries[Int(slot)], count: SlotTotals.seriesMax, isOfSlot: true)
        own.pointee.collect(&series, of: Model.Event.resource)
        slotSeries[Int(slot)] = series.end()
        for entry in isFull ? processes.table.entries(of: slot) : processes.dirty[Int(slot)]
        where entry.pointee.hasEvents {
            processes.hosts.heard(entry.pointee.host, slot: slot, at: entry.pointee.lastHeard)
            let host = processes.files.hostName(entry.pointee.host)
            if entry.pointee.isExpired {
                series.markQuiet(host: host, pid: entry.pointee.pid)
            } else {
                Self.collect(entry, host: host, isFull: isFull, into: &series)
            }
        }
        let files = processes.files
        processes.hosts.collect(
            slot: slot,
            of: Model.Event.resource,
            isFull: isFull,
            into: &series,
            name: files.hostName
        )
        processes.endChanges(of: slot)
        let isComplete = series.endSection()
        own.pointee.isFullNeeded = !isComplete
        own.pointee.isDirty = !isComplete
        return isComplete
    }

    private static func collect(
        _ entry: ProcessTable<Model>.Entry,
        host: String,
        isFull: Bool,
        into series: inout SeriesWriter
    ) {
        let isNew = !entry.pointee.isShown
        series.use(host: host, pid: entry.pointee.pid, name: entry.pointee.name, isNew: isNew)
        series.begin(entry.pointee.definedSeries, count: Model.seriesMax)
        entry.pointee.model.collect(&series)
        entry.pointee.definedSeries = series.end()
        entry.pointee.model.collectParts(&series, all: isFull || isNew)
        entry.pointee.isShown = true
    }

    /// Forgets what was reported of a slot that another worker owns now.
    mutating func drop(slot: UInt8) { slotSeries[Int(slot)] = SeriesSet() }
}
