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
        let names = ["scan function", "scan mixed"] + Resource.allCases.map { "worker \($0.name)" }
        #expect(figures.map(\.name) == names)
        for figure in figures {
            let isWhole = figure.name.hasPrefix("scan") || figure.name == "worker function"
            #expect(figure.events == 2 * (isWhole ? 1_200 : 200), "\(figure.name)")
            #expect(figure.nanosecondsPerEvent >= figure.fastestNanosecondsPerEvent)
            #expect(figure.fastestNanosecondsPerEvent > 0)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
        #expect(StageTable(figures).text.split(separator: "\n").count == figures.count + 1)
    }
}
