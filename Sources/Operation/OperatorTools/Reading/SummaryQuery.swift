import Foundation
import SystemIO
package import TraceModel
package import TraceSummaries

/// Reads the summary files of a data directory and merges them over its windows, resource by resource.
package struct SummaryQuery {
    /// What one resource's files say together.
    package struct Answer {
        package let summary: WindowSummary
        package let windows: Int
    }

    private let dataDirectory: String
    private let resources: [Resource]
    private let isLastWindowOnly: Bool

    /// `resource`: nil for all. `isLastWindowOnly`: nothing but each resource's newest window.
    package init(dataDirectory: String, resource: Resource?, isLastWindowOnly: Bool) {
        self.dataDirectory = dataDirectory
        resources = resource.map { [$0] } ?? Resource.allCases
        self.isLastWindowOnly = isLastWindowOnly
    }

    /// The resources that have files, in their fixed order. Blocks on the disk.
    /// - Throws: `TraceError` where a file can't be understood, or the directory is none of a cluster's.
    package func run() throws -> [Answer] {
        let directory = "\(dataDirectory)/\(SummaryFile.directory)"
        guard FileSystem.exists(dataDirectory) else {
            throw TraceError(
                .notFound,
                "There is no data directory \(dataDirectory)",
                remedy: "Name the cluster's with --data"
            )
        }
        let names = try FileSystem.list(directory)
        return try resources.compactMap { resource in
            let ending = "_\(resource.name).json"
            // Names begin with the window's time, so their order is that of the windows.
            let own = names.filter { $0.hasPrefix("summary_") && $0.hasSuffix(ending) }
            guard !own.isEmpty else { return nil }
            var merged = WindowSummary(resource)
            let wanted = isLastWindowOnly ? own.suffix(1) : own[...]
            for name in wanted {
                let summary = try Self.read("\(directory)/\(name)", resource)
                merged.merge(summary, isLater: true)
            }
            return Answer(summary: merged, windows: wanted.count)
        }
    }

    private static func read(_ path: String, _ resource: Resource) throws -> WindowSummary {
        let data = Data(try FileSystem.contents(path))
        guard let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
            let text = object["state"] as? String, let state = Data(base64Encoded: text),
            let summary = try? WindowSummary(Array(state)), summary.resource == resource
        else {
            throw TraceError(
                .corrupt,
                "\(path) is no summary, or damaged",
                remedy: "Move it away to summarize the other windows"
            )
        }
        return summary
    }
}
