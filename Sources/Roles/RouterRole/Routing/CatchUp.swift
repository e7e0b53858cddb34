import IngestLog
import SystemIO
import TraceModel
import TraceWire

/// Reads the log for workers that are behind, as `RoutingState.readings` requests, with one reader for each worker.
/// Blocks.
struct CatchUp {
    private var readers: [WorkerName: CatchUpReader] = [:]
    private let salt: UInt32
    private let damaged: [Range<LSN>]
    private let pool: SharePool

    /// `damaged` contains the ranges that recovery found, which are skipped.
    init(salt: UInt32, damaged: [Range<LSN>], pool: SharePool) {
        self.salt = salt
        self.damaged = damaged
        self.pool = pool
    }

    /// Returns the share of the next records.
    /// - Throws: `TraceError` if the log is damaged or unreadable.
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

    /// Returns the worker's reader if it is at the worker's position, otherwise a new one. The positions can differ:
    /// shares of an earlier session that were still in transit move a worker past what its reader has read.
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

/// Reads the log for one worker that is behind, a chunk at a time, and reduces it to the worker's share.
final class CatchUpReader {
    /// Approximate size of the log that one step reads, in bytes.
    static let chunkBytes = 1 << 20

    /// The result of one step.
    struct Step {
        let payload: SharePayload
        /// The LSN up to which the payload contains the worker's part of the log.
        let end: LSN
    }

    private let worker: WorkerName
    private let pool: SharePool
    private var reader: LogReader
    private let damaged: [Range<LSN>]
    private var owned: OwnedEvents
    /// Capacity for the next share: the size of the last one and a quarter more. A share may be a small part of its
    /// chunk, and shares in transit are bounded by their size, not by their capacity.
    private var shareBytes = 0

    init(worker: WorkerName, salt: UInt32, from lsn: LSN, damaged: [Range<LSN>], pool: SharePool) {
        self.worker = worker
        self.pool = pool
        self.damaged = damaged
        owned = OwnedEvents(of: worker)
        reader = LogReader(
            directory: LogDirectory(path: ClusterPaths.log),
            salt: salt,
            from: lsn,
            damaged: damaged
        )
    }

    /// The start of the next step.
    var position: LSN { reader.position }

    /// Returns the share of the next records below `limit`, without those that `verdicts` cover. `from` is the end of
    /// the last accepted step. A share that crosses a damaged range starts with the barriers that `maps` knows of in it,
    /// at the LSNs where they stood: so workers end the same windows and hand over slots under the same LSN, whether
    /// they had come to a barrier before it was lost or not.
    /// - Throws: `TraceError` if the log is damaged or unreadable.
    func step(
        from: LSN,
        limit: LSN,
        maps: SlotMapHistory,
        verdicts: Verdicts = Verdicts()
    ) throws -> Step {
        precondition(reader.position == from, "the worker stands elsewhere")
        let bytes = try unsafe reader.next(budget: Self.chunkBytes, limit: limit)
        var builder = ShareBuilder(
            for: [worker],
            map: maps.place(at: from).map,
            pool: pool,
            shareBytes: shareBytes
        )
        if let range = damaged.first(where: { $0.contains(from) }) {
            for (barrier, end) in maps.barriers(endingIn: from + 1...range.upperBound) {
                let group = LogGroup(barrier, endingAt: end)
                builder.addForAll(group.record(at: 0))
                // The record is a view into the group.
                withExtendedLifetime(group) {}
            }
        }
        for record in unsafe LogRecords(bytes) {
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
            // Every worker that is behind has a reader, and all of them read the same large record.
            reader.releaseMemory()
            owned = OwnedEvents(of: worker)
        }
        return Step(payload: payload, end: reader.position)
    }
}

/// Finds the events of a logged batch that may belong to one worker. The scanner has validated the batch, so events of
/// other resources are skipped, and process ids are read only if the worker does not own all slots of its resource.
struct OwnedEvents: ~Copyable {
    private let worker: WorkerName
    private var map: SlotMap?
    private var isSoleOwner = false
    /// The events of the last batch: an entry for each event, or for a sole owner one for each contiguous range of
    /// events.
    private(set) var events = RoutedEvents()

    init(of worker: WorkerName) { self.worker = worker }

    /// Finds the events of another batch. `map` is the slot map in force at it.
    /// - Throws: `TraceError(.corrupt)` if the scanner would not have accepted the batch: its events must not be
    ///   dropped silently.
    mutating func find(in record: LogRecord, _ map: SlotMap) throws(TraceError) {
        if map != self.map {
            self.map = map
            isSoleOwner = map.slots(of: worker).count == Slot.count
        }
        events.removeAll()
        var fields = unsafe EventFields(of: worker.resource, in: record.body)
        if isSoleOwner {
            while let range = fields.nextRange() { append(range, slot: 0) }
        } else {
            let hash = unsafe Slot.hash(host: record.host)
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
        let hash = unsafe Slot.hash(host: record.host)
        var names = unsafe NameFields(in: record.body)
        while let (name, _) = names.next() {
            events.append(RoutedEvents.Entry(name, resource: worker.resource, hostHash: hash))
        }
    }

    private mutating func append(_ range: Range<Int>, slot: UInt8) {
        events.append(RoutedEvents.Entry(range, resource: worker.resource, slot: slot))
    }
}
