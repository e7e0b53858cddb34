import TraceModel

/// Rows of several sorted runs in one order: a binary heap of readers. O(log runs) a row.
struct RunMerge {
    /// The row that a reader stands at, as far as it decides in most cases.
    private struct Head {
        let ts: EpochNanoseconds
        let pid: UInt32
        let rank: Int

        init(_ reader: RunReader) {
            ts = reader.row.ts
            pid = reader.row.pid
            rank = reader.rank
        }
    }

    private var heap: [Head] = []
    /// All readers, by rank: their names are read once the rows are through.
    let readers: [RunReader]

    init(_ readers: [RunReader]) throws {
        precondition(readers.indices.allSatisfy { readers[$0].rank == $0 })
        self.readers = readers
        for reader in readers where try reader.next() {
            heap.append(Head(reader))
            siftUp(heap.count - 1)
        }
    }

    /// Of the names alone: readers that stand at theirs.
    init(names readers: [RunReader]) { self.readers = readers }

    /// The reader that stands at the next row; nil after the last.
    var current: RunReader? { heap.first.map { readers[$0.rank] } }

    /// Moves on from the row of `reader`, the current one, whose bytes are gone then.
    mutating func advance(_ reader: RunReader) throws {
        if try reader.next() {
            heap[0] = Head(reader)
        } else {
            heap[0] = heap[heap.count - 1]
            heap.removeLast()
        }
        siftDown()
    }

    /// Calls `body` with each name's line, by process and thread, once each: the last run's where they differ.
    func forEachName(_ body: (NameTable.Key, UnsafeRawBufferPointer) throws -> Void) throws {
        for reader in readers { _ = try reader.nextName() }
        while true {
            var best: RunReader?
            for reader in readers {
                guard let key = reader.name?.key else { continue }
                guard let least = best?.name?.key else {
                    best = reader
                    continue
                }
                if !least.precedes(key) { best = reader }
            }
            guard let name = best?.name else { return }
            try body(name.key, name.line)
            for reader in readers where reader.name?.key == name.key { _ = try reader.nextName() }
        }
    }

    /// Once all rows and names are through, or no names are wanted.
    func verify() throws { for reader in readers { try reader.verify() } }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        let (left, right) = (heap[left], heap[right])
        if left.ts != right.ts { return left.ts < right.ts }
        if left.pid != right.pid { return left.pid < right.pid }
        return readers[left.rank].row.precedes(readers[right.rank].row) ?? (left.rank < right.rank)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0, case let parent = (child - 1) / 2, precedes(child, parent) {
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown() {
        var parent = 0
        while true {
            var least = 2 * parent + 1
            guard least < heap.count else { return }
            if least + 1 < heap.count, precedes(least + 1, least) { least += 1 }
            guard precedes(least, parent) else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
