import Foundation
import TraceFiles
import TraceModel
import TraceProcessing

/// The committed files of a script, which lie in a directory of `Golden/` beside the tests, named as its resource.
///
/// Where the output is meant to change, `UPDATE_GOLDEN=1 swift test --filter GoldenTests` writes them anew;
/// what has changed is then to be read in the difference, as any other change.
enum GoldenFiles {
    static let isUpdating = ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1"

    static func directory(_ resource: Resource) -> URL { directory(resource.name) }

    static func directory(_ name: String) -> URL {
        URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/\(name)")
    }

    static func read(_ name: String) throws -> [String: Data] {
        let directory = directory(name)
        var files: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
            files[name] = try Data(contentsOf: directory.appending(path: name))
        }
        return files
    }

    static func write(_ files: [String: Data], _ name: String) throws {
        let directory = directory(name)
        try? FileManager.default.removeItem(at: directory)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        for (name, data) in files { try data.write(to: directory.appending(path: name)) }
    }

    /// Returns the final files of a script's windows by name, written by workers that share the slots.
    static func made(
        of resource: Resource,
        workers count: Int = 2,
        csvColumns: CSVColumns = .all,
        budget: FileBudget = FileBudget()
    ) throws -> [String: Data] {
        let directory = try ContractDirectory()
        let workers = try (0..<count).map {
            try ContractWorker(resource, index: $0, root: directory.path)
        }
        var files: [String: Data] = [:]
        for (number, steps) in GoldenScript.of(resource).windows.enumerated() {
            for step in steps {
                for (index, worker) in workers.enumerated() {
                    switch step {
                    case .batch(let batch):
                        try worker.apply(batch.share { Int($0) % count == index })
                    case .tick(let arrival): try worker.processor.tick(arrival: arrival)
                    }
                }
            }
            let output = try directory.merge(
                resource,
                try workers.flatMap { try $0.finalize() },
                window: 7 + UInt64(number),
                summaries: workers.map(\.summary),
                csvColumns: csvColumns,
                budget: budget
            )
            // Compressed bytes are those of a version of zlib; the folded stacks beside a profile have the same paths.
            for (path, data) in output.files where !path.hasSuffix(".gz") {
                files[URL(filePath: path).lastPathComponent] = data
            }
        }
        return files
    }

    /// What is not the same, with the first line that differs.
    static func differences(expected: [String: Data], actual: [String: Data]) -> [String] {
        Set(expected.keys).union(actual.keys).sorted().compactMap { name in
            guard let old = expected[name] else { return "\(name) is new" }
            guard let new = actual[name] else { return "\(name) is missing" }
            guard old != new else { return nil }
            let (oldLines, newLines) = (lines(old), lines(new))
            let line = zip(oldLines, newLines).enumerated().first { $1.0 != $1.1 }
            guard let (number, (before, after)) = line else {
                return "\(name) has \(newLines.count) lines, not \(oldLines.count)"
            }
            return "\(name):\(number + 1):\n  was \(shown(before))\n  is  \(shown(after))"
        }
    }

    private static func lines(_ data: Data) -> [Data] {
        data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    }

    private static func shown(_ line: Data) -> String {
        String(String(decoding: line, as: UTF8.self).prefix(600))
    }
}
