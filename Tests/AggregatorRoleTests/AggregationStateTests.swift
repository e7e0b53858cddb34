import ClusterMessages
import Testing
import TraceMetrics
import TraceModel

@testable import ActivityMonitoring
@testable import AggregatorRole
@testable import TraceFiles

/// Tests what the aggregator decides, without processes, sockets and files.
@Suite struct AggregationStateTests {
    typealias Make = WindowFactory
    typealias Sent = [AggregationState.Action].Sent

    private let bench = AggregationBench()
    private let worker = WorkerName(resource: .function, index: 0)

    /// Returns an announcement of all slots.
    private func whole(_ window: UInt64 = 1, _ resource: Resource = .function) -> SegmentsClosed {
        Make.announcement(
            resource: resource,
            window: window,
            barrier: window * 100,
            Make.range(0...255, (window - 1) * 100, window * 100)
        )
    }

    private func heartbeat(
        _ process: String,
        incarnation: UInt64 = 1,
        unaccounted: UInt64? = nil
    ) -> ClusterMessage {
        .heartbeat(
            Heartbeat(
                process: process,
                incarnation: incarnation,
                pid: 77,
                unaccountedEvents: unaccounted
            )
        )
    }

    /// The aggregator's own heartbeat.
    private func hello(unaccounted: UInt64? = nil) -> ClusterMessage {
        heartbeat("aggregator", incarnation: 3, unaccounted: unaccounted)
    }

    private func windowMerged(
        _ window: UInt64 = 1,
        files: [String] = ["f"],
        failure: String? = nil
    ) -> ClusterMessage {
        .windowMerged(
            WindowMerged(resource: .function, window: window, files: files, failure: failure)
        )
    }

    private func routerStatus(
        of workers: [WorkerName],
        received: UInt64 = 0,
        uncertain: UInt64 = 0
    ) -> ClusterMessage {
        let links = workers.map { WorkerLink(worker: $0, connected: true, lagBytes: 0) }
        let status = RouterStatus(
            receivedEvents: received,
            workers: links,
            uncertainEvents: uncertain
        )
        return .metricSnapshot(
            MetricSnapshot(process: "router", incarnation: 1, pid: 5, router: status)
        )
    }

    private func snapshot(of worker: WorkerName, incarnation: UInt64 = 1) -> ClusterMessage {
        .metricSnapshot(MetricSnapshot(process: "\(worker)", incarnation: incarnation, pid: 6))
    }

    // MARK: Windows

