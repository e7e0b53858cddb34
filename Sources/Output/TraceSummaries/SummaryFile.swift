import SystemIO
package import TraceFiles
package import TraceModel

/// A window's summary file: `output/summary/summary_<stem>_<resource>.json`.
package enum SummaryFile {
    package static let directory = "\(ClusterPaths.output)/summary"

    package static func name(_ resource: Resource, stem: String) -> String {
        "summary_\(stem)_\(resource.name).json"
    }

    /// The file of a window out of its workers' summaries, in any order; nil where the window had no events.
    /// - Throws: `TraceError(.corrupt)` where one of them is damaged.
    package static func document(
        _ resource: Resource,
        stem: String,
        window: UInt64,
        summaries: [[UInt8]]
    ) throws -> WindowDocument? {
        var merged = WindowSummary(resource)
        for bytes in summaries where !bytes.isEmpty {
            let summary = try WindowSummary(bytes)
            guard summary.resource == resource else {
                throw TraceError(.corrupt, "A summary of \(resource.name) is of another resource")
            }
            merged.merge(summary)
        }
        guard !merged.isEmpty else { return nil }
        merged.keepTop()
        var text = RawBuffer(capacity: 64 << 10)
        SummaryDocument(merged).appendFile(stem: stem, window: window, to: &text)
        return WindowDocument(
            path: "\(directory)/\(name(resource, stem: stem))",
            bytes: Array(text.bytes)
        )
    }
}
