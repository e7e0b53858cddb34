import Foundation
import Testing
import TraceFiles
import TraceModel
import TraceProcessing

/// Batches as they come in, files as they go out: byte for byte those that are committed.
@Suite(.serialized)
struct GoldenTests {
    /// The final files of a script's windows by name, written by two workers that share the slots.
    private func files(of resource: Resource) throws -> [String: Data] {
        let directory = try ContractDirectory()
        let workers = try (0..<2).map {
            try ContractWorker(resource, index: $0, root: directory.path)
        }
        var files: [String: Data] = [:]
        for (number, steps) in GoldenScript.of(resource).windows.enumerated() {
            for step in steps {
                for (index, worker) in workers.enumerated() {
                    switch step {
                    case .batch(let batch):
                        try worker.apply(batch.share { Int($0) % 2 == index })
                    case .tick(let arrival): try worker.processor.tick(arrival: arrival)
                    }
                }
            }
            let output = try directory.merge(
                resource,
                try workers.flatMap { try $0.finalize() },
                window: 7 + UInt64(number),
                summaries: workers.map(\.summary)
            )
            for (path, data) in output.files {
                files[URL(filePath: path).lastPathComponent] = data
            }
        }
        return files
    }

    @Test(arguments: Resource.allCases)
    func filesAreThoseCommitted(_ resource: Resource) throws {
        let actual = try files(of: resource)
        for ending in [".json", ".csv", ".jsonl"] + (resource == .gpu ? [".txt", ".folded"] : [])
        where resource != .gpu || ending != ".jsonl" {
            #expect(actual.keys.contains { $0.hasSuffix(ending) }, "no \(ending)")
        }
        if GoldenFiles.isUpdating { try GoldenFiles.write(actual, resource) }
        let expected = try GoldenFiles.read(resource)
        let differences = GoldenFiles.differences(expected: expected, actual: actual)
        #expect(
            differences.isEmpty,
            "\(differences.joined(separator: "\n"))\nIf it is meant so: UPDATE_GOLDEN=1"
        )
    }

    @Test(
        .enabled(if: ContractTraceCheck.isThere, "the conformance checker is not in this checkout"),
        arguments: Resource.allCases
    )
    func viewersTakeTheTraces(_ resource: Resource) throws {
        let traces = try GoldenFiles.read(resource).keys.filter {
            $0.hasPrefix("\(resource.name)_trace_") && $0.hasSuffix(".json")
        }
        #expect(traces.count == 4, "two windows of two hosts")
        let paths = traces.sorted().map { GoldenFiles.directory(resource).appending(path: $0).path }
        let problems = try ContractTraceCheck.problems(in: paths)
        #expect(problems == nil)
    }

    @Test
    func aDifferenceIsTold() throws {
        let files = ["a": Data("1\n2\n".utf8), "b": Data("3\n".utf8)]
        #expect(GoldenFiles.differences(expected: files, actual: files) == [])
        let others = ["a": Data("1\n4\n".utf8), "c": Data()]
        let told = GoldenFiles.differences(expected: files, actual: others)
        #expect(told == ["a:2:\n  was 2\n  is  4", "b is missing", "c is new"])
    }
}
