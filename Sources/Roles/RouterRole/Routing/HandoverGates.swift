import TraceModel

/// Prevents the new owner of a slot from reading on until the old owner's checkpoint contains the slot's state: one
/// gate for each change of the slot map. A pure state machine.
struct HandoverGates {
    /// A change of the slot map that is not complete.
    private struct Gate {
        /// The LSN from which the new map is in force.
        let lsn: LSN
        /// The workers that gain slots, each with the workers that lose them.
        var sources: [WorkerName: Set<WorkerName>]
    }

    private var gates: [Gate] = []

    var isEmpty: Bool { gates.isEmpty }

    /// Adds a gate for a new map that is in force from `lsn` on.
    mutating func add(from old: SlotMap, to new: SlotMap, at lsn: LSN) {
        var sources: [WorkerName: Set<WorkerName>] = [:]
        for resource in Resource.allCases {
            for (before, after) in zip(old.owners(of: resource), new.owners(of: resource))
            where before != after {
                let receiver = WorkerName(resource: resource, index: Int(after))
                let giver = WorkerName(resource: resource, index: Int(before))
                sources[receiver, default: []].insert(giver)
            }
        }
        if !sources.isEmpty { gates.append(Gate(lsn: lsn, sources: sources)) }
    }

    /// Returns whether the worker must not be sent records from `lsn` on.
    func blocks(_ worker: WorkerName, at lsn: LSN) -> Bool {
        gates.contains { $0.lsn <= lsn && $0.sources[worker] != nil }
    }

    /// Returns the LSN up to which a worker at `lsn` may read.
    func limit(for worker: WorkerName, at lsn: LSN, head: LSN) -> LSN {
        gates.filter { $0.lsn > lsn && $0.sources[worker] != nil }.map(\.lsn).min() ?? head
    }

    /// Notes that a worker's checkpoint contains everything below `lsn`.
    mutating func checkpointed(_ worker: WorkerName, through lsn: LSN) {
        for index in gates.indices where gates[index].lsn <= lsn {
            gates[index].sources = gates[index].sources.compactMapValues { givers in
                let rest = givers.subtracting([worker])
                return rest.isEmpty ? nil : rest
            }
        }
        gates.removeAll { $0.sources.isEmpty }
    }
}
