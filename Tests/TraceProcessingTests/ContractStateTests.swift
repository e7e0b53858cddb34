import SystemIO
import Testing
import TraceFiles
import TraceModel
import TraceProcessing

/// A processor that stops anywhere goes on elsewhere as if nothing had been.
@Suite(.serialized) struct ContractStateTests {
    @Test(arguments: Resource.allCases, [0, 3, 9, 17]) func aCheckpointIsWhereItGoesOnFrom(
        _ resource: Resource,
        batchesBefore: Int
    ) throws {
        var generator = EventGenerator(resource, seed: 11)
        let batches = generator.batches(18)
        let directory = try ContractDirectory()
        let first = try ContractWorker(resource, root: directory.path)
        try first.apply(batches[..<batchesBefore])
        let checkpoint = try first.checkpoint()
        // A crash loses these: rows written, rows in memory.
        try first.apply(batches[batchesBefore...].prefix(5))
        try first.files.flush(.tick)

        let second = try ContractWorker(resource, root: directory.path, checkpoint: checkpoint)
        #expect(second.state == checkpoint.slots.sorted { $0.key < $1.key }.flatMap(\.value))
        try second.apply(batches[batchesBefore...])
        let outcome = try ContractOutcome(of: [second], in: directory)
        let expected = try ContractOutcome(resource, batches)
        #expect(expected.differences(from: outcome) == [])
    }

    @Test(arguments: Resource.allCases) func aWindowsEndIsNoEndOfTheState(
        _ resource: Resource
    ) throws {
        var generator = EventGenerator(resource, seed: 12)
        let batches = generator.batches(16)
        func secondWindow(restarts: Bool) throws -> ContractOutcome {
            let directory = try ContractDirectory()
            var worker = try ContractWorker(resource, root: directory.path)
            try worker.apply(batches[..<8])
            _ = try worker.finalize()
            if restarts {
                worker = try ContractWorker(
                    resource,
                    root: directory.path,
                    checkpoint: try worker.checkpoint()
                )
            }
            try worker.apply(batches[8...])
            return try ContractOutcome(of: [worker], in: directory, window: 8)
        }
        let expected = try secondWindow(restarts: false)
        #expect(!expected.files.isEmpty)
        #expect(expected.differences(from: try secondWindow(restarts: true)) == [])
    }

    /// Half of the slots move to another worker in the middle, and some of them back.
    @Test(arguments: Resource.allCases) func slotsGoOnWithAnotherWorker(_ resource: Resource) throws
    {
        var generator = EventGenerator(resource, seed: 13)
        let batches = generator.batches(24)
        let directory = try ContractDirectory()
        let workers = try (0..<2).map {
            try ContractWorker(resource, index: $0, root: directory.path)
        }
        var owner = [Int](repeating: 0, count: Slot.count)
        func apply(_ batches: ArraySlice<ContractBatch>) throws {
            for batch in batches {
                for (index, worker) in workers.enumerated() {
                    try worker.apply(batch.share { owner[Int($0)] == index })
                }
            }
        }
        func move(_ slots: [UInt8], to target: Int, at lsn: LSN) throws {
            for worker in workers { _ = try worker.checkpoint() }
            try workers[target].files.beginEpoch(order: lsn)
            for slot in slots {
                let source = workers[owner[Int(slot)]]
                try workers[target].load(source.state(of: slot), slot: slot)
                source.processor.dropState(slot: slot)
                owner[Int(slot)] = target
            }
        }
        try apply(batches[..<8])
        let odd = (0...UInt8.max).filter { $0 % 2 == 1 }
        try move(odd, to: 1, at: batches[7].lsn)
        try apply(batches[8..<16])
        try move(odd.filter { $0 % 4 == 1 }, to: 0, at: batches[15].lsn)
        try apply(batches[16...])
        let sent = batches.reduce(0) { $0 + $1.events.count }
        #expect(workers.reduce(0) { $0 + $1.processor.totalTraces } == UInt64(sent))
        #expect(workers.allSatisfy { $0.processor.totalTraces > 0 })

        let outcome = try ContractOutcome(of: workers, in: directory) { owner[Int($0)] }
        var expected = try ContractOutcome(resource, batches)
        // A sample of a resource as a whole comes from each slot, so sets of texts still agree.
        expected.samples = Array(Set(expected.samples))
        #expect(expected.differences(from: outcome) == [])
    }

    @Test(arguments: Resource.allCases) func aStateThatEndsEarlyIsRefused(
        _ resource: Resource
    ) throws {
        var generator = EventGenerator(resource, seed: 14)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        try worker.apply(generator.batches(3))
        let (slot, state) = try #require(
            try worker.checkpoint().slots.max {
                ($0.value.count, $1.key) < ($1.value.count, $0.key)
            }
        )
        for length in 0..<state.count {
            #expect(throws: TraceError.self) {
                try worker.load(Array(state[..<length]), slot: slot)
            }
        }
        try worker.load(state, slot: slot)
        #expect(worker.state(of: slot) == state)
    }

    @Test(arguments: Resource.allCases) func aDroppedSlotIsForgotten(_ resource: Resource) throws {
        var generator = EventGenerator(resource, seed: 15)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        let untouched = worker.state
        try worker.apply(generator.batches(5))
        #expect(worker.state != untouched)
        for slot in 0...UInt8.max { worker.processor.dropState(slot: slot) }
        #expect(worker.state == untouched)
        #expect(worker.processor.totalTraces == 0 && worker.samples.isEmpty)
        #expect(worker.processor.slotsToCollect(all: false).isEmpty)
    }
}
