/// The unit of sharding: every process (host, process id) belongs to one of 256 slots of a resource.
package enum Slot {
    package static let count = 256

    /// Returns the slot of a process. The mapping must never change, as data directories depend on it.
    @inlinable package static func of(hostHash: UInt64, processID: UInt32) -> UInt8 {
        // Finalizer of SplitMix64 (public domain, Vigna): every input bit affects the top byte.
        var x = hostHash ^ (UInt64(processID) &* 0x9E37_79B9_7F4A_7C15)
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        x ^= x >> 31
        return UInt8(truncatingIfNeeded: x >> 56)
    }

    /// Returns the FNV-1a hash of a host name. Computed once per batch.
    @inlinable package static func hash(host: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in host.indices {
            hash = unsafe (hash ^ UInt64(host[index])) &* 0x0000_0100_0000_01B3
        }
        return hash
    }
}

/// Slots that a worker has owned since the same barrier.
package struct SlotHolding: Sendable, Equatable {
    package let worker: WorkerName
    /// Ascending and not adjacent.
    package let slots: [ClosedRange<UInt8>]
    /// End of that barrier, or the start of the known log.
    package let since: LSN

    package init(worker: WorkerName, slots: [ClosedRange<UInt8>], since: LSN) {
        self.worker = worker
        self.slots = slots
        self.since = since
    }

    /// Groups ascending slots into ranges.
    package static func ranges(of slots: some Sequence<UInt8>) -> [ClosedRange<UInt8>] {
        var ranges: [ClosedRange<UInt8>] = []
        for slot in slots {
            if let last = ranges.last, Int(last.upperBound) + 1 == Int(slot) {
                ranges[ranges.count - 1] = last.lowerBound...slot
            } else {
                ranges.append(slot...slot)
            }
        }
        return ranges
    }

    package var count: Int { slots.reduce(0) { $0 + $1.count } }

    /// The ranges as text, `0-63,70`.
    package var slotText: String {
        slots.map { range in
            range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
        }
        .joined(separator: ",")
    }

    /// Parses `0-63,70`; nil if the text is invalid.
    package init?(worker: WorkerName, slotText: String, since: LSN) {
        var slots: [ClosedRange<UInt8>] = []
        for part in slotText.split(separator: ",", omittingEmptySubsequences: false) {
            let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map {
                UInt8($0)
            }
            guard let first = bounds.first, let low = first, let last = bounds.last,
                let high = last, bounds.count <= 2,
                low <= high
            else { return nil }
            slots.append(low...high)
        }
        self.init(worker: worker, slots: slots, since: since)
    }
}

/// The owner of each slot of each resource: 256 worker indexes per resource.
package struct SlotMap: Sendable, Equatable {
    /// `owners[resource][slot]` is a worker's index.
    private var owners: [[UInt16]]
    private var workers: [Int]

    /// Distributes the slots round-robin, for a new cluster with `workers` workers per resource.
    package init(workers: [Resource: Int]) {
        self.workers = Resource.allCases.map { workers[$0] ?? 1 }
        owners = self.workers.map { count in
            precondition(count >= 1 && count <= Limits.workersPerResourceMax)
            return (0..<Slot.count).map { UInt16($0 % count) }
        }
    }

    /// Restores a saved map; nil if its shape is invalid.
    package init?(owners: [[UInt16]], workers: [Int]) {
        guard owners.count == Resource.count, workers.count == Resource.count else { return nil }
        for (row, count) in zip(owners, workers) {
            guard row.count == Slot.count, count >= 1, count <= Limits.workersPerResourceMax,
                row.allSatisfy({ Int($0) < count })
            else { return nil }
        }
        self.owners = owners
        self.workers = workers
    }

    /// Returns the index of the worker that owns a slot.
    package func owner(of slot: UInt8, resource: Resource) -> Int {
        Int(owners[Int(resource.rawValue)][Int(slot)])
    }

    /// Returns the owner of each slot of a resource.
    package func owners(of resource: Resource) -> [UInt16] { owners[Int(resource.rawValue)] }

    /// Returns the number of workers of a resource.
    package func workerCount(of resource: Resource) -> Int { workers[Int(resource.rawValue)] }

    /// Returns the slots of one worker, ascending.
    package func slots(of worker: WorkerName) -> [UInt8] {
        let row = owners[Int(worker.resource.rawValue)]
        return (0..<Slot.count).filter { Int(row[$0]) == worker.index }.map { UInt8($0) }
    }

    /// All workers, by resource and index.
    package var allWorkers: [WorkerName] {
        Resource.allCases.flatMap { resource in
            (0..<workerCount(of: resource)).map { WorkerName(resource: resource, index: $0) }
        }
    }

    /// Returns the map for another number of workers, moving as few slots as possible: only those of removed workers
    /// and those above the new fair share change owner.
    package func rescaled(_ resource: Resource, to count: Int) -> SlotMap {
        precondition(count >= 1 && count <= Limits.workersPerResourceMax)
        var copy = self
        var row = owners[Int(resource.rawValue)]
        var held = [Int](repeating: 0, count: max(count, workerCount(of: resource)))
        for owner in row { held[Int(owner)] += 1 }
        func fairShare(_ worker: Int) -> Int {
            worker < count ? Slot.count / count + (worker < Slot.count % count ? 1 : 0) : 0
        }
        var receiver = 0
        for slot in 0..<Slot.count {
            let owner = Int(row[slot])
            guard held[owner] > fairShare(owner) else { continue }
            while held[receiver] >= fairShare(receiver) { receiver += 1 }
            row[slot] = UInt16(receiver)
            held[owner] -= 1
            held[receiver] += 1
        }
        copy.owners[Int(resource.rawValue)] = row
        copy.workers[Int(resource.rawValue)] = count
        return copy
    }
}
