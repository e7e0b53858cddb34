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

    package func owner(of slot: UInt8, resource: Resource) -> Int {
        Int(owners[Int(resource.rawValue)][Int(slot)])
    }

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
