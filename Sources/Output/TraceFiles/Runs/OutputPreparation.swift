import Compression
import SystemIO
import TraceModel

/// Writes one output of a window under its temporary name and syncs it, or finds that a rename is enough. Stacks,
/// anomalies and call trees have two files. A rename is enough if the only segment can become the output.
struct OutputPreparation {
    let merger: WindowMerger
    let names: OutputNames
    let window: UInt64
    let input: MergeInput

    func run() throws -> [MergeManifest.Output] {
        switch input.kind {
        case .json: try trace { names.json(host: input.host, part: $0) + suffix }
        case .csv: try table { names.csv(part: $0) + suffix }
        case .stacks: try stacks()
        case .anomalies: try anomalies()
        case .profile: try profile()
        }
    }

    // MARK: Traces and tables

    private var suffix: String { merger.compression?.suffix ?? "" }

    private func trace(_ target: @escaping (Int) -> String) throws -> [MergeManifest.Output] {
        var summary = JSONSegment.Summary(
            resource: names.resource,
            host: input.host,
            stem: names.stem,
            window: window,
            timeZoneName: merger.timeZoneName,
            baseTime: input.firstTs,
            extent: .whole(events: input.rows)
        )
        var header = RawBuffer(capacity: JSONSegment.headerBytes)
        JSONSegment.appendFinalHeader(summary, to: &header)
        if let only = onlyRun {
            // The run's own header may describe only a part of the window, if its worker was retired.
            return unsafe [try reuse(only, as: target(1), header: header.bytes)]
        }
        let runs = try reducedRuns()
        if let names = try namesWhereTooLarge(runs) {
            summary.extent = .part(1)
            return try parts(target, runs, summary, names)
        }
        let whole = try written(target(1)) { writer in
            unsafe writer.text.append(header.bytes)
            var isFirst = true
            let merge = try forEachRow(of: runs) { row in
                if !isFirst { unsafe writer.text.append(JSONSegment.separator) }
                isFirst = false
                unsafe writer.text.append(row.bytes)
                try writer.rowEnded()
            }
            // An output has at least one row, so a separator is due.
            try unsafe merge.forEachName { _, line in
                unsafe writer.text.append(JSONSegment.separator)
                unsafe writer.text.append(line)
                try writer.rowEnded()
            }
            try merge.verify()
            unsafe writer.text.append(JSONSegment.ending)
        }
        return [whole]
    }

    /// Returns the names of a trace that does not fit into one file; nil if it fits. The sizes of the runs decide in
    /// most cases. Otherwise the trace is measured, because each run has its own header and names.
    private func namesWhereTooLarge(_ runs: [MergeInput.Run]) throws -> PartNames? {
        guard !fitsOneFile else { return nil }
        let readers = try open(runs)
        let rowBytes = try readers.reduce(0) { try $0 + $1.seekNames() }
        let names = try PartNames(
            RunMerge(names: readers),
            bytesMax: TraceParts.shareMax(of: merger.budget)
        )
        let bytes =
            JSONSegment.headerBytes + rowBytes - JSONSegment.separatorBytes + names.bytes
            + JSONSegment.ending.utf8CodeUnitCount
        return bytes > merger.budget.finalFileBytesMax ? names : nil
    }

    private func parts(
        _ target: @escaping (Int) -> String,
        _ runs: [MergeInput.Run],
        _ summary: JSONSegment.Summary,
        _ names: PartNames
    ) throws -> [MergeManifest.Output] {
        let files = try OutputParts(merger, target: target)
        return try files.written {
            var parts = TraceParts(files, summary: summary, names: names, budget: merger.budget)
            try forEachRow(of: runs) { try parts.append($0) }.verify()
            try parts.end()
        }
    }

    private func table(_ target: @escaping (Int) -> String) throws -> [MergeManifest.Output] {
        switch merger.csvColumns {
        case .all:
            if let only = onlyRun { return unsafe [try reuse(only, as: target(1), header: nil)] }
            return try table(target, columns: nil)
        case .original:
            if let columns = OriginalColumns(of: names.resource) {
                return try table(target, columns: columns)
            }
            merger.advanceProgress(by: input.runs.reduce(0) { $0 + $1.bytes })
            return []
        }
    }

