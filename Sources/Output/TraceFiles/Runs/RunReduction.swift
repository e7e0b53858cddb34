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
