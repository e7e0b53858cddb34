import TestSupport
import Testing
import TraceModel

@testable import RouterRole

/// Tests reading a log while its slot map changes. A worker that gains a slot does not read past the change before
/// the previous owner's checkpoint has it, and every worker reaches the end.
@Suite struct HandoverGatesTests {
    /// A naive model of the router and its workers that records every change of owner.
    private struct Cluster {
        struct Change {
            let lsn: LSN
            let giver: WorkerName
            let receiver: WorkerName
        }

        var gates = HandoverGates()
        var map = SlotMap(workers: [:])
        var head: LSN = 0
        var position: [WorkerName: LSN] = [:]
        var checkpoint: [WorkerName: LSN] = [:]
        var changes: [Change] = []
        var generator: SeededGenerator

        init(seed: UInt64) {
            generator = SeededGenerator(seed: seed)
            join()
        }

        /// Connects workers that are new in the map, at the log's begin or where they first own slots.
        private mutating func join() {
            for worker in map.allWorkers where position[worker] == nil {
                let start = Bool.random(using: &generator) ? head : 0
                position[worker] = start
                checkpoint[worker] = start
            }
        }

        mutating func log() {
            head += LSN.random(in: 1...50, using: &generator)
            guard Int.random(in: 0..<4, using: &generator) == 0 else { return }
            var next = map
            for _ in 0..<Int.random(in: 1...2, using: &generator) {
                let resource: Resource = Bool.random(using: &generator) ? .function : .gpu
                next = next.rescaled(resource, to: Int.random(in: 1...5, using: &generator))
            }
            for resource in Resource.allCases {
                for slot in UInt8.min ... .max {
                    let giver = map.owner(of: slot, resource: resource)
                    let receiver = next.owner(of: slot, resource: resource)
                    guard giver != receiver else { continue }
                    changes.append(
                        Change(
                            lsn: head,
                            giver: WorkerName(resource: resource, index: giver),
                            receiver: WorkerName(resource: resource, index: receiver)
                        )
                    )
                }
            }
            gates.add(from: map, to: next, at: head)
            map = next
            join()
        }

        var workers: [WorkerName] { position.keys.sorted { $0.description < $1.description } }

        /// Sends a worker a part of the records it may receive, or all of them.
        mutating func send(_ worker: WorkerName, all: Bool) {
            guard let at = position[worker], at < head, !gates.blocks(worker, at: at) else {
                return
            }
            let limit = gates.limit(for: worker, at: at, head: head)
            position[worker] = all ? limit : LSN.random(in: at + 1...limit, using: &generator)
        }

        mutating func checkpoint(_ worker: WorkerName, all: Bool) {
            guard let at = position[worker], let before = checkpoint[worker] else { return }
            let reached = all ? at : LSN.random(in: before...at, using: &generator)
            checkpoint[worker] = reached
            gates.checkpointed(worker, through: reached)
        }

        /// A change that a worker has read past although the giver's state is not durable.
        var violation: Change? {
            changes.first { change in
                (position[change.receiver] ?? 0) > change.lsn
                    && (checkpoint[change.giver] ?? 0) < change.lsn
            }
        }
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func nobodyReadsPastAGateTooEarlyAndAllGetThrough(
        seed: UInt64
    ) throws {
        var cluster = Cluster(seed: seed)
        // A worker that starts behind a change it takes part in has not read past it.
        for step in 0..<300 {
            let worker = try #require(cluster.workers.randomElement(using: &cluster.generator))
            switch Int.random(in: 0..<6, using: &cluster.generator) {
            case 0: cluster.log()
            case 1...3: cluster.send(worker, all: false)
            default: cluster.checkpoint(worker, all: false)
            }
            try #require(cluster.violation == nil, "seed \(seed), step \(step)")
        }
        // Each round opens at least one more gate.
        for _ in 0...Set(cluster.changes.map(\.lsn)).count {
            for worker in cluster.workers {
                cluster.send(worker, all: true)
                try #require(cluster.violation == nil, "seed \(seed), at the end")
                cluster.checkpoint(worker, all: true)
            }
            if cluster.gates.isEmpty, cluster.position.values.allSatisfy({ $0 == cluster.head }) {
                return
            }
        }
        Issue.record("seed \(seed): gates stay shut")
    }

    @Test func aMapThatStaysTheSameNeedsNoGate() {
        var gates = HandoverGates()
        let map = SlotMap(workers: [.cpu: 3])
        gates.add(from: map, to: map, at: 10)
        #expect(gates.isEmpty)
    }

    @Test func aGateConcernsOnlyWhoGainsSlots() {
        var gates = HandoverGates()
        let map = SlotMap(workers: [.cpu: 1])
        gates.add(from: map, to: map.rescaled(.cpu, to: 2), at: 10)
        let giver = WorkerName(resource: .cpu, index: 0)
        let receiver = WorkerName(resource: .cpu, index: 1)
        #expect(!gates.blocks(giver, at: 10) && gates.blocks(receiver, at: 10))
        #expect(!gates.blocks(receiver, at: 9) && gates.blocks(receiver, at: 11))
        #expect(gates.limit(for: receiver, at: 3, head: 90) == 10)
        #expect(gates.limit(for: giver, at: 3, head: 90) == 90)
        gates.checkpointed(giver, through: 9)
        #expect(gates.blocks(receiver, at: 10))
        gates.checkpointed(receiver, through: 10)
        #expect(gates.blocks(receiver, at: 10))
        gates.checkpointed(giver, through: 10)
        #expect(gates.isEmpty && !gates.blocks(receiver, at: 10))
    }
}
