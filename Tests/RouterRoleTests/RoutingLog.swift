import GRPCTransport
import IngestLog
import SystemIO
import TestSupport
import TraceModel

@testable import RouterRole

/// A log written group by group as the router does, with the shares that each worker would be sent live. Requires
/// its directory to be the working directory.
struct RoutingLog: ~Copyable {
    static let salt: UInt32 = 0x5A17
    /// All workers that may own slots in a test; those without slots receive barriers and ticks.
    static let workers = Set(
        Resource.allCases.flatMap { resource in
            (0..<9).map { WorkerName(resource: resource, index: $0) }
        }
    )

    private var writer: LogWriter
    private var admission = BatchAdmission()
    private var dedup = DedupWindow()
    private(set) var maps: SlotMapHistory
    private(set) var live: [WorkerName: [UInt8]] = [:]
    private var window: UInt64 = 0
    let pool = SharePool()

    init(map: SlotMap) throws {
        try FileSystem.createDirectory(ClusterPaths.log)
        let directory = LogDirectory(path: ClusterPaths.log)
        let recovery = try LogRecovery.run(directory, salt: Self.salt) { _ in }
        writer = try LogWriter(directory: directory, salt: Self.salt, recovery: recovery)
        maps = SlotMapHistory(map, window: 0, windowBegin: 0)
    }

    var end: LSN { writer.end }

    /// Commits the batches, a barrier if there is a new map, and a tick, then routes them.
    mutating func commit(_ batches: [[UInt8]], newMap: SlotMap?, tick: Bool) throws {
        let group = CommitGroup()
        for batch in batches {
            let message = ReceivedMessage(batch)
            _ = admission.admit(message, peerHost: [0x70], into: group) { dedup.admit($0) }
        }
        var barrier: BarrierPayload?
        if let newMap {
            let payload = BarrierPayload(
                window: window,
                reason: .scale,
                stem: "s\(window)",
                slotMap: newMap
            )
            var body = RawBuffer()
            payload.encode(into: &body)
            let target = group.log.append(.barrier, arrival: 5, bodyBytes: body.count)
            UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(
                from: body.bytes
            )
            group.entries.append(CommitGroup.Entry())
            window += 1
            barrier = payload
        }
        if tick {
            _ = group.log.append(.tick, arrival: 6, bodyBytes: 0)
            group.entries.append(CommitGroup.Entry())
        }
        guard !group.isEmpty else { return }
        let counts = writer.counts
        try writer.commit(&group.log, countsAt: { _ in counts }, head: { $0.append("head") })
        route(group, barrier)
    }

    /// Routes a group like `RoutingState.route`, for all workers at once.
    private mutating func route(_ group: CommitGroup, _ barrier: BarrierPayload?) {
        var builder = ShareBuilder(for: Self.workers, map: maps.current, pool: pool)
        for (index, offset) in group.log.offsets.enumerated() {
            let record = group.log.record(at: offset)
            let entry = group.entries[index]
            guard record.type != .batch else {
                builder.add(
                    record,
                    events: group.events,
                    first: entry.firstEvent,
                    count: entry.eventCount
                )
                continue
            }
            builder.addForAll(record)
            if record.type == .barrier, let barrier {
                maps.append(barrier, end: record.lsn + LSN(record.stride))
                builder.use(barrier.slotMap)
            }
        }
        for (worker, payload) in builder.finish() {
            live[worker, default: []] += Array(payload.buffer.bytes)
        }
    }

    /// Ends the writer's background work. To be called last.
    func close() { writer.close() }
}