    @Test func aWindowIsMergedOnceAllSlotsAreAnnouncedAndReportedOnceItsMarkIsSaved() throws {
        for name in ["router.e1", "gpu.0.e1"] {
            let process = String(name.dropLast(3))
            _ = try bench.receive(heartbeat(process), from: name)
        }
        _ = try bench.announce(Make.announcement(0, Make.range(0...99, 0, 100)))
        #expect(bench.tick().jobs.isEmpty)
        #expect(bench.shared.merging.waiting[.function] == 1)
        _ = try bench.announce(Make.announcement(1, Make.range(100...255, 0, 100)))
        let job = try #require(bench.tick().jobs.first)
        #expect(bench.tick().jobs.isEmpty)

        let outcome = MergeThread.Outcome(job)
        let marks = [Resource.function: MergedMark(window: 1, barrierLSN: 100, files: ["f"])]
        let merged = bench.merged(outcome)
        #expect(merged.count == 1 && merged.saves == [marks])
        #expect(bench.shared.marks.isEmpty)
        let saved = bench.saved(outcome)
        #expect(bench.shared.marks == marks)
        #expect(saved.settled == [job] && saved.notices == ["merged"])
        #expect(
            saved.sent
                == ["function.0.e1", "function.1.e1", "router.e1"].map {
                    Sent(windowMerged(), to: $0)
                }
        )
        // An announcement that is repeated is answered, to its sender alone.
        let again = try bench.announce(Make.announcement(0, Make.range(0...99, 0, 100)))
        #expect(again.sent == [Sent(windowMerged(), to: "function.0.e1")])
        bench.pass(seconds: 1)
        #expect(bench.tick().jobs.isEmpty)
        #expect(bench.shared.merging.waiting[.function] == 0)
    }

    @Test func aMarkThatCannotBeSavedLeavesTheWindowUnmerged() throws {
        _ = try bench.receive(heartbeat("router"), from: "router.e1")
        _ = try bench.announce(whole())
        let job = try #require(bench.tick().jobs.first)
        #expect(bench.merged(MergeThread.Outcome(job)).saves.count == 1)
        let full = TraceError(.system, "no space")
        let failed = bench.failed(job, full)
        // The router alone is notified, as a client may wait there.
        #expect(
            failed.sent == [Sent(windowMerged(files: [], failure: "\(full)"), to: "router.e1")]
        )
        #expect(failed.notices == ["mergeFailed"])
        #expect(try bench.announce(whole()).sent.isEmpty)
        bench.pass(seconds: Int64(Limits.mergeRetrySeconds) - 1)
        #expect(bench.tick().jobs.isEmpty)
        bench.pass(seconds: 1)
        #expect(bench.tick().jobs == [job])
        // The same failure is logged once, and counted and sent each time.
        let again = bench.merged(MergeThread.Outcome(job, .failure(full)))
        #expect(again.notices.isEmpty && again.sent.count == 1)
        #expect(bench.losses(.mergeFailed) == 2 && bench.shared.marks.isEmpty)
    }

    @Test func damagedSegmentsHoldUpNoOtherResourceAndAreCountedOnceTheirWindowIsPublished() throws
    {
        _ = try bench.announce(whole(1))
        _ = try bench.announce(whole(2))
        let damaged = try #require(bench.tick().jobs.first)
        let found = bench.merged(MergeThread.Outcome(damaged, damaged: ["segments/a"]))
        #expect(found.count == 1 && found.rebuilds == [damaged])

        _ = try bench.announce(whole(1, .gpu))
        let other = try #require(bench.tick().jobs.first)
        #expect(other.resource == .gpu)
        #expect(bench.saved(MergeThread.Outcome(other)).notices == ["merged"])
        // The later window waits, as windows of a resource are published in order.
        #expect(bench.tick().jobs.isEmpty)
        #expect(bench.losses(.segmentDamaged) == 0)

        var repaired = damaged
        repaired.repair = MergeJob.Repair(files: [])
        let loss = SegmentLoss(path: "segments/a", rows: 4, bytes: 10)
        let outcome = MergeThread.Outcome(repaired, losses: [loss])
        #expect(bench.merged(outcome).saves.count == 1)
        #expect(bench.saved(outcome).notices == ["lost", "merged"])
        #expect(bench.losses(.segmentDamaged) == 1)
        #expect(bench.tick().jobs.map(\.window) == [2])
    }

    @Test func aRebuildThatHasToWaitIsTriedAgain() throws {
        _ = try bench.announce(whole())
        let job = try #require(bench.tick().jobs.first)
        _ = bench.merged(MergeThread.Outcome(job, damaged: ["segments/a"]))
        #expect(bench.failed(job, TraceError(.system, "full")).notices == ["mergeFailed"])
        bench.pass(seconds: Int64(Limits.mergeRetrySeconds))
        #expect(bench.tick().jobs == [job])
    }

    @Test func anOverlapIsReportedAndCountedOnce() throws {
        _ = try bench.announce(whole())
        _ = try bench.announce(Make.announcement(1, Make.range(3...3, 20, 40)))
        #expect(bench.tick().notices == ["overlap"])
        #expect(bench.tick().notices.isEmpty)
        #expect(bench.losses(.mergeFailed) == 1)
    }

    // MARK: Peers

    @Test func aNewProcessIsAskedForEverythingAndARouterIsSentTheLastWindows() throws {
        let mark = MergedMark(window: 4, barrierLSN: 400, files: ["f"])
        let bench = AggregationBench(marks: [.function: mark])
        let connected = try bench.receive(heartbeat("function.0"), from: "function.0.e1")
        #expect(connected.sent == [Sent(hello(), to: "function.0.e1")])
        #expect(connected.notices == ["connected"])
        #expect(try bench.receive(heartbeat("function.0"), from: "function.0.e1").isEmpty)
        let router = try bench.receive(heartbeat("router"), from: "router.e1")
        #expect(
            router.sent == [Sent(hello(), to: "router.e1"), Sent(windowMerged(4), to: "router.e1")]
        )
        // A message that an older process left behind changes nothing.
        _ = try bench.receive(heartbeat("function.0", incarnation: 2), from: "function.0.e2")
        #expect(try bench.receive(heartbeat("function.0"), from: "function.0.e1").isEmpty)
    }

    @Test func aWorkerWhoseSeriesAreUnknownIsAskedOnceASecond() throws {
        let series = ClusterMessage.metricSeries(
            MetricSeries(process: "function.0", incarnation: 1, begins: false, sections: [])
        )
        func asked() throws -> Int {
            try bench.receive(series, from: "function.0.e1").sent.count { $0.message == hello() }
        }
        #expect(try asked() == 1)
        #expect(try asked() == 0)
        bench.pass(seconds: 1)
        #expect(try asked() == 1)
    }

    @Test func messagesOfOthersAreRefusedAndCounted() throws {
        let wrong: [(ClusterMessage, String)] = [
            (snapshot(of: worker), "function.1.e1"), (snapshot(of: worker), "function.0.e2"),
            (.segmentsClosed(whole()), "gpu.0.e1"), (findings(1), "function.0.e2"),
            (windowMerged(), "router.e1"),
        ]
        for (message, name) in wrong {
            #expect(try bench.receive(message, from: name).notices.last == "refused", "\(name)")
        }
        // The same message again is counted, but not logged.
        #expect(try bench.receive(windowMerged(), from: "router.e1").notices.isEmpty)
        #expect(bench.refuse(TraceError(.corrupt, "?"), from: nil).notices == ["refused"])
        #expect(bench.losses(.fabricMessageRefused) == 7)
        #expect(bench.tick().jobs.isEmpty && bench.shared.store.processes["function.0"] == nil)
    }

    private func findings(_ window: UInt64) -> ClusterMessage {
        .findings(
            WorkerFindings(
                worker: worker,
                incarnation: 1,
                window: window,
                first: 0,
                lines: Array("{}\n".utf8)
            )
        )
    }

    @Test func findingsAreKeptUntilTheNextWindowIsPublished() throws {
        func count() -> Int { bench.shared.findings.json.count { $0 == UInt8(ascii: "\n") } }
        _ = try bench.receive(findings(1), from: "function.0.e1")
        _ = try bench.receive(findings(2), from: "function.0.e1")
        #expect(count() == 2)
        for (window, left) in [(1, 2), (2, 1)] as [(UInt64, Int)] {
            _ = try bench.announce(whole(window))
            let job = try #require(bench.tick().jobs.first)
            _ = bench.merged(MergeThread.Outcome(job))
            #expect(count() == 2)
            _ = bench.saved(MergeThread.Outcome(job))
            #expect(count() == left)
        }
    }

    @Test func aSilentWorkerIsDownUntilItIsHeardAgain() throws {
        _ = try bench.receive(routerStatus(of: [worker]), from: "router.e1")
        _ = try bench.receive(snapshot(of: worker), from: "function.0.e1")
        func isUp() -> Bool? { bench.shared.store.processes["function.0"]?.isUp }
        #expect(isUp() == true)
        bench.pass(seconds: 3)
        _ = try bench.receive(routerStatus(of: [worker]), from: "router.e1")
        #expect(bench.tick().notices == ["silent"])
        #expect(isUp() == false && bench.shared.silences == 1 && bench.losses(.workerHung) == 1)
        #expect(try bench.receive(heartbeat("function.0"), from: "function.0.e1").isEmpty)
        #expect(bench.tick().notices == ["heardAgain"])
        #expect(isUp() == true && bench.losses(.workerHung) == 1)
    }

    @Test func aWorkerThatShouldNotRunAnyMoreIsForgotten() throws {
        _ = try bench.receive(routerStatus(of: [worker]), from: "router.e1")
        _ = try bench.receive(snapshot(of: worker), from: "function.0.e1")
        _ = try bench.receive(routerStatus(of: []), from: "router.e1")
        #expect(bench.shared.store.processes["function.0"]?.isUp == false)
        bench.pass(seconds: 3)
        _ = try bench.receive(routerStatus(of: []), from: "router.e1")
        #expect(bench.tick().notices.isEmpty)
        // Its windows are not sent to it, until it announces one.
        _ = try bench.announce(whole(1, .function))
        let job = try #require(bench.tick().jobs.first)
        #expect(
            bench.saved(MergeThread.Outcome(job)).sent.map(\.to) == ["function.0.e1", "router.e1"]
        )
    }

    @Test func lostWorkersAndProcessesThatKeepEndingAreShown() throws {
        _ = try bench.receive(routerStatus(of: [worker]), from: "router.e1")
        #expect(bench.needsFiles())
        var files = ProcessFiles()
        files.lost[worker] = "skip it"
        var ends = ProcessEnds()
        for second in Int64(1)...Int64(Limits.crashLoopFailuresMin) {
            ends.add(ProcessEnds.End(at: bench.epochSeconds - second, cause: .signal(9)))
        }
        files.ends["function.0"] = ends
        #expect(bench.tick(files: files).notices == ["unstable"])
        #expect(!bench.needsFiles())
        #expect(bench.shared.store.lost == [worker: "skip it"])
        #expect(bench.shared.store.recentEnds["function.0"]?.count == Limits.crashLoopFailuresMin)
        // It is reported once while it lasts.
        bench.pass(seconds: 1)
        #expect(bench.needsFiles() && bench.tick(files: files).notices.isEmpty)
        files = ProcessFiles()
        files.routerLost = "accept the loss"
        #expect(bench.tick(files: files).notices == ["unstable"])
        #expect(bench.shared.store.lost.isEmpty)
        #expect(bench.shared.store.recentEnds["router"]?.problem == "accept the loss")
    }

    @Test func endsThatNoSupervisorRecordsAreCountedByIncarnations() throws {
        _ = try bench.receive(routerStatus(of: [worker]), from: "router.e1")
        let last = UInt64(Limits.crashLoopFailuresMin) + 1
        for incarnation in 1...last {
            let message = snapshot(of: worker, incarnation: incarnation)
            _ = try bench.receive(message, from: "function.0.e\(incarnation)")
        }
        #expect(bench.tick(files: ProcessFiles()).notices == ["unstable"])
        #expect(bench.shared.store.recentEnds["function.0"]?.count == Limits.crashLoopFailuresMin)
        // A supervisor's record has precedence.
        bench.pass(seconds: 1)
        var files = ProcessFiles()
        files.ends["function.0"] = ProcessEnds()
        _ = bench.tick(files: files)
        #expect(bench.shared.store.recentEnds.isEmpty)
    }

    @Test func theRouterIsSentWhatIsUnaccountedOnceAllIsQuiet() throws {
        func beat(isWorkerUp: Bool = true) throws -> [ClusterMessage] {
            bench.pass(seconds: 1)
            let status = routerStatus(of: [worker], received: 10, uncertain: 100)
            _ = try bench.receive(status, from: "router.e1")
            if isWorkerUp { _ = try bench.receive(snapshot(of: worker), from: "function.0.e1") }
            return bench.tick().sent.map(\.message)
        }
        for _ in 0..<5 { #expect(try beat() == [hello()]) }
        // The worker is asked for all its counts, too.
        #expect(try beat() == [hello(), hello()])
        for _ in 0..<4 { #expect(try beat() == [hello()]) }
        #expect(try beat() == [hello(unaccounted: 10)])
        // One heartbeat a second.
        #expect(bench.tick().sent.isEmpty)
        for _ in 0..<2 { #expect(try beat(isWorkerUp: false) == [hello(unaccounted: 10)]) }
        #expect(try beat(isWorkerUp: false) == [hello()])
        #expect(try beat() == [hello()])
    }

    // MARK: Own metrics

    @Test func theAggregatorsOwnMetricsAreJournaledWhenTheyChange() {
        _ = bench.tick()
        #expect(bench.shared.store.processes["aggregator"]?.pid == 77)
        let bytes = bench.shared.journal.bytes.count
        #expect(bytes > 0)
        _ = bench.tick()
        #expect(bench.shared.journal.bytes.count == bytes)
        var retention = RetentionCounts()
        retention.recordsDamaged = 2
        _ = bench.tick(retention: retention)
        #expect(bench.shared.journal.bytes.count > bytes)
        #expect(bench.losses(.aggregatorStateDamaged) == 2)
    }
}
