import IngestLog
import RouterRole
import SystemIO
import TraceModel
import TraceWire

// What the router does with a batch besides scanning it.
extension StageBench {
    private static let groupBatches = 8
    private static let workersPerResource = 4

    /// Copies batches into groups of eight, seals, writes and syncs them. Only CPU time counts, not waiting.
    func logAppend() throws -> StageFigure {
        var source = source(of: .function)
        let root = "\(directory)/trace-bench-log"
        try FileSystem.createDirectory(root)
        defer { try? FileSystem.removeTree(root) }
        let log = LogDirectory(path: root)
        var writer = try LogWriter(
            directory: log,
            salt: 1,
            recovery: LogRecovery.run(log, salt: 1) { _ in }
        )
        var group = LogGroup()
        var index = EventIndex()
        let figure = try unsafe measure("log append") {
            source.nextRound()
        } body: { batch in
            let body = unsafe group.append(.batch, arrival: WallClock.now(), bodyBytes: batch.count)
            unsafe UnsafeMutableRawBufferPointer(start: body, count: batch.count).copyMemory(
                from: batch
            )
            if group.offsets.count == Self.groupBatches {
                try unsafe writer.commit(&group, countsAt: { _ in LogCounts() }, head: { _ in })
                group.removeAll(keeping: 64 << 20)
                try writer.trim(below: writer.end)
            }
            return try unsafe BatchScanner.scan(batch, into: &index).total
        }
        writer.close()
        return figure
    }

    /// Splits groups of eight batches among four workers by process, using the index from the scan.
    func split() throws -> StageFigure {
        var source = source(of: .function)
        let workers = (0..<Self.workersPerResource).map {
            WorkerName(resource: .function, index: $0)
        }
        let map = SlotMap(workers: [.function: workers.count])
        var builder = ShareBuilder(for: Set(workers), map: map, pool: SharePool())
        var group = LogGroup()
        var events = RoutedEvents()
        var firsts: [Int] = []
        var index = EventIndex()
        return try unsafe measure("split function") {
            group.removeAll(keeping: 64 << 20)
            events.removeAll()
            firsts = []
            for batch in source.nextRound() {
                let body = unsafe group.append(.batch, arrival: 0, bodyBytes: batch.count)
                try unsafe batch.withUnsafeBytes { batch in
                    unsafe UnsafeMutableRawBufferPointer(start: body, count: batch.count)
                        .copyMemory(
                            from: batch
                        )
                    firsts.append(events.count)
                    _ = try unsafe BatchScanner.scan(batch, into: &index)
                }
                for position in 0..<index.count {
                    events.append(RoutedEvents.Entry(index[position], hostHash: 1))
                }
            }
            firsts.append(events.count)
            return [[]]
        } body: { _ in
            for (position, offset) in group.offsets.enumerated() {
                builder.add(
                    group.record(at: offset),
                    events: events,
                    first: firsts[position],
                    count: firsts[position + 1] - firsts[position]
                )
                if position % Self.groupBatches == 0 { _ = builder.finish() }
            }
            _ = builder.finish()
            return events.count
        }
    }
}
