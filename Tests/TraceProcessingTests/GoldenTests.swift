import Foundation
import Testing
import TraceFiles
import TraceModel
import TraceProcessing

/// Batches as they come in, files as they go out: byte for byte those that are committed.
@Suite(.serialized) struct GoldenTests {
    @Test(arguments: Resource.allCases) func filesAreThoseCommitted(_ resource: Resource) throws {
        let actual = try GoldenFiles.made(of: resource)
        for ending in [".json", ".csv", ".jsonl"] + (resource == .gpu ? [".txt", ".folded"] : [])
        where resource != .gpu || ending != ".jsonl" {
            #expect(actual.keys.contains { $0.hasSuffix(ending) }, "no \(ending)")
        }
        if GoldenFiles.isUpdating { try GoldenFiles.write(actual, resource.name) }
        let expected = try GoldenFiles.read(resource.name)
        let differences = GoldenFiles.differences(expected: expected, actual: actual)
        #expect(
            differences.isEmpty,
            "\(differences.joined(separator: "\n"))\nIf it is meant so: UPDATE_GOLDEN=1"
        )
    }

    @Test(arguments: Resource.allCases) func viewersTakeTheTraces(_ resource: Resource) throws {
        let traces = try GoldenFiles.read(resource.name).keys.filter {
            $0.hasPrefix("\(resource.name)_trace_") && $0.hasSuffix(".json")
        }
        #expect(traces.count == 4, "two windows of two hosts")
        let paths = traces.sorted().map { GoldenFiles.directory(resource).appending(path: $0).path }
        let problems = try ContractTraceCheck.problems(in: paths)
        #expect(problems == nil)
    }

    @Test func aDifferenceIsReported() throws {
        let files = ["a": Data("1\n2\n".utf8), "b": Data("3\n".utf8)]
        #expect(GoldenFiles.differences(expected: files, actual: files) == [])
        let others = ["a": Data("1\n4\n".utf8), "c": Data()]
        let differences = GoldenFiles.differences(expected: files, actual: others)
        #expect(differences == ["a:2:\n  was 2\n  is  4", "b is missing", "c is new"])
    }
}
