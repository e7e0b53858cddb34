import Foundation
import TraceModel

/// The saved marks of merged windows. A window is told as merged only once its mark is on the disk.
struct WindowJournal: Sendable {
    private let file = SavedFile(
        path: AggregatorPaths.windows,
        bytesMax: Limits.windowFilesBytesMax
    )

    func save(_ marks: [Resource: MergedMark]) throws {
        let named = Dictionary(uniqueKeysWithValues: marks.map { ($0.key.name, $0.value) })
        try file.save(Array(JSONEncoder().encode(named)))
    }

    func load() throws -> (marks: [Resource: MergedMark], damage: TraceError?) {
        let (marks, damage) = try file.load(Self.parse)
        return (marks ?? [:], damage)
    }

    private static func parse(_ bytes: [UInt8]) throws(TraceError) -> [Resource: MergedMark] {
        let named: [String: MergedMark]
        do {
            named = try JSONDecoder().decode([String: MergedMark].self, from: Data(bytes))
        } catch {
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
