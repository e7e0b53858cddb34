/// Rows of several sorted runs in one order: a binary heap of readers. O(log runs) a row.
struct RunMerge {
    private var heap: [RunReader] = []
    /// All readers, by rank: their names are read once the rows are through.
    let readers: [RunReader]

    init(_ readers: [RunReader]) throws {
        self.readers = readers
        for reader in readers where try reader.next() {
            heap.append(reader)
            siftUp(heap.count - 1)
        }
    }

    /// Of the names alone: readers that have passed over their rows.
    init(names readers: [RunReader]) { self.readers = readers }

    /// The reader that stands at the next row; nil after the last.
    var current: RunReader? { heap.first }

    /// Moves on; the current row's bytes are gone then.
    mutating func advance() throws {
        guard let top = heap.first else { return }
        if try !top.next() {
            heap.swapAt(0, heap.count - 1)
            heap.removeLast()
        }
        siftDown()
    }

    /// Calls `body` with each name's line, by process and thread, once each: the last run's where they differ.
    func forEachName(
        _ body: (NameTable.Key, UnsafeRawBufferPointer) throws -> Void
    ) throws {
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

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        heap[left].row.precedes(heap[right].row) ?? (heap[left].rank < heap[right].rank)
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
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
