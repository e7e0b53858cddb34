import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import IngestLog
@testable import RouterRole

/// Tests which states count as a loss of log records, and how many events count as lost.
@Suite(.serialized) struct LogLossTests {
    private static let gpu = WorkerName(resource: .gpu, index: 0)

    private func find(
        end: LSN,
        isEmpty: Bool = false,
        cut: LSN? = nil,
        noted: (LSN, isExact: Bool)? = nil,
        checkpoint: LSN? = nil,
        hasSegments: Bool = false
    ) -> Range<LSN>? {
        LogLoss.find(
            end: end,
            isEmpty: isEmpty,
            cut: cut.map { LogCut(path: "log/x", bytes: 1, end: $0) },
            evidence: LogLoss.Evidence(
                noted: noted.map { ($0.0, $0.isExact) },
                checkpoints: checkpoint.map { [Self.gpu: $0] } ?? [:],
                hasSegments: hasSegments
            )
        )?.range
    }

    @Test func whatProvesALossBoundsIt() {
        #expect(find(end: 0, isEmpty: true) == nil)
        #expect(find(end: 800) == nil)
        #expect(find(end: 800, noted: (800, true), checkpoint: 800, hasSegments: true) == nil)
        // An earlier version noted nothing, and the checkpoint is within the log.
        #expect(find(end: 800, checkpoint: 640, hasSegments: true) == nil)
        #expect(find(end: 800, noted: (640, false), checkpoint: 800) == nil)
        // The log's end is missing.
        #expect(find(end: 800, noted: (1_600, true), checkpoint: 1_000) == 800..<1_600)
        #expect(find(end: 800, noted: (1_600, false)) == 800..<1_600)
        #expect(find(end: 800, checkpoint: 1_004) == 800..<1_008)
        #expect(find(end: 800, noted: (640, false), checkpoint: 1_000) == 800..<1_000)
        #expect(find(end: 800, cut: 65_536, noted: (1_600, true)) == 800..<65_536)
        #expect(find(end: 800, cut: 65_536) == 800..<65_536)
        #expect(find(end: 800, cut: 0) == 800..<808)
        // There is no log, but files that exist only with one.
        #expect(find(end: 0, isEmpty: true, checkpoint: 640) == 0..<640)
        #expect(find(end: 0, isEmpty: true, hasSegments: true) == 0..<8)
        // A file was cut behind the log's end, or a checkpoint is wrong: no records are lost.
        #expect(find(end: 800, cut: 65_536, noted: (800, true)) == nil)
        #expect(find(end: 800, noted: (792, true), checkpoint: 1 << 40) == nil)
    }

    @Test func whatAWorkerNeedsOfTheBeginIsLost() {
        let map = SlotMap(workers: [:])
        var maps = SlotMapHistory(map, window: 7, windowBegin: 500)
        var checkpoints: [WorkerName: LSN?] = [:]
        for worker in map.allWorkers { checkpoints[worker] = .some(640) }
        func find(_ begin: LSN, accepted: [Range<LSN>] = []) -> LogLoss? {
            LogLoss.findBegin(begin, maps: maps, accepted: accepted, checkpoints: checkpoints)
        }
        #expect(find(0) == nil && find(640) == nil)
        #expect(find(648)?.range == 640..<648)
        checkpoints[Self.gpu] = .some(320)
        #expect(find(320) == nil)
        let loss = find(640)
        #expect(loss?.range == 320..<640 && loss?.isBegin == true)
        #expect(loss?.reason.contains("gpu.0 stands at 320") == true)
        // Workers skip the accepted range and nothing else.
        #expect(find(640, accepted: [320..<640]) == nil)
        #expect(find(640, accepted: [328..<640, 320..<632])?.range == 320..<640)
        // An unreadable checkpoint is handled by its worker; a missing one means that the worker has applied
        // nothing.
        checkpoints[Self.gpu] = .some(nil)
        #expect(find(640) == nil)
        checkpoints[Self.gpu] = nil
        #expect(find(640)?.range == 0..<640)
        // A worker without slots needs no records, and none from before it was given slots.
        checkpoints[Self.gpu] = .some(640)
        let second = WorkerName(resource: .gpu, index: 1)
        checkpoints[second] = .some(320)
        #expect(find(640) == nil)
        let wider = map.rescaled(.gpu, to: 2)
        let barrier = BarrierPayload(
            window: 7,
            reason: .command,
            stem: "20260101_000000",
            slotMap: wider
        )
        maps.append(barrier, end: 640)
        #expect(find(640) == nil)
        checkpoints[second] = nil
        #expect(find(640) == nil)
        #expect(find(648)?.range == 640..<648)
    }

    @Test func onlyWhatNoWorkerHasAppliedCountsAsLost() {
        var map = SlotMap(workers: [:])
        let events: [UInt64] = [1, 20, 300, 4_000, 50_000, 600_000]
        let gap = DamageTally.Gap(range: 100..<200, events: events)
        func damage(_ checkpoints: [WorkerName: LSN?]) -> [UInt64] {
            let found = gap.damage(map, checkpoints)
            #expect(found.range == gap.range && !found.settles)
            return [found.events, found.uncertain]
        }
        func all(_ lsn: LSN?) -> [WorkerName: LSN?] {
            Dictionary(uniqueKeysWithValues: map.allWorkers.map { ($0, lsn) })
        }
        #expect(damage([:]) == [654_321, 0])
        #expect(damage(all(100)) == [654_321, 0])
        #expect(damage(all(200)) == [0, 0])
        #expect(damage(all(150)) == [0, 654_321])
        // An unreadable checkpoint may be at any LSN.
        #expect(damage(all(nil)) == [0, 654_321])
        var mixed = all(200)
        mixed[Self.gpu] = .some(100)
        #expect(damage(mixed) == [600_000, 0])
        // One of two workers has passed the range; how many events the other has not applied is unknown.
        map = map.rescaled(.gpu, to: 2)
        #expect(damage(mixed) == [600_000, 0])
        mixed[WorkerName(resource: .gpu, index: 1)] = .some(200)
        #expect(damage(mixed) == [0, 600_000])
    }

    @Test func damageRecordsOfTheVersionBeforeAreRead() throws {
        for payload in [
            DamagePayload(range: 8..<16, events: 3),
            DamagePayload(range: 8..<16, events: 3, uncertain: 9),
            DamagePayload(range: 8..<16, events: 3, settles: true),
        ] {
            var body = RawBuffer()
            payload.encode(into: &body)
            #expect(try DamagePayload(decoding: body.bytes) == payload)
        }
        var old = RawBuffer()
        for number: UInt64 in [8, 16, 3] { old.append(integer: number) }
        #expect(try DamagePayload(decoding: old.bytes) == DamagePayload(range: 8..<16, events: 3))
    }
}
