package import Compression
import SystemIO
package import TraceModel

/// Makes the final files of a closed window out of the segments of all its workers, and removes these. Blocks for
/// as long as it takes; one merge at a time. Memory: `mergeBufferBytes` for each of up to `mergeRunsMax` runs, two outputs,
/// and `Limits.foldedStacksBytesMax`, or half of `finalFileBytesMax` where a trace is larger than that.
///
/// A trace of one host or a table beyond `finalFileBytesMax` becomes several files (`TraceParts`, `OutputParts`). Where it
/// is cut depends on its rows alone.
///
/// Segments always have all columns. With `CSVColumns.original` the merge reduces a table to the original's columns
/// when it writes the final files, so those of a window are all of one form, whenever the setting is changed.
///
/// A document (the window's summary) is published together with the files.
///
/// A run that is not what its worker announced (another checksum, size or number of rows), or is gone, is reported, and
/// nothing is merged: it may be made again. Where that is not possible it is moved to `damaged/`, and the window is published
/// without it: the manifest says what was lost.
///
/// # Crash
/// Outputs are written under temporary names. When all are complete and synced, the manifest
/// `output/.merge/<resource>_<window>` is published, which names each output with its source and size. Then the outputs
/// are renamed, the directories are synced, the manifest is marked as done, and the segments are removed. Without a
/// manifest a repeated merge starts from scratch. With one it needs nothing else: a missing source has been renamed,
/// and if its target is missing too, a reader has already taken it. A rename replaces no file: if the target exists
/// together with the source, it is of another origin, and the output gets another name beside it. If a single run is
/// the whole output, the segment itself is the source; it is copied first if the output directory is on another file
/// system. `FinalWindowRecords` keeps the manifest afterwards.
package final class WindowMerger {
    let root: String
    let localHostName: String
    let timeZoneName: String
    let compression: FileCompression?
    let csvColumns: CSVColumns
    let budget: FileBudget
    /// Called after each step. A test throws here to simulate a crash.
    var onStep: ((MergeStep) throws -> Void)?
    var progress = MergeProgress(bytesTotal: 0)
    var onProgress: (MergeProgress) -> Void = { _ in }
    /// The times of the first and last event of the window that is merged, where they are known.
    private(set) var span: ClosedRange<EpochNanoseconds>?
    /// Of the merge under way.
    private var inputs: [MergeInput] = []
    /// What is done about its damaged runs.
    private var damage = DamageHandling.setAside
    /// Whether outputs are synced together once all are complete.
    private(set) var syncsTogether = false

    /// Prepares merges in the data directory `root`; empty if it is the current directory.
    /// - Parameter localHostName: The name in the files of call stacks of this machine.
    /// - Parameter compression: The compression of traces and tables, whose names get its suffix; nil for none.
    /// - Parameter csvColumns: The columns of tables. With `.original`, a resource without a table in the original
    ///   server gets none.
    package init(
        localHostName: String,
        timeZoneName: String,
        root: String = "",
        compression: FileCompression? = nil,
        csvColumns: CSVColumns = .all,
        budget: FileBudget = FileBudget()
    ) {
        self.root = root
        self.localHostName = localHostName
        self.timeZoneName = timeZoneName
        self.compression = compression
        self.csvColumns = csvColumns
        self.budget = budget
    }

    /// Merges one window of one resource and returns the final files' paths, relative to the data directory.
    /// Earlier windows whose barriers some workers did not have are merged with it. Merging a window again, also
    /// after a crash in the middle, has the same result.
    /// - Parameters:
    ///   - replaced: Segments that others in `files` replace; they are removed together.
    ///   - onLoss: Called for each damaged segment that was set aside, after the files are published, in a repeated
    ///     merge too.
    /// - Throws: `TraceError`, `SystemError`, or, if damage is to be reported, `DamagedSegments`. Either all
    ///   segments or the manifest still exist then.
    package func merge(
        resource: Resource,
        window: UInt64,
        stem: String,
        files: [ClosedFile],
        replaced: [String] = [],
        document: WindowDocument? = nil,
        damage: DamageHandling = .setAside,
        onProgress: @escaping (MergeProgress) -> Void = { _ in },
        onLoss: (SegmentLoss) -> Void = { _ in }
    ) throws -> [String] {
        precondition(stem.utf8.count <= 64 && stem.utf8.allSatisfy(SafeName.isSafe))
        precondition(files.allSatisfy { $0.worker.resource == resource && $0.window <= window })
        self.onProgress = onProgress
        self.damage = damage
        span = document?.span
        let path = MergeManifest.path(resource, window: window)
        var manifest: MergeManifest
        var isRedo = false
        let segments = files.flatMap { $0.runs.map { absolute($0.path) } }
        if let begun = try MergeManifest.begun(at: absolute(path), segments: segments) {
            manifest = begun
            isRedo = true
        } else {
            guard !files.isEmpty else { return [] }
            manifest = try prepare(
                resource: resource,
                window: window,
                stem: stem,
                files: files,
                document: document
            )
            manifest.segments += replaced
            try manifest.publish(to: absolute(path))
            try onStep?(.manifestSynced)
        }
        if !manifest.isDone {
            try rename(&manifest, at: absolute(path), isRedo: isRedo)
            manifest.isDone = true
            try manifest.publish(to: absolute(path))
            try onStep?(.markedDone)
        }
        for segment in manifest.segments where FileSystem.exists(absolute(segment)) {
            try FileSystem.remove(absolute(segment))
            try onStep?(.removed(segment: segment))
        }
        manifest.losses.forEach(onLoss)
        return manifest.outputs.map(\.target)
    }

    // MARK: Steps

    private func prepare(
        resource: Resource,
        window: UInt64,
        stem: String,
        files: [ClosedFile],
        document: WindowDocument?
    ) throws -> MergeManifest {
        for directory in OutputKind.allCases.map({ "\(ClusterPaths.output)/\($0.directory)" }) + [
            MergeManifest.directory
        ] { try FileSystem.createDirectory(absolute(directory)) }
        progress = MergeProgress(bytesTotal: files.reduce(0) { $0 + $1.bytes })
        let names = OutputNames(
            resource: resource,
            stem: stem,
            files: files,
            localHostName: localHostName
        )
        var manifest = MergeManifest()
        manifest.segments = files.flatMap { $0.runs.map(\.path) }
        inputs = MergeInput.group(files)
        let fileSystem =
            inputs.count > Limits.filesSyncedSinglyMax
            ? try FileSystemSync(ofDirectories: writtenDirectories.map(absolute)) : nil
        syncsTogether = fileSystem != nil
        for input in inputs {
            do { try prepare(input, names, window: window, into: &manifest) } catch {
                removeTemporaries(manifest.outputs)
                throw error
            }
            try onStep?(.prepared(kind: input.kind, host: input.host))
        }
        if let document {
            do { manifest.outputs.append(try write(document)) } catch {
                removeTemporaries(manifest.outputs)
                throw error
            }
        }
        // A segment that becomes an output must not be removed under its old name.
        let renamed = Set(manifest.outputs.map(\.source))
        manifest.segments.removeAll { renamed.contains($0) }
        try fileSystem?.sync()
        // The temporary files must be durable before the manifest that names them.
        try syncDirectories(of: manifest)
        try FileSystem.syncDirectory(absolute(ClusterPaths.output))
        return manifest
    }

    /// Produces the outputs of one input, again without the damaged runs as long as there are any.
    private func prepare(
        _ whole: MergeInput,
        _ names: OutputNames,
        window: UInt64,
        into manifest: inout MergeManifest
    ) throws {
        var input = whole
        while !input.runs.isEmpty {
            do {
                let preparation = OutputPreparation(
                    merger: self,
                    names: names,
                    window: window,
                    input: input
                )
                manifest.outputs += try preparation.run()
                return
            } catch let error where RunCheck.isDamage(error) {
                let check = RunCheck(self, input.kind)
                let damaged = try input.runs.filter { try !check.isWhole($0) }
                // The runs are intact, so the error has another cause.
                guard !damaged.isEmpty else { throw error }
                if damage == .report { throw try damagedSegments() }
                manifest.losses += try damaged.map { try check.setAside($0) }
                let paths = Set(damaged.map(\.path))
                input.runs.removeAll { paths.contains($0.path) }
            }
        }
    }

    /// Finds all damaged segments, so that they are rebuilt together. Reads all segments.
    private func damagedSegments() throws -> DamagedSegments {
        var paths: [String] = []
        for input in inputs {
            let check = RunCheck(self, input.kind)
            for run in input.runs where try !check.isWhole(run) { paths.append(run.path) }
        }
        return DamagedSegments(paths: paths)
    }

    /// Each of them may be a volume of its own. A segment that becomes an output gets another head first.
    private var writtenDirectories: [String] {
        [ClusterPaths.segments, MergeManifest.directory]
            + OutputKind.allCases.map { "\(ClusterPaths.output)/\($0.directory)" }
    }

    private func write(_ document: WindowDocument) throws -> MergeManifest.Output {
        try FileSystem.createDirectory(absolute(FileSystem.parent(of: document.path)))
        let source = OutputNames.temporary(document.path)
        let file = try File(absolute(source), .replace)
        do {
            try unsafe document.bytes.withUnsafeBytes { try unsafe file.write($0, at: 0) }
            try file.syncData()
        } catch {
            try? FileSystem.remove(absolute(source))
            throw error
        }
        return MergeManifest.Output(
            source: source,
            target: document.path,
            bytes: document.bytes.count
        )
    }

    private func rename(_ manifest: inout MergeManifest, at path: String, isRedo: Bool) throws {
        for index in manifest.outputs.indices {
            if FileSystem.exists(absolute(manifest.outputs[index].source)) {
                try rename(output: index, of: &manifest, at: path)
                try onStep?(.renamed(target: manifest.outputs[index].target))
                continue
            }
            let output = manifest.outputs[index]
            let size = FileSystem.size(absolute(output.target))
            guard size == output.bytes || (size == nil && isRedo) else {
                throw TraceError(
                    .corrupt,
                    "\(output.target) is missing or not \(output.bytes) bytes, and so is its source",
                    remedy: "Restore \(output.target) from a backup, or remove the merge manifest"
                )
            }
        }
        try syncDirectories(of: manifest)
        try onStep?(.directoriesSynced)
    }

    /// Renames an output to its target. If the source exists and a file has the target's name, that file is of another
    /// origin: the output gets another name, which is published in the manifest first.
    private func rename(output index: Int, of manifest: inout MergeManifest, at path: String) throws
    {
        let output = manifest.outputs[index]
        var target = output.target
        var number = 1
        while true {
            do throws(SystemError) {
                return try FileSystem.renameExclusively(
                    absolute(output.source),
                    to: absolute(target)
                )
            } catch {
                if error.isAcrossFileSystems {
                    try copyAcross(output: index, of: &manifest, at: path)
                    return try rename(output: index, of: &manifest, at: path)
                }
                guard error.isTaken else { throw error }
            }
            repeat {
                number += 1
                target = OutputNames.beside(output.target, number)
            } while FileSystem.exists(absolute(target))
            manifest.outputs[index].target = target
            try manifest.publish(to: path)
        }
    }

    /// If the segments are on another file system than the output directory, copies the segment that should become an
    /// output to a temporary file beside its target. The manifest is updated before anything is renamed, so that a
    /// crash leaves one of the two.
    private func copyAcross(
        output index: Int,
        of manifest: inout MergeManifest,
        at path: String
    ) throws {
        let segment = manifest.outputs[index].source
        let source = OutputNames.temporary(manifest.outputs[index].target)
        try FileSystem.copy(absolute(segment), to: absolute(source))
        try FileSystem.syncDirectory(absolute(FileSystem.parent(of: source)))
        manifest.outputs[index].source = source
        manifest.segments.append(segment)
        try manifest.publish(to: path)
    }

    private func syncDirectories(of manifest: MergeManifest) throws(SystemError) {
        for directory in Set(manifest.outputs.map { FileSystem.parent(of: $0.target) }) {
            try FileSystem.syncDirectory(absolute(directory))
        }
    }

    /// Releases disk space after a failed merge, because the disk may be full.
    func removeTemporaries(_ outputs: [MergeManifest.Output]) {
        for output in outputs where output.source == OutputNames.temporary(output.target) {
            try? FileSystem.remove(absolute(output.source))
        }
    }

    // MARK: Shared with the preparation of outputs

    func absolute(_ path: String) -> String { root.isEmpty ? path : "\(root)/\(path)" }

    /// Starts a file that is to become an output, under its temporary name.
    func writer(of target: String) throws -> MergeWriter {
        try MergeWriter(
            absolute(OutputNames.temporary(target)),
            bufferBytes: budget.mergeBufferBytes,
            compression: FileCompression(ofPath: target),
            syncs: !syncsTogether
        )
    }

    func advanceProgress(by bytes: UInt64) {
        progress.bytesDone += bytes
        onProgress(progress)
    }
}
