import SystemIO
import TraceModel

/// Merges neighbouring runs into longer ones until few enough are left for one merge. Only neighbours are merged, so
/// that rows with equal keys keep their order.
struct RunReduction {
    let merger: WindowMerger
    let input: MergeInput
    let window: UInt64

    /// Returns the runs for the final merge. Blocks.
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
                // Segments stay until the manifest is published; intermediate runs can be removed.
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
                    merger.absolute(run.path),
                    kind: input.kind,
                    rank: rank,
                    bufferBytes: bufferBytes,
                    run: run
                )
            }
        )
        switch input.kind {
        case .json: unsafe JSONSegment.appendOpenHeader(to: &writer.text)
        case .csv:
            unsafe merge.readers[0].csvHeader.withUnsafeBytes { unsafe writer.text.append($0) }
        case .stacks, .anomalies, .profile: break
        }
        var rows: UInt64 = 0
        while let reader = merge.current {
            unsafe writer.text.append(reader.row.bytes)
            if input.kind == .json { unsafe writer.text.append(JSONSegment.separator) }
            try writer.rowEnded()
            rows += 1
            try merge.advance(reader)
        }
        if input.kind == .json {
            try unsafe merge.forEachName { _, line in
                unsafe writer.text.append(line)
                unsafe writer.text.append(JSONSegment.separator)
                try writer.rowEnded()
            }
        }
        try merge.verify()
        try writer.finish()
        return MergeInput.Run(
            path: path,
            rows: rows,
            bytes: UInt64(writer.count),
            firstTs: group[0].firstTs
        )
    }
}

/// Merges several sorted runs: a binary heap of readers. O(log runs) per row.
struct RunMerge {
    /// The part of a reader's current row that usually decides the order.
    private struct Head {
        let ts: EpochNanoseconds
        let pid: UInt32
        let rank: Int

        init(_ reader: RunReader) {
            ts = unsafe reader.row.ts
            pid = unsafe reader.row.pid
            rank = reader.rank
        }
    }

    private var heap: [Head] = []
    /// All readers by rank, including finished ones: their names are read after the rows.
    let readers: [RunReader]

    init(_ readers: [RunReader]) throws {
        precondition(readers.indices.allSatisfy { readers[$0].rank == $0 })
        self.readers = readers
        for reader in readers where try reader.next() {
            heap.append(Head(reader))
            siftUp(heap.count - 1)
        }
    }

    /// Merges names only, for readers that have been moved to theirs.
    init(names readers: [RunReader]) { self.readers = readers }

    /// The reader of the next row; nil after the last one.
    var current: RunReader? { heap.first.map { readers[$0.rank] } }

    /// Moves on from the current row, that of `reader`. Its bytes become invalid.
    mutating func advance(_ reader: RunReader) throws {
        if try reader.next() {
            heap[0] = Head(reader)
        } else {
            heap[0] = heap[heap.count - 1]
            heap.removeLast()
        }
        siftDown()
    }

    /// Calls `body` once per name, ordered by process and thread. If runs differ, the last run's name wins.
    func forEachName(_ body: (NameTable.Key, UnsafeRawBufferPointer) throws -> Void) throws {
        for reader in readers { _ = try reader.nextName() }
        while true {
            var best: RunReader?
            for reader in readers {
                guard let key = unsafe reader.name?.key else { continue }
                guard let least = unsafe best?.name?.key else {
                    best = reader
                    continue
                }
                if !least.precedes(key) { best = reader }
            }
            guard let name = unsafe best?.name else { return }
            try unsafe body(name.key, name.line)
            for reader in readers where unsafe reader.name?.key == name.key {
                _ = try reader.nextName()
            }
        }
    }

    /// Verifies all runs, after the rows and, if they are wanted, the names were read.
    func verify() throws { for reader in readers { try reader.verify() } }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        let (left, right) = (heap[left], heap[right])
        if left.ts != right.ts { return left.ts < right.ts }
        if left.pid != right.pid { return left.pid < right.pid }
        return unsafe readers[left.rank].row.precedes(readers[right.rank].row)
            ?? (left.rank < right.rank)
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
