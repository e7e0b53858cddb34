import ActivityMonitoring
import Dispatch
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import OperatorTools

/// Tests what a command reports to the operator while it waits.
@Suite struct WaitReportTests {
    private func status(
        _ workers: [(name: String, up: Bool, lag: Int, applied: UInt64)],
        merging: ClusterStatus.Merging? = nil,
        router: Int? = 11
    ) -> ClusterStatus {
        var status = ClusterStatus.unknown
        status.router.pid = router
        status.router.accepting = true
        status.workers = workers.map {
            ClusterStatus.Worker(
                name: $0.name,
                resource: "io",
                index: 0,
                pid: $0.up ? 13 : nil,
                up: $0.up,
                lagBytes: $0.lag,
                appliedLsn: $0.applied
            )
        }
        status.merging = merging
        return status
    }

    private func ends(_ times: [Int64], _ cause: ProcessEnds.Cause) -> ProcessEnds {
        var ends = ProcessEnds()
        for time in times { ends.add(.init(at: time, cause: cause)) }
        return ends
    }

    @Test func whoIsBehindAndWhetherItMoves() {
        var report = WaitReport()
        func lines(_ waited: Int, _ applied: UInt64) -> [String] {
            let io = (name: "io.0", up: true, lag: 1_234_567, applied: applied)
            let cpu = (name: "cpu.0", up: true, lag: 2_000_000, applied: UInt64(waited))
            let idle = (name: "gpu.0", up: true, lag: 0, applied: UInt64(0))
            return report.lines(status([io, cpu, idle]), ends: [:], waited: waited, now: 100)
        }
        #expect(
            lines(5, 77) == [
                "cpu.0 is 2,000,000 bytes of log behind", "io.0 is 1,234,567 bytes of log behind",
            ]
        )
        #expect(lines(10, 77).allSatisfy { !$0.contains("moved") })
        #expect(lines(15, 77)[1].hasSuffix(", and has not moved for 10 s"))
        #expect(lines(20, 78).allSatisfy { !$0.contains("moved") })
        #expect(lines(35, 78)[1].hasSuffix(", and has not moved for 15 s"))
    }

    @Test func whoIsDownAndWhy() throws {
        var report = WaitReport()
        var known = status([
            ("io.0", false, 5_000, 1), ("cpu.0", false, 0, 1), ("gpu.0", false, 7, 1),
            ("memory.0", true, 0, 1),
        ])
        known.workers[2].lost = "its checkpoint is damaged"
        let lines = report.lines(
            known,
            ends: [
                "io.0": ends([90], .exitCode(1)),
                "cpu.0": ends([80, 82, 84, 86, 88, 90], .signal(9)),
                "memory.0": ends([80, 82, 84, 86, 88, 90], .signal(11)),
            ],
            waited: 5,
            now: 95
        )
        try #require(lines.count == 4)
        #expect(
            lines[0]
                == "io.0 sends no heartbeat, 5,000 bytes of log behind; it ended 5 s ago by exit code 1"
        )
        #expect(lines[1].hasPrefix("cpu.0 does not stay up") && lines[1].contains("SIGKILL"))
        #expect(lines[2] == "gpu.0 is down for good: its checkpoint is damaged")
        #expect(lines[3].hasPrefix("memory.0 does not stay up"))
    }

    @Test func whatIsMergedAndWhatIsLeft() {
        var report = WaitReport()
        let current = ClusterStatus.Merging.Current(
            resource: "io",
            window: 3,
            mergedBytes: 1_000,
            totalBytes: 25_000
        )
        let up = (name: "io.0", up: true, lag: 0, applied: UInt64(1))
        let busy = status([up], merging: .init(waitingWindows: 2, current: current))
        #expect(
            report.lines(busy, ends: [:], waited: 5, now: 1) == [
                "io window 3 is being merged: 1,000 of 25,000 bytes",
                "2 windows wait for their merge",
            ]
        )
        let quiet = report.lines(status([up]), ends: [:], waited: 5, now: 1)
        #expect(quiet.count == 1 && quiet[0].contains("applied the log"))
        let routerless = report.lines(status([up], router: nil), ends: [:], waited: 5, now: 1)
        #expect(routerless == ["the router sends no heartbeat"])
        let loop = ["aggregator": ends([1, 2, 3, 4, 5], .signal(9))]
        let alone = report.lines(nil, ends: loop, waited: 5, now: 6)
        #expect(alone.count == 2 && alone[0].contains("aggregator does not answer"))
        #expect(alone[1].contains("aggregator does not stay up"))
    }

    @Test func manyLinesAreCounted() {
        var report = WaitReport()
        let workers = (0..<60).map { (name: "io.\($0)", up: false, lag: 1, applied: UInt64(1)) }
        let lines = report.lines(status(workers), ends: [:], waited: 5, now: 1)
        #expect(lines.count == WaitReport.linesMax)
        #expect(lines.last == "and \(60 - WaitReport.linesMax + 1) more, see status")
    }

    @Test func aClusterHasCaughtUpWithoutThoseThatAreDownForGood() {
        var known = status([("io.0", true, 999_999, 1), ("cpu.0", false, 5, 1)])
        #expect(!known.isCaughtUp())
        known.workers[1].lost = "damaged"
        #expect(known.isCaughtUp() && known.isCaughtUp(with: ("io.0", 13)))
        #expect(known.isCaughtUp(with: ("cpu.0", 99)) && !known.isCaughtUp(with: ("io.0", 12)))
        #expect(known.isCaughtUp(with: ("router", 11)) && !known.isCaughtUp(with: ("router", 12)))
        #expect(!known.isCaughtUp(with: ("gpu.7", 13)))
        known.problems = ["io.0 does not stay up"]
        #expect(!known.isCaughtUp())
        known.problems = []
        known.workers[0].lagBytes = 1_000_000
        #expect(!known.isCaughtUp())
    }

    @Test func aClusterIsConnectedWithTheWorkersThatAreWantedAndNoOthers() {
        var known = status([("io.0", true, 5_000_000, 1), ("io.1", true, 0, 1)])
        known.ready = true
        #expect(known.isConnected(workers: [.io: 2]))
        #expect(!known.isConnected(workers: [.io: 1]) && !known.isConnected(workers: [.io: 3]))
        known.ready = false
        known.router.accepting = true
        #expect(!known.isConnected(workers: [.io: 2]))
        known.workers[1].up = false
        known.workers[1].lost = "damaged"
        #expect(known.isConnected(workers: [.io: 2]))
        known.workers[0].up = false
        #expect(!known.isConnected(workers: [.io: 2]))
    }

    // MARK: The wait itself

    private func call(_ timeout: Int?) -> ReportedWait {
        ReportedWait(dataDirectory: "/nonexistent", timeoutSeconds: timeout, remedy: "Look there.")
    }

    @Test func aWaitEndsWithItsCallOrItsBound() throws {
        #expect(try call(nil).run { 7 } == 7)
        #expect(throws: SystemError.self) {
            try call(60).run { throw SystemError(errno: 5, call: "read", subject: "x") }
        }
        let gate = Locked(false)
        do {
            try call(1).run { _ = gate.wait { $0 } }
            Issue.record("it did not expire")
        } catch let error as WaitExpired {
            #expect(error.seconds >= 1)
            #expect("\(error)".contains("aggregator does not answer"))
            #expect("\(error)".contains("Look there."))
        }
        gate.update { $0 = true }
        #expect(throws: WaitExpired.self) { try call(1).until { _ in true } }
    }

    @Test func theSupervisorsNotesAreFound() throws {
        let directory = try TemporaryDirectory()
        let service = "\(directory.path)/run/services/cpu.0"
        try FileSystem.createDirectory(service)
        try FileSystem.createDirectory("\(directory.path)/run/services/.s6-svscan")
        let now = WallClock.now() / 1_000_000_000
        let text = (0..<Int64(6)).map { "\(now - $0) signal 9" }.reversed().joined(separator: "\n")
        try Array("\(text)\n".utf8).withUnsafeBytes {
            try FileSystem.publish("\(service)/ends", $0)
        }
        #expect(SupervisedProcesses.ends(in: directory.path).keys.sorted() == ["cpu.0"])
        let problems = SupervisedProcesses.problems(in: directory.path)
        #expect(problems.count == 1 && problems[0].contains("cpu.0 does not stay up"))
        #expect(SupervisedProcesses.problems(in: "/nonexistent").isEmpty)
    }

    @Test func whoseSegmentsAreMadeAgain() {
        var report = WaitReport()
        let rebuilding = ClusterStatus.Merging.Rebuilding(worker: "io.1", window: 4)
        let merging = ClusterStatus.Merging(waitingWindows: 1, current: nil, rebuilding: rebuilding)
        #expect(
            report.lines(status([], merging: merging), ends: [:], waited: 5, now: 100) == [
                "damaged segments of io.1, window 4, are made again from the log",
                "1 window waits for its merge",
            ]
        )
    }

    /// A wait ends for `scripts/cluster stop`, but not before its condition was met, and only where that is asked for.
    @Test func aStopThatWaitsEndsTheWait() throws {
        let directory = try TemporaryDirectory()
        try FileSystem.createDirectory("\(directory.path)/\(ClusterPaths.run)")
        func wait(seconds: Int, isGivenUp: Bool) -> ReportedWait {
            ReportedWait(
                dataDirectory: directory.path,
                timeoutSeconds: seconds,
                remedy: "",
                isGivenUpForStop: isGivenUp
            )
        }
        #expect(try wait(seconds: 60, isGivenUp: true).run { 7 } == 7)
        let stop = "\(directory.path)/\(ClusterPaths.stopWanted)"
        let request = DedicatedThread("stop") { _ = try? File(stop, .readWrite) }
        #expect(throws: WaitAbandoned.self) {
            try wait(seconds: 60, isGivenUp: true).until { _ in false }
        }
        request.join()
        #expect(throws: WaitExpired.self) {
            try wait(seconds: 1, isGivenUp: false).until { _ in false }
        }
        let never = DispatchSemaphore(value: 0)
        #expect(throws: WaitAbandoned.self) {
            try wait(seconds: 60, isGivenUp: true).run { never.wait() }
        }
        never.signal()
    }
}
