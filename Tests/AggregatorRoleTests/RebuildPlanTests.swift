import SystemIO
import Testing
import TraceModel

@testable import AggregatorRole
@testable import TraceFiles

/// Tests each decision about damaged segments.
@Suite struct RebuildPlanTests {
    private let first = WorkerWindow(worker: WorkerName(resource: .io, index: 0), window: 7)
    private let second = WorkerWindow(worker: WorkerName(resource: .io, index: 1), window: 7)

    private func file(
        _ window: WorkerWindow,
        _ kind: OutputKind,
        rows: UInt64 = 10,
        host: String = "h",
        below directory: String = "segments",
        runs: Int = 2
    ) -> ClosedFile {
        ClosedFile(
            kind: kind,
            worker: window.worker,
            window: window.window,
            host: kind == .csv ? "" : host,
            isThisMachine: false,
            runs: (0..<runs).map { run in
                ClosedRun(
                    path: "\(directory)/\(window.worker)/\(kind)\(host)\(run)",
                    order: 0,
                    serial: UInt64(run),
                    rows: rows / UInt64(runs),
                    bytes: 100,
                    firstTs: 5,
                    lastTs: 9,
                    checksum: 3
                )
            }
        )
    }

    private let job = MergeJob(
        resource: .io,
        window: 7,
        barrierLSN: 900,
        stem: "s",
        announcements: []
    )

    private var announced: [ClosedFile] {
        [file(first, .json), file(first, .csv), file(second, .json), file(second, .csv)]
    }

    private func plan(_ damaged: String...) -> RebuildPlan {
        RebuildPlan(job, files: announced, damaged: damaged)
    }

    /// A rebuild makes all outputs of the worker's window again, also those that are not damaged.
    @Test func aRebuildTakesWhatWasAnnounced() {
        #expect(plan("segments/io.0/csv0").bytes(of: first) == 400)
    }

    private func repair(_ step: RebuildPlan.Step) throws -> MergeJob.Repair {
        guard case .merge(let job) = step else {
            throw TraceError(.corrupt, "not merged, but \(step)")
        }
        return try #require(job.repair)
    }

    @Test func aDamagedOutputIsReplacedAsAWhole() throws {
        var plan = plan("segments/io.0/csvh1")
        #expect(plan.next { _ in 0 } == .rebuild(first))
        let rebuilt = file(first, .csv, below: "new", runs: 1)
        plan.ended(.done(.files([file(first, .json, below: "new"), rebuilt])))
        let repair = try repair(plan.next { _ in 1 })
        #expect(repair.files == [announced[0], rebuilt, announced[2], announced[3]])
        #expect(repair.replaced == ["segments/io.0/csvh0", "segments/io.0/csvh1"])
        #expect(repair.rebuilt == [.init(window: first, segments: 1, rows: 10)])
        #expect(repair.reasons.isEmpty)
    }

    /// Each affected worker is rebuilt once, one after the other, however many of its segments are damaged.
    @Test func everyWorkerHasItsTurn() throws {
        var plan = plan("segments/io.1/jsonh0", "segments/io.0/csvh1", "segments/io.0/csvh0")
        #expect(plan.next { _ in 0 } == .rebuild(first))
        #expect(plan.next { _ in 0 } == .rebuild(first))
        plan.ended(.done(.files([file(first, .csv, below: "new")])))
        #expect(plan.next { _ in 0 } == .rebuild(second))
        plan.ended(.done(.impossible("the log is gone")))
        let repair = try repair(plan.next { _ in 0 })
        #expect(repair.rebuilt == [.init(window: first, segments: 2, rows: 10)])
        #expect(repair.files[2] == announced[2])
        #expect(repair.reasons == ["segments/io.1/jsonh0": "the log is gone"])
    }

    /// Other rows would be silently duplicated or lost.
    @Test(arguments: [8, 12]) func otherRowsThanTheAnnouncedOnesAreRefused(_ rows: UInt64) throws {
        var plan = plan("segments/io.0/csvh1")
        plan.ended(.done(.files([file(first, .csv, rows: rows, below: "new")])))
        let repair = try repair(plan.next { _ in 1 })
        #expect(repair.files == announced && repair.replaced.isEmpty && repair.rebuilt.isEmpty)
        #expect(repair.reasons["segments/io.0/csvh1"]?.contains("other rows") == true)
    }

    /// The output has another host, kind, worker or window.
    @Test func anotherOutputIsNotTakenForIt() throws {
        let wrong = [
            file(first, .json, host: "g"), file(first, .csv), file(second, .json),
            file(WorkerWindow(worker: first.worker, window: 6), .json),
        ]
        var plan = plan("segments/io.0/jsonh0")
        plan.ended(.done(.files(wrong)))
        let repair = try repair(plan.next { _ in 1 })
        #expect(repair.files == announced && repair.reasons.count == 1)
    }

    @Test func oneThatDiesIsBegunAgainButNotForEver() throws {
        var plan = plan("segments/io.0/csvh1")
        for attempt in 0..<Limits.rebuildAttemptsMax {
            #expect(plan.next { _ in attempt } == .rebuild(first))
            plan.ended(.died("signal 9"))
        }
        let repair = try repair(plan.next { _ in Limits.rebuildAttemptsMax })
        #expect(repair.reasons["segments/io.0/csvh1"]?.contains("never ended") == true)
    }
}