    /// Writes all rows, reduced to `columns` if these are given.
    private func table(
        _ target: @escaping (Int) -> String,
        columns: OriginalColumns?
    ) throws -> [MergeManifest.Output] {
        var reduced = RawBuffer()
        func shown(_ row: UnsafeRawBufferPointer) throws -> UnsafeRawBufferPointer {
            guard let columns else { return unsafe row }
            reduced.removeAll()
            guard unsafe columns.append(row, to: &reduced) else { throw miscounted() }
            return unsafe reduced.bytes
        }
        let first = try RunReader(
            merger.absolute(input.runs[0].path),
            kind: .csv,
            rank: 0,
            bufferBytes: 4_096
        )
        let header = try unsafe first.csvHeader.withUnsafeBytes { unsafe Array(try shown($0)) }
        let files = try OutputParts(merger, target: target)
        return try files.written {
            unsafe header.withUnsafeBytes { unsafe files.writer.text.append($0) }
            var hasRow = false
            try forEachRow(of: try reducedRuns()) { row in
                let bytes = try unsafe shown(row.bytes)
                if hasRow, !files.holds(bytes.count) {
                    try files.next()
                    unsafe header.withUnsafeBytes { unsafe files.writer.text.append($0) }
                }
                hasRow = true
                unsafe files.writer.text.append(bytes)
                try unsafe files.writer.rowEnded()
            }.verify()
        }
    }

    /// The run that can become the output by a rename.
    private var onlyRun: MergeInput.Run? {
        input.runs.count == 1 && merger.compression == nil && fitsOneFile ? input.runs[0] : nil
    }

    /// Whether the output certainly fits into one file: it is not larger than its runs together.
    private var fitsOneFile: Bool {
        input.runs.reduce(0) { $0 + $1.bytes } <= merger.budget.finalFileBytesMax
    }

    private func reuse(
        _ run: MergeInput.Run,
        as target: String,
        header: UnsafeRawBufferPointer?
    ) throws -> MergeManifest.Output {
        let path = merger.absolute(run.path)
        guard try RunCheck(merger, input.kind).isWhole(run) else { throw miscounted() }
        let file = try File(path, .readWrite)
        if let header = unsafe header { try unsafe file.write(header, at: 0) }
        if !merger.syncsTogether { try file.syncData() }
        merger.advanceProgress(by: run.bytes)
        return MergeManifest.Output(source: run.path, target: target, bytes: Int(run.bytes))
    }

    // MARK: Pairs

    private func stacks() throws -> [MergeManifest.Output] {
        let target = names.stacks(host: input.host)
        let foldedTarget = names.folded(host: input.host)
        let folded = FoldedStacks(
            spillPrefix: merger.absolute(OutputNames.temporary(foldedTarget)) + ".",
            bytesMax: Limits.foldedStacksBytesMax,
            bufferBytes: merger.budget.mergeBufferBytes
        )
        let lines = try written(target) { writer in
            unsafe appendStackHead(to: &writer.text)
            try forEachRow(of: try reducedRuns()) { row in
                guard let (process, text) = unsafe SegmentRecord.parts(of: row.payload) else {
                    throw miscounted()
                }
                let frames = unsafe text.split(separator: UInt8(ascii: "\n")).map {
                    unsafe UnsafeRawBufferPointer(rebasing: $0)
                }
                unsafe appendStack(row, frames, to: &writer.text)
                try writer.rowEnded()
                try unsafe folded.add(process: process, frames: frames)
            }.verify()
        }
        return [lines, try written(foldedTarget) { try folded.write(to: $0) }]
    }

    private func appendStackHead(to text: inout RawBuffer) {
        text.append("FORMAT|1.0\nMETADATA|host=")
        var host = input.host
        host.withUTF8 { unsafe text.append(stackFrame: UnsafeRawBufferPointer($0)) }
        text.append("|base_time_ns=\(input.firstTs)|events=\(input.rows)|window=\(window)")
        text.append("|server=trace-processor \(BuildInfo.version)\n")
        text.append("HEADER|timestamp|pid|frame_count|[frames...]\n")
    }

    private func appendStack(
        _ row: RunRow,
        _ frames: [UnsafeRawBufferPointer],
        to text: inout RawBuffer
    ) {
        text.append("EVENT|")
        text.appendDecimal(row.ts &- input.firstTs)
        text.append(byte: UInt8(ascii: "|"))
        text.appendDecimal(row.pid)
        text.append(byte: UInt8(ascii: "|"))
        unsafe text.appendDecimal(UInt64(frames.count))
        for index in unsafe frames.indices {
            text.append(byte: UInt8(ascii: "|"))
            unsafe text.append(stackFrame: frames[index])
        }
        text.append(byte: UInt8(ascii: "\n"))
    }

