import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceModel
import TraceWire

@testable import RouterRole

/// Tests the content of shares. All workers together receive every event once and in order, and the same bytes live
/// as when they read the log later.
@Suite struct ShareTests {
    /// A part of a share, or of the log filtered naively.
    private struct Piece: Equatable {
        let lsn: LSN
        let type: LogRecordType
        let arrival: Int64
        let host: [UInt8]
        let body: [UInt8]
    }

    private func randomBatch(_ generator: inout SeededGenerator) -> [UInt8] {
        let processes = UInt32.random(in: 1...40, using: &generator)
        let events = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
            (
                resource: Resource.allCases.randomElement(using: &generator) ?? .cpu,
                process: UInt32.random(in: 1...processes, using: &generator)
            )
        }
        var envelope = BatchEncoder.Envelope()
        if Bool.random(using: &generator) {
            envelope.host = "host-\(Int.random(in: 0..<5, using: &generator))"
        }
        let bytes = TestBatch.bytes(events, envelope: envelope)
        // A message's fields may come in any order, with unknown ones between them.
        guard Bool.random(using: &generator) else { return bytes }
        let more = TestBatch.bytes(Array(events.shuffled(using: &generator).prefix(20)))
        return bytes + TestBatch.padding(Int.random(in: 0...200, using: &generator)) + more
    }

    private func randomMap(_ map: SlotMap, _ generator: inout SeededGenerator) -> SlotMap {
        let resource = Resource.allCases.randomElement(using: &generator) ?? .cpu
        return map.rescaled(resource, to: Int.random(in: 1...9, using: &generator))
    }

    /// Returns a worker's expected share, made from the log alone: the events of its slots in order.
    private func expected(
        of worker: WorkerName,
        maps: SlotMapHistory,
        until end: LSN
    ) throws -> (pieces: [Piece], events: Int) {
        var pieces: [Piece] = []
        var events = 0
        var reader = LogReader(
            directory: LogDirectory(path: ClusterPaths.log),
            salt: RoutingLog.salt,
            from: 0
        )
        var index = EventIndex()
        while true {
            let bytes = try reader.next(budget: 1 << 16, limit: end)
            if bytes.isEmpty { break }
            for record in LogRecords(bytes) {
                guard let type = record.type, type != .fileHead else { continue }
                var body = Array(record.body)
                if type == .batch {
                    let map = maps.place(at: record.lsn).map
                    let hash = Slot.hash(host: record.host)
                    _ = try BatchScanner.scan(record.body, into: &index)
                    body = []
                    for position in 0..<index.count {
                        let event = index[position]
                        let slot = Slot.of(hostHash: hash, processID: event.processID)
                        guard event.resource == worker.resource,
                            map.owner(of: slot, resource: event.resource) == worker.index
                        else { continue }
                        events += 1
                        body += record.body[Int(event.offset)..<Int(event.offset + event.length)]
                    }
                    if body.isEmpty { continue }
                }
                pieces.append(
                    Piece(
                        lsn: record.lsn,
                        type: type,
                        arrival: record.arrival,
                        host: Array(record.host),
                        body: body
                    )
                )
            }
        }
        return (pieces, events)
    }

    private func pieces(_ share: [UInt8]) throws -> [Piece] {
        var pieces: [Piece] = []
        try share.withUnsafeBytes { bytes in
            try ShareRecord.forEach(in: bytes) { record in
                pieces.append(
                    Piece(
                        lsn: record.lsn,
                        type: try #require(record.type),
                        arrival: record.arrival,
                        host: Array(record.host),
                        body: Array(record.body)
                    )
                )
            }
        }
        return pieces
    }

    /// Returns all that a worker receives when it reads the log from `start`, step by step.
    private func caughtUp(
        _ worker: WorkerName,
        from start: LSN,
        to end: LSN,
        maps: SlotMapHistory,
        _ generator: inout SeededGenerator
    ) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var at = start
        let pool = SharePool()
        func reader(from lsn: LSN) -> CatchUpReader {
            CatchUpReader(worker: worker, salt: RoutingLog.salt, from: lsn, damaged: [], pool: pool)
        }
        var current = reader(from: at)
        while at < end {
            let step = try current.step(from: at, limit: end, maps: maps)
            #expect(step.end > at)
            // A share that is not accepted is read again by another reader.
            if Int.random(in: 0..<3, using: &generator) == 0 {
                current = reader(from: at)
                continue
            }
            bytes += Array(step.payload.buffer.bytes)
            at = step.end
        }
        return bytes
    }

    @Test(arguments: 0..<4 as Range<UInt64>) func sharesAreTheLogOnceAndInOrder(seed: UInt64) throws
    {
        var generator = SeededGenerator(seed: seed)
        let directory = try TemporaryDirectory()
        try directory.asWorkingDirectory {
            var map = SlotMap(workers: [
                .function: 3, .gpu: Int.random(in: 1...5, using: &generator),
            ])
            var log = try RoutingLog(map: map)
            defer { log.close() }
            var events = 0
            for _ in 0..<25 {
                let batches = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
                    randomBatch(&generator)
                }
                var index = EventIndex()
                for batch in batches {
                    events += try batch.withUnsafeBytes {
                        try BatchScanner.scan($0, into: &index).total
                    }
                }
                let isScaled = Int.random(in: 0..<4, using: &generator) == 0
                if isScaled { map = randomMap(map, &generator) }
                try log.commit(
                    batches,
                    newMap: isScaled ? map : nil,
                    tick: Bool.random(using: &generator)
                )
            }
            var routed = 0
            let end = log.end
            let maps = log.maps
            for worker in RoutingLog.workers {
                let all = try expected(of: worker, maps: maps, until: end)
                routed += all.events
                let later = try caughtUp(worker, from: 0, to: end, maps: maps, &generator)
                try #require(try pieces(later) == all.pieces, "seed \(seed), \(worker)")
                try #require(log.live[worker, default: []] == later, "seed \(seed), \(worker)")
            }
            #expect(routed == events && events > 500)
        }
    }

    /// A small range of the log between large ones must not make those grow their memory again.
    @Test func sharesTakeTheMemoryThatOnesLikeThemHad() throws {
        let worker = WorkerName(resource: .function, index: 0)
        var builder = ShareBuilder(
            for: [worker],
            map: SlotMap(workers: [.function: 1]),
            pool: SharePool()
        )
        var group = LogGroup()
        _ = group.append(.tick, arrival: 0, bodyBytes: 700_000)
        let small = group.byteCount
        _ = group.append(.tick, arrival: 0, bodyBytes: 100)
        let large = (record: group.record(at: 0), bytes: small)
        let little = (record: group.record(at: small), bytes: group.byteCount - small)
        func memory(_ span: (record: LogRecord, bytes: Int)) -> UnsafeMutableRawPointer? {
            builder.expect(span.bytes)
            builder.addForAll(span.record)
            return builder.finish().first?.payload.buffer.base
        }
        let first = try #require(memory(large))
        for _ in 0..<3 {
            #expect(memory(little) != first)
            #expect(memory(large) == first)
        }
    }

    /// A batch that an earlier scanner accepted, but this one does not, must not be skipped: it was acknowledged.
    @Test func aBatchThatIsNoneIsNotPassedOver() throws {
        let whole = TestBatch.bytes([(.function, 1), (.function, 2)])
        for bytes in [Array(whole.dropLast()), whole + [0x0A, 0x02, 0x0A, 0x05]] {
            var group = LogGroup()
            let body = group.append(.batch, arrival: 0, bodyBytes: bytes.count)
            bytes.withUnsafeBytes { body.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            let record = group.record(at: 0)
            let worker = WorkerName(resource: .function, index: 0)
            var owned = OwnedEvents(of: worker)
            let isCut = bytes.count < whole.count
            // The events of a sole owner are not decoded.
            for (workers, isFound) in [(1, isCut), (2, true)] {
                var error: TraceError?
                do throws(TraceError) {
                    try owned.find(in: record, SlotMap(workers: [.function: workers]))
                } catch let
                    thrown
                { error = thrown }
                #expect((error?.code == .corrupt) == isFound, "\(workers) workers, cut: \(isCut)")
            }
        }
    }
}
