import Compression
import Foundation
import IngestLog
import SystemIO
import TraceFiles
import TraceModel

/// Stores the marks of merged windows. A window is reported as merged only after its mark is on disk.
///
/// Two copies of a JSON file (`MirroredFile`); an earlier version kept one gzip-compressed copy.
struct WindowJournal: Sendable {
    /// The saved marks and the damage found.
    struct Loaded {
        var marks: [Resource: MergedMark]
        /// Set if one copy was damaged and the other is sound.
        var healed: String?
        /// Set if no copy is sound; the marks are then taken from the records of final files.
        var lost: TraceError?
    }

    private var file: MirroredFile { MirroredFile(AggregatorPaths.windows) }

    func save(_ marks: [Resource: MergedMark]) throws {
        try FileSystem.createDirectory(FileSystem.parent(of: AggregatorPaths.windows))
        let named = Dictionary(uniqueKeysWithValues: marks.map { ($0.key.name, $0.value) })
        let text = try JSONEncoder().encode(named)
        try file.publish { writer in unsafe text.withUnsafeBytes { unsafe writer.body.append($0) } }
    }

    /// Returns the marks; both copies are sound when this returns. Blocks.
    func load() throws -> Loaded {
        do {
            guard let content = try file.read(remedy: "") else { return try rebuilt(because: nil) }
            let marks = try content.withBody { body in
                try unsafe Self.parse(Array(try body.bytes(body.remaining)))
            }
            if content.needsRepair { try file.repair(content) }
            return Loaded(marks: marks, healed: content.damage)
        } catch let error as TraceError where error.code == .corrupt {
            if let marks = previous() {
                try save(marks)
                return Loaded(marks: marks)
            }
            return try rebuilt(because: error)
        }
    }

    /// Reads the file of the earlier version.
    private func previous() -> [Resource: MergedMark]? {
        guard let compressed = try? FileSystem.contents(AggregatorPaths.windows),
            let bytes = try? unsafe compressed.withUnsafeBytes({
                try unsafe Gzip.expand($0, limit: Limits.windowFilesBytesMax)
            })
        else { return nil }
        return try? Self.parse(bytes)
    }

    /// Derives the marks from the last window of each resource that has final files. Without damage this is needed
    /// only if the marks were removed but the workers' checkpoints were not; in an emptied directory, window
    /// numbers start again.
    private func rebuilt(because damage: TraceError?) throws -> Loaded {
        let hasWorkers = try FileSystem.list(ClusterPaths.checkpoints).contains {
            $0.hasSuffix(ClusterPaths.checkpointSuffix)
        }
        guard damage != nil || hasWorkers else { return Loaded(marks: [:]) }
        let records = FinalWindowRecords()
        var last: [Resource: FinalWindow] = [:]
        for window in try records.list() where window.window >= last[window.resource]?.window ?? 0 {
            last[window.resource] = window
        }
        guard damage != nil || !last.isEmpty else { return Loaded(marks: [:]) }
        let marks = last.mapValues { window in
            MergedMark(
                window: window.window,
                barrierLSN: nil,
                files: (try? records.files(of: window)) ?? []
            )
        }
        try save(marks)
        let lost = damage ?? TraceError(.corrupt, "\(AggregatorPaths.windows) is missing")
        return Loaded(marks: marks, lost: lost)
    }

    private static func parse(_ bytes: [UInt8]) throws(TraceError) -> [Resource: MergedMark] {
        let named: [String: MergedMark]
        do { named = try JSONDecoder().decode([String: MergedMark].self, from: Data(bytes)) } catch
        {
            throw TraceError(.corrupt, "the marks of merged windows can't be read", cause: error)
        }
        var marks: [Resource: MergedMark] = [:]
        for (name, mark) in named {
            guard let resource = Resource(name: name) else {
                throw TraceError(.corrupt, "the marks of merged windows name no resource: \(name)")
            }
            marks[resource] = mark
        }
        return marks
    }
}
