import Foundation
import TestSupport
import Testing
import TraceBench

@Suite struct FiguresTests {
    private func run(_ events: Int, seconds: Double, latencyMilliseconds: Int64) -> RunFigures {
        var outcome = LoadOutcome()
        outcome.events = events
        outcome.seconds = seconds
        outcome.latency.record(latencyMilliseconds * 1_000_000)
        return RunFigures(outcome)
    }

    @Test func theFiguresOfSeveralRunsAreTheirMedians() {
        let figures = ServerFigures(medianOf: [
            run(1_000, seconds: 1, latencyMilliseconds: 9),
            run(5_000, seconds: 1, latencyMilliseconds: 1),
            run(9_000, seconds: 3, latencyMilliseconds: 5),
        ])
        #expect(figures.eventsPerSecond == 3_000)
        #expect(figures.ackP50Milliseconds == 5)
        #expect(figures.processedEventsPerSecond == nil)
    }

    @Test func theTableHasAColumnALoad() throws {
        let figures = ServerFigures(medianOf: [run(1_234_567, seconds: 1, latencyMilliseconds: 2)])
        let directory = try TemporaryDirectory()
        let report = LoadReport(
            plan: LoadPlan(),
            server: figures,
            floor: figures,
            disk: try DiskProbe(directory: directory.path, groupBytes: 4_096),
            serverRuns: [],
            floorRuns: []
        )
        let lines = ReportTable([report, report]).text.split(separator: "\n")
        let throughput = try #require(lines.first { $0.hasPrefix("Acknowledged events/s") })
        #expect(throughput.components(separatedBy: "1,234,567").count == 3)
        #expect(Set(lines.map(\.count)).count == 1, "columns are aligned")
    }

    @Test func theProbeLeavesNothingBehind() throws {
        let directory = try TemporaryDirectory()
        let probe = try DiskProbe(directory: directory.path, groupBytes: 10_000)
        #expect(probe.groupBytes == 8_192)
        #expect(probe.p50Milliseconds <= probe.p99Milliseconds)
        #expect(probe.megabytesPerSecond > 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    }

    @Test func aProcessesOwnUsageIsSeen() throws {
        let before = try #require(ProcessUsage(pid: Int(getpid())))
        var sum = 0.0
        let deadline = Date(timeIntervalSinceNow: 0.1)
        while Date() < deadline { sum += 1 }
        let after = try #require(ProcessUsage(pid: Int(getpid())))
        #expect(sum > 0)
        #expect(after.cpuSeconds > before.cpuSeconds)
        // Of what it shares with other processes only its part.
        #expect(after.peakBytes > after.residentBytes / 8)
        #expect(ProcessUsage(pid: -1) == nil)
    }
}
