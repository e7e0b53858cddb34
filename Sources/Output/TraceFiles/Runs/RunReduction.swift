import SystemIO
import TraceModel

/// Where an output has more runs than are merged at once: merges neighbours into longer runs until few enough are
/// left. Neighbours only, so that equal keys keep their order.
struct RunReduction {
    let merger: WindowMerger
    let input: MergeInput
    let window: UInt64

    /// The runs to merge at last. Blocks.
    func reduced(resource: Resource) throws -> [MergeInput.Run] {
        var runs = input.runs
        var made = 0
        let together = merger.budget.mergeRunsMax
        while runs.count > together {
            var longer: [MergeInput.Run] = []
            for start in stride(from: 0, to: runs.count, by: together) {
                let group = Array(runs[start..<min(start + together, runs.count)])
                let name = "\(MergeManifest.path(resource, window: window)).part\(made)"
                made += 1
                longer.append(try merged(group, into: name))
                // Segments stay until the manifest is there; what a pass made can go.
                for run in group where run.path.hasPrefix(MergeManifest.directory) {
                    try FileSystem.remove(merger.absolute(run.path))
                }
            }
            runs = longer
        }
        return runs
    }

    private func merged(_ group: [MergeInput.Run], into path: String) throws -> MergeInput.Run {
        let bufferBytes = merger.budget.mergeBufferBytes
        let writer = try MergeWriter(merger.absolute(path), bufferBytes: bufferBytes)
        var merge = try RunMerge(
            group.enumerated().map { rank, run in
                try RunReader(
                    merger.absolute(run.path), kind: input.kind, rank: rank, bufferBytes: bufferBytes, run: run)
            })
        switch input.kind {
        case .json: JSONSegment.appendOpenHeader(to: &writer.text)
        case .csv: merge.readers[0].csvHeader.withUnsafeBytes { writer.text.append($0) }
        case .stacks, .anomalies: break
        }
        var rows: UInt64 = 0
        while let reader = merge.current {
            writer.text.append(reader.row.bytes)
            if input.kind == .json { writer.text.append(JSONSegment.separator) }
            try writer.rowEnded()
            rows += 1
            try merge.advance(reader)
        }
        if input.kind == .json {
            try merge.forEachName { _, line in
                writer.text.append(line)
                writer.text.append(JSONSegment.separator)
                try writer.rowEnded()
            }
        }
        try merge.verify()
        try writer.finish()
        return MergeInput.Run(path: path, rows: rows, bytes: UInt64(writer.count), firstTs: group[0].firstTs)
    }
}

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
