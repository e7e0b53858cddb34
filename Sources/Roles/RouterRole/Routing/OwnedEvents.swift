import IngestLog
import TraceModel
import TraceWire

/// Finds again what of a batch in the log may be one worker's. No more than that: the scanner has accepted all of it, so
/// other resources' events are passed over, and processes are looked for only where the worker does not own all of them.
struct OwnedEvents: ~Copyable {
    private let worker: WorkerName
    private var map: SlotMap?
    private var isSoleOwner = false
    /// Of the last batch looked into: an entry an event, or, of a sole owner, one for all that lie side by side.
    private(set) var events = RoutedEvents()

    init(of worker: WorkerName) { self.worker = worker }

    /// Looks into another batch. `map`: what is in force there.
    /// - Throws: `TraceError(.corrupt)` where the batch is none that the scanner accepted: its events must not be passed over.
    mutating func find(in record: LogRecord, _ map: SlotMap) throws(TraceError) {
        if map != self.map {
            self.map = map
            isSoleOwner = map.slots(of: worker).count == Slot.count
        }
        events.removeAll()
        var fields = EventFields(of: worker.resource, in: record.body)
        if isSoleOwner {
            while let range = fields.nextRange() { append(range, slot: 0) }
        } else {
            let hash = Slot.hash(host: record.host)
            while let (range, process) = fields.nextWithProcess() {
                append(range, slot: Slot.of(hostHash: hash, processID: process))
            }
        }
        guard !fields.isDamaged else { throw TraceError(.corrupt, "The batch at LSN \(record.lsn) is damaged") }
        if fields.hasNames, Resource.namedByAgents.contains(worker.resource) { findNames(record) }
    }

    private mutating func findNames(_ record: LogRecord) {
        let hash = Slot.hash(host: record.host)
        var names = NameFields(in: record.body)
        while let (name, _) = names.next() {
            events.append(RoutedEvents.Entry(name, resource: worker.resource, hostHash: hash))
        }
    }

    private mutating func append(_ range: Range<Int>, slot: UInt8) {
        events.append(RoutedEvents.Entry(range, resource: worker.resource, slot: slot))
    }
}
