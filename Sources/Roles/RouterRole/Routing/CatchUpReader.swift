import IngestLog
import SystemIO
import TraceModel

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
        reader = LogReader(directory: LogDirectory(path: ClusterPaths.log), salt: salt, from: lsn, damaged: damaged)
    }

    /// Where the next step begins.
    var position: LSN { reader.position }

    /// The share of the next records below `limit`, without what `verdicts` leave out. `from` is where the last step's end was accepted.
    /// - Throws: `TraceError` where the log is damaged or unreadable.
    func step(from: LSN, limit: LSN, maps: SlotMapHistory, verdicts: Verdicts = Verdicts()) throws -> Step {
        precondition(reader.position == from, "the worker stands elsewhere")
        let bytes = try reader.next(budget: Self.chunkBytes, limit: limit)
        var builder = ShareBuilder(for: [worker], map: maps.place(at: from).map, pool: pool, shareBytes: shareBytes)
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
