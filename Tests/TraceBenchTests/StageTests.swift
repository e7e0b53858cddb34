import Foundation
import TestSupport
import Testing
import TraceBench
import TraceModel
import TraceTime

@Suite struct StageTests {
    @Test func eachStageSeesItsEventsAndLeavesNothingBehind() throws {
        let directory = try TemporaryDirectory()
        let bench = StageBench(
            zone: try TimeZoneRules.configure("UTC"),
            directory: directory.path,
            rounds: 2,
            events: 1_200
        )
        let figures = try bench.run()
        let names =
            [
                "scan function", "scan mixed", "log append", "split function", "decode function",
                "timestamp", "sort",
                "statistics", "anomaly rules", "JSON function", "CSV function",
            ] + Resource.allCases.map { "worker \($0.name)" } + [
                "merge function", "cut function", "page of 50,000 series",
            ]
        #expect(figures.map(\.name) == names)
        #expect(figures.last.map { $0.events >= 2 * 50_000 } == true)
        for figure in figures.dropLast() {
            let isWhole = !figure.name.hasPrefix("worker") || figure.name == "worker function"
            #expect(figure.events == 2 * (isWhole ? 1_200 : 200), "\(figure.name)")
            #expect(figure.nanosecondsPerEvent >= figure.fastestNanosecondsPerEvent)
            #expect(figure.fastestNanosecondsPerEvent > 0)
        }
        #expect((figures.dropLast().last?.megabytesPerSecond ?? 0) > 0)
        #expect(throws: TraceError.self) { try bench.run(only: ["brew"]) }
        #expect(try bench.run(only: ["timestamp"]).map(\.name) == ["timestamp"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
        #expect(StageTable(figures).text.split(separator: "\n").count == figures.count + 1)
    }
}
