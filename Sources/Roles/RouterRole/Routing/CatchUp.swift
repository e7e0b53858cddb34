import IngestLog
import SystemIO
import TraceModel
import TraceWire

/// Reads the log for workers that are behind: what `RoutingState.readings` asks for, a reader for each worker. Blocks.
struct CatchUp {
    private var readers: [WorkerName: CatchUpReader] = [:]
    private let salt: UInt32
    private let damaged: [Range<LSN>]
    private let pool: SharePool

    /// `damaged`: what recovery found, to be passed over.
    init(salt: UInt32, damaged: [Range<LSN>], pool: SharePool) {
        self.salt = salt
        self.damaged = damaged
        self.pool = pool
    }

    /// The share of the next records.
    /// - Throws: `TraceError` where the log is damaged or unreadable.
    mutating func step(
        _ reading: RoutingState.Reading,
        maps: SlotMapHistory,
        verdicts: Verdicts
    ) throws -> CatchUpReader.Step {
        try reader(for: reading).step(
            from: reading.from,
            limit: reading.limit,
            maps: maps,
            verdicts: verdicts
        )
    }

    /// The worker's reader where that stands where the worker does. It may not: shares of an earlier
    /// session that were still on their way move a worker on past what this one has read for it.
    private mutating func reader(for reading: RoutingState.Reading) -> CatchUpReader {
        if let known = readers[reading.worker], known.position == reading.from { return known }
        let fresh = CatchUpReader(
            worker: reading.worker,
            salt: salt,
            from: reading.from,
            damaged: damaged,
            pool: pool
        )
        readers[reading.worker] = fresh
        return fresh
    }

    /// Frees the readers of workers that are no longer behind.
    mutating func keepReaders(where isBehind: (WorkerName) -> Bool) {
        guard !readers.isEmpty else { return }
        readers = readers.filter { isBehind($0.key) }
    }
}

/// Reads the log for one worker that is behind, a chunk at a time, and narrows it to the worker's share.
final class CatchUpReader {
    /// About how much of the log one step reads.
    static let chunkBytes = 1 << 20

    struct Step {
        let payload: SharePayload
        /// Everything below is in the payload, or concerned others.
        let end: LSN
    }

    private let worker: WorkerName
    private let pool: SharePool
    private var reader: LogReader
    private var owned: OwnedEvents
    /// What the last share took and a quarter more: the next one's room. Of a chunk it may be a small part, and shares on
    /// their way are bounded by what they hold, not by their room.
    private var shareBytes = 0

    init(worker: WorkerName, salt: UInt32, from lsn: LSN, damaged: [Range<LSN>], pool: SharePool) {
        self.worker = worker
        self.pool = pool
        owned = OwnedEvents(of: worker)
        reader = LogReader(
            directory: LogDirectory(path: ClusterPaths.log),
            salt: salt,
            from: lsn,
            damaged: damaged
        )
    }

    /// Where the next step begins.
    var position: LSN { reader.position }

    /// The share of the next records below `limit`, without what `verdicts` leave out. `from` is where the last step's end was accepted.
    /// - Throws: `TraceError` where the log is damaged or unreadable.
    func step(
        from: LSN,
        limit: LSN,
        maps: SlotMapHistory,
        verdicts: Verdicts = Verdicts()
    ) throws -> Step {
        precondition(reader.position == from, "the worker stands elsewhere")
        let bytes = try reader.next(budget: Self.chunkBytes, limit: limit)
        var builder = ShareBuilder(
            for: [worker],
            map: maps.place(at: from).map,
            pool: pool,
            shareBytes: shareBytes
        )
        for record in LogRecords(bytes) {
            let map = maps.place(at: record.lsn).map
            builder.use(map)
            switch record.type {
            case .batch where verdicts.covers(worker, record.lsn): break
            case .batch:
                try owned.find(in: record, map)
                builder.add(record, events: owned.events, first: 0, count: owned.events.count)
            case .barrier, .tick: builder.addForAll(record)
            case .fileHead, .damage, .verdict, nil: break
            }
        }
        let payload = builder.finish().first?.payload ?? SharePayload(capacity: 0, from: pool)
        shareBytes = min(payload.buffer.count / 4 * 5, 2 * Self.chunkBytes)
        if bytes.count > 2 * Self.chunkBytes {
            // Each worker behind has a reader, and all meet the same large record.
            reader.releaseMemory()
            owned = OwnedEvents(of: worker)
        }
        return Step(payload: payload, end: reader.position)
    }
}

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
        guard !fields.isDamaged else {
            throw TraceError(.corrupt, "The batch at LSN \(record.lsn) is damaged")
        }
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
