import IngestLog
import TestSupport
import Testing
import TraceModel

@testable import RouterRole

/// What a router knows after a restart.
@Suite(.serialized) struct RouterRecoveryTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func windowsMapAndBatchesSeenOutliveARestart() throws {
        let wider = SlotMap(workers: [.cpu: 3]).rescaled(.io, to: 6)
        let batch = TestBatch.bytes(events: 2, client: "c", sequence: 9)
        let first = try RouterHarness(directory, workers: [.cpu: 3])
        var stems: [String] = []
        do {
            defer { first.end() }
            _ = try first.send(batch)
            for map in [nil, wider, nil] { stems.append(try first.barrier(map).stem) }
        }
        // The workers named at a later start count for a new directory alone.
        let second = try RouterHarness(directory, workers: [.cpu: 8])
        defer { second.end() }
        let state = second.recovery.state
        let barriers = try RouterHarness.read(directory).barriers
        #expect(state.window == 3 && state.windowBegin == barriers.last?.end)
        #expect(state.slotMap == wider)
        #expect(second.recovery.maps.place(at: 0).map == SlotMap(workers: [.cpu: 3]))
        for (number, barrier) in barriers.enumerated() {
            let place = second.recovery.maps.place(at: barrier.end)
            #expect(place.window == UInt64(number + 1) && place.map == barrier.barrier.slotMap)
        }
        try second.send(batch, expecting: "before")
        for _ in 0..<3 { stems.append(try second.barrier().stem) }
        #expect(Set(stems).count == stems.count)
        #expect(
            try RouterHarness.read(directory).barriers.map(\.barrier.window) == [0, 1, 2, 3, 4, 5]
        )
    }

    /// Once the files that hold them are gone, the head of the oldest one left says it all.
    @Test func trimmingForgetsNothingThatIsNeeded() throws {
        let wider = SlotMap(workers: [:]).rescaled(.function, to: 5)
        let batch = TestBatch.bytes(events: 2, client: "c", sequence: 9)
        let first = try RouterHarness(directory)
        var last: BarrierPayload?
        do {
            defer { first.end() }
            _ = try first.send(batch)
            _ = try first.barrier(wider)
            last = try first.barrier()
            let end = try RouterHarness.read(directory).end
            for _ in 0..<3 { _ = try first.send(TestBatch.padding(Limits.logFileBytes / 2)) }
            first.inbox.trimmableLSN = end + LSN(Limits.logFileBytes)
            // The commit behind which files go.
            _ = try first.send(TestBatch.bytes(events: 1))
            _ = try first.send(TestBatch.bytes(events: 1))
            #expect(first.context.logBegin > end)
        }
        let found = try RouterHarness.read(directory)
        #expect(found.begin > 0 && found.barriers.isEmpty)
        let second = try RouterHarness(directory)
        defer { second.end() }
        let state = second.recovery.state
        #expect(state.window == 2 && state.slotMap == wider)
        #expect(state.windowBegin > 0 && state.windowBegin < found.begin)
        #expect(second.recovery.log.counts.acceptedTotal == 4)
        try second.send(batch, expecting: "before")
        let next = try second.barrier()
        #expect(next.window == 2 && next.stem != last?.stem && next.slotMap == wider)
    }
}