    private func anomalies() throws -> [MergeManifest.Output] {
        var lines: MergeManifest.Output?
        let table = try written(names.anomaliesCSV) { table in
            unsafe table.text.append(
                "rule,resource,host,pid,process,ts,value,baseline,score,severity,message\r\n"
            )
            lines = try written(names.anomaliesJSON) { writer in
                try forEachRow(of: try reducedRuns()) { row in
                    guard let (json, csv) = unsafe SegmentRecord.parts(of: row.payload) else {
                        throw miscounted()
                    }
                    unsafe writer.text.append(json)
                    unsafe table.text.append(csv)
                    try writer.rowEnded()
                    try table.rowEnded()
                }.verify()
            }
        }
        return [lines, table].compactMap { $0 }
    }

    private func profile() throws -> [MergeManifest.Output] {
        let foldedTarget = names.foldedProfile
        let folded = FoldedStacks(
            spillPrefix: merger.absolute(OutputNames.temporary(foldedTarget)) + ".",
            bytesMax: Limits.foldedStacksBytesMax,
            bufferBytes: merger.budget.mergeBufferBytes
        )
        let profile = try written(names.profile) { writer in
            let pprof = unsafe PprofWriter {
                unsafe writer.text.append($0)
                try writer.rowEnded()
            }
            var trees = ProfileMerge(pprof, folded, treeCount: input.rows)
            trees.begin(span: merger.span)
            try forEachRow(of: try reducedRuns()) { row in
                guard let (process, bytes) = unsafe SegmentRecord.parts(of: row.payload),
                    let tree = unsafe CallTreeRecord(bytes)
                else { throw miscounted() }
                let owner = ProfileMerge.Owner(
                    host: unsafe Array(row.host),
                    pid: row.pid,
                    process: unsafe Array(process)
                )
                try trees.add(tree, of: owner)
            }.verify()
            try pprof.finish()
        }
        return [profile, try written(foldedTarget) { try folded.write(to: $0) }]
    }

    // MARK: Rows in order

    /// The runs, reduced to few enough to be merged in one pass.
    private func reducedRuns() throws -> [MergeInput.Run] {
        try RunReduction(merger: merger, input: input, window: window).reduced(
            resource: names.resource
        )
    }

    private func open(_ runs: [MergeInput.Run]) throws -> [RunReader] {
        try runs.enumerated().map { rank, run in
            try RunReader(
                merger.absolute(run.path),
                kind: input.kind,
                rank: rank,
                bufferBytes: merger.budget.mergeBufferBytes,
                run: run
            )
        }
    }

    /// Calls `body` with every row of all runs in order. The returned merge still holds the names.
    private func forEachRow(
        of runs: [MergeInput.Run],
        _ body: (RunRow) throws -> Void
    ) throws -> RunMerge {
        var merge = try RunMerge(try open(runs))
        // The readers keep the files open, so intermediate runs can be removed now: a crash leaves none behind.
        for run in runs where run.path.hasPrefix(MergeManifest.directory) {
            try FileSystem.remove(merger.absolute(run.path))
        }
        let bytesPerRow = input.runs.reduce(0) { $0 + $1.bytes } / max(1, input.rows)
        var rows: UInt64 = 0
        while let reader = merge.current {
            try unsafe body(reader.row)
            rows += 1
            if rows % 65_536 == 0 { merger.advanceProgress(by: 65_536 * bytesPerRow) }
            try merge.advance(reader)
        }
        merger.advanceProgress(by: rows % 65_536 * bytesPerRow)
        guard rows == input.rows else { throw miscounted() }
        return merge
    }

    private func written(
        _ target: String,
        _ body: (MergeWriter) throws -> Void
    ) throws -> MergeManifest.Output {
        let writer = try merger.writer(of: target)
        do {
            try body(writer)
            try writer.finish()
        } catch {
            try? FileSystem.remove(writer.path)
            throw error
        }
        return MergeManifest.Output(
            source: OutputNames.temporary(target),
            target: target,
            bytes: writer.count
        )
    }

    private func miscounted() -> TraceError {
        TraceError(
            .corrupt,
            "segments differ from what their workers announced: \(input.runs.map(\.path))"
        )
    }
}
