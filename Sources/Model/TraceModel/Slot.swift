/// The unit of sharding: every process (host, process id) falls into one of 256 slots of a resource.
package enum Slot {
    package static let count = 256

    /// The slot of a process. Stable for ever: data directories depend on it.
    @inlinable package static func of(hostHash: UInt64, processID: UInt32) -> UInt8 {
        // Finalizer of SplitMix64 (public domain, Vigna): every input bit reaches the top byte.
        var x = hostHash ^ (UInt64(processID) &* 0x9E37_79B9_7F4A_7C15)
        x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
        x ^= x >> 31
        return UInt8(truncatingIfNeeded: x >> 56)
    }

    /// FNV-1a of a host's name, once a batch.
    @inlinable package static func hash(host: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in host { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return hash
    }
}

/// Slots that a worker has held since one and the same barrier.
package struct SlotHolding: Sendable, Equatable {
    package let worker: WorkerName
    /// Ascending, not adjoining.
    package let slots: [ClosedRange<UInt8>]
    /// The end of that barrier, or where what is known of the log begins.
    package let since: LSN

    package init(worker: WorkerName, slots: [ClosedRange<UInt8>], since: LSN) {
        self.worker = worker
        self.slots = slots
        self.since = since
    }

    /// Groups slots, ascending, into ranges.
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

    /// `0-63,70`.
    package var slotText: String {
        slots.map { range in range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)" }
            .joined(separator: ",")
    }

    /// Reads `0-63,70`; nil where the text is no such list.
    package init?(worker: WorkerName, slotText: String, since: LSN) {
        var slots: [ClosedRange<UInt8>] = []
        for part in slotText.split(separator: ",", omittingEmptySubsequences: false) {
            let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt8($0) }
            guard let first = bounds.first, let low = first, let last = bounds.last, let high = last, bounds.count <= 2,
                low <= high
            else { return nil }
            slots.append(low...high)
        }
        self.init(worker: worker, slots: slots, since: since)
    }
}

/// Who owns each slot of each resource: 256 worker indexes a resource.
package struct SlotMap: Sendable, Equatable {
    /// `owners[resource][slot]` is the index of the worker.
    private var owners: [[UInt16]]
    private var workers: [Int]

    /// Slots dealt out round, for a cluster that begins with `workers` workers a resource.
    package init(workers: [Resource: Int]) {
        self.workers = Resource.allCases.map { workers[$0] ?? 1 }
        owners = self.workers.map { count in
            precondition(count >= 1 && count <= Limits.workersPerResourceMax)
            return (0..<Slot.count).map { UInt16($0 % count) }
        }
    }

    /// A map read back; nil where its shape is wrong.
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

    package func owner(of slot: UInt8, resource: Resource) -> Int { Int(owners[Int(resource.rawValue)][Int(slot)]) }

    package func owners(of resource: Resource) -> [UInt16] { owners[Int(resource.rawValue)] }

    package func workerCount(of resource: Resource) -> Int { workers[Int(resource.rawValue)] }

    /// The slots of one worker, ascending.
    package func slots(of worker: WorkerName) -> [UInt8] {
        let row = owners[Int(worker.resource.rawValue)]
        return (0..<Slot.count).filter { Int(row[$0]) == worker.index }.map { UInt8($0) }
    }

    /// Every worker there is, by resource and index.
    package var allWorkers: [WorkerName] {
        Resource.allCases.flatMap { resource in
            (0..<workerCount(of: resource)).map { WorkerName(resource: resource, index: $0) }
        }
    }

    /// The map for another number of workers that moves as few slots as it can: only what a retired
    /// worker held and what stands above the new fair share changes hands.
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
