import SystemIO
import TraceModel

@testable import TraceFiles

/// The workers of one resource in one data directory, and the merge of their output.
struct WorkerGroup {
    static let stem = "20251009_085320"
    let directory: TemporaryDirectory
    let managers: [TraceFileManager]
    let budget: FileBudget

    /// Small limits, which cause many runs, flushes and passes.
    static var smallBudget: FileBudget {
        var budget = FileBudget()
        budget.runFlushBytes = 2_000
        budget.runBufferBytesMax = 30_000
        budget.runHoldbackNanoseconds = 20_000
        budget.openFilesMax = 3
        budget.mergeBufferBytes = 300
        budget.mergeRunsMax = 3
        return budget
    }

    /// `smallBudget` with final files of at most `bytesMax` bytes.
    static func smallFiles(_ bytesMax: Int) -> FileBudget {
        var budget = smallBudget
        budget.finalFileBytesMax = bytesMax
        return budget
    }

    init(_ count: Int, budget: FileBudget = smallBudget) throws {
        let directory = try TemporaryDirectory()
        self.directory = directory
        self.budget = budget
        managers = try (0..<count).map { try Self.manager($0, in: directory, budget: budget) }
        for manager in managers {
            try manager.restore(from: nil)
            manager.openWindow(7)
        }
    }

    static func manager(
        _ index: Int,
        in directory: TemporaryDirectory,
        budget: FileBudget = smallBudget
    ) throws -> TraceFileManager {
        try TraceFileManager(
            worker: WorkerName(resource: .gpu, index: index),
            csvHeader: "Timestamp,PID,Text,host,Timestamp(ns)",
            timeZoneName: "Europe/Berlin",
            root: directory.path,
            budget: budget
        )
    }

    func apply(_ events: [SyntheticEvent]) throws {
        for event in events { try event.apply(to: managers[event.worker(of: managers.count)]) }
    }

    func close() throws -> [ClosedFile] {
        try managers.flatMap { try $0.closeWindow(stem: Self.stem, nextWindow: 8) }
    }

    var merger: WindowMerger {
        WindowMerger(
            localHostName: "this-machine",
            timeZoneName: "Europe/Berlin",
            root: directory.path,
            budget: budget
        )
    }

    @discardableResult func merge(
        _ files: [ClosedFile],
        with merger: WindowMerger? = nil
    ) throws -> [String] {
        try (merger ?? self.merger).merge(resource: .gpu, window: 7, stem: Self.stem, files: files)
    }

    /// Whether a window's final files are complete.
    func isMerged(window: UInt64) throws -> Bool {
        let path = "\(directory.path)/\(MergeManifest.path(.gpu, window: window))"
        return try MergeManifest(contentsOf: path)?.isDone ?? false
    }
}
