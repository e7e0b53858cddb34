import Foundation
import TraceFiles
import TraceModel
import TraceSummaries

/// A data directory of one test, removed with it.
final class ContractDirectory {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "trace-contract-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Merges what workers closed; the final files by their paths.
    func merge(
        _ resource: Resource,
        _ closed: [ClosedFile],
        window: UInt64 = 7,
        summaries: [[UInt8]] = [],
        csvColumns: CSVColumns = .all,
        budget: FileBudget = FileBudget()
    ) throws -> ContractOutput {
        let merger = WindowMerger(
            localHostName: "here",
            timeZoneName: "UTC",
            root: path,
            csvColumns: csvColumns,
            budget: budget
        )
        let stem = ContractWorker.stem + "_\(window)"
        let paths = try merger.merge(
            resource: resource,
            window: window,
            stem: stem,
            files: closed,
            document: try SummaryFile.document(
                resource,
                stem: stem,
                window: window,
                summaries: summaries
            )
        )
        return try ContractOutput(paths, root: path)
    }

    /// Every byte below the directory, by path.
    func contents() throws -> [String: Data] {
        var result: [String: Data] = [:]
        guard let names = FileManager.default.enumerator(atPath: path) else { return result }
        for case let name as String in names {
            guard let data = FileManager.default.contents(atPath: "\(path)/\(name)") else {
                continue
            }
            result[name] = data
        }
        return result
    }
}
