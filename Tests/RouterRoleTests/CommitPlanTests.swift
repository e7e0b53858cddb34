import GRPCTransport
import Glibc
import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import RouterRole
@testable import TraceTime

/// Tests what the commit thread does with each group for any result of the disk.
@Suite struct CommitPlanTests {
    private static let second: Int64 = 1_000_000_000
    private static let start = 100 * second
    private static let hold = Int64(Limits.callHoldSeconds) * second
    private static let full = SystemError(errno: ENOSPC, call: "pwrite", subject: "log")
    private static let roomy = 1 << 40

    /// A plan and the log it would write, with a clock and a disk that the test controls.
    private struct Bench {
        var plan: CommitPlan
        var now = CommitPlanTests.start
        var log: Range<LSN> = 0..<1_000
        var freeBytes = CommitPlanTests.roomy
        var rebuildBytes = 0
        var slowest: (worker: WorkerName, lsn: LSN)?
        private var calls = 0

        init(
            _ state: RouterState = RouterState(slotMap: SlotMap(workers: [:])),
            logBudgetBytes: Int = .max,
            isReplicated: Bool = false
        ) {
            plan = CommitPlan(
                state: state,
                totals: LogCounts(),
                logBudgetBytes: logBudgetBytes,
                stems: StemClock(zone: TimeZoneRules(name: "UTC")),
                now: CommitPlanTests.start,
                isReplicated: isReplicated
            )
        }

        /// Adds a call to the group: a batch with `events` events that arrives now.
        mutating func add(
            _ events: Int,
            sequence: UInt64 = 0,
            verdict: DedupWindow.Verdict = .new,
            isLast: Bool = false,
            to group: CommitGroup
        ) {
            let bytes = TestBatch.bytes(
                events: events,
                client: sequence > 0 ? "c" : "",
                sequence: sequence,
                isLast: isLast
            )
            let message = ReceivedMessage(bytes)
            var admission = BatchAdmission()
            let outcome = admission.admit(message, peerHost: [1], into: group) { _ in verdict }
            group.add(
                AckTicket(sender: .simulated(calls), outcome: outcome, bytes: 1, arrival: now)
            )
            calls += 1
        }

        mutating func group(_ events: Int...) -> CommitGroup {
            let group = CommitGroup()
            for count in events { add(count, to: group) }
            return group
        }

        mutating func next() -> CommitPlan.Action {
            let seen = CommitPlan.Surroundings(
                now: now,
                arrival: 1_760_000_000_000_000_000 + now,
                log: log,
                volume: .init(name: "disk", bytes: freeBytes, rebuildBytes: rebuildBytes),
                outputs: OutputReports(),
                slowest: slowest
            )
            return plan.next { seen }
        }

        mutating func wrote(_ group: CommitGroup) {
            let begin = log.upperBound
            log = log.lowerBound..<begin + LSN(group.byteCount)
            plan.wrote(begin..<log.upperBound)
        }

        /// Completes the current group's write and returns the steps taken.
        mutating func finish() throws -> (steps: [String], end: CommitPlan.Conclusion) {
            var steps: [String] = []
            for _ in 0..<20 {
                switch next() {
                case .report(let notice): steps.append("report \(notice)")
                case .refuse(let refusal): steps.append("refuse \(refusal.reason)")
                case .wait: steps.append("wait")
                case .write(let group, _):
                    let types = group.log.offsets.map { offset in
                        group.log.record(at: offset).type.map { "\($0)" } ?? "?"
                    }
                    steps.append("write " + types.joined(separator: " "))
                    wrote(group)
                case .replicate:
                    steps.append("replicate")
                    plan.replicated(to: log.upperBound, problem: nil)
                case .refuseQueued: steps.append("refuse queued")
                case .answer(let group):
                    steps.append("answer \(group.tickets.count)")
                    group.tickets = []
                case .finish(let end): return (steps, end)
                }
            }
            throw TraceError(.unreachable, "no end: \(steps)")
        }

        mutating func commit(
            _ group: CommitGroup,
            _ requests: [IngestQueue.BarrierRequest] = [],
            _ verdicts: [IngestQueue.VerdictRequest] = [],
            unaccounted: UInt64? = nil
        ) throws -> (steps: [String], end: CommitPlan.Conclusion) {
            plan.take(
                group,
                requests: requests,
                verdicts: verdicts,
                unaccounted: unaccounted,
                now: now
            )
            return try finish()
        }
    }

    private static func barrier(
        _ reason: BarrierPayload.Reason = .command,
        _ map: SlotMap? = nil
    ) -> IngestQueue.BarrierRequest {
        IngestQueue.BarrierRequest(reason: reason, slotMap: map) { _ in }
    }

    private static func verdict(from lsn: LSN, events: UInt64 = 3) -> IngestQueue.VerdictRequest {
        let payload = VerdictPayload(
            worker: WorkerName(resource: .io, index: 0),
            cause: .skip,
            range: lsn..<lsn + 8,
            events: events,
            reason: "test"
        )
        return IngestQueue.VerdictRequest(verdict: payload) { _ in }
    }

    // MARK: Ticks

    @Test func aTickIsWrittenOnceASecondAndNothingElseIs() throws {
        var bench = Bench()
        #expect(try bench.commit(CommitGroup()).steps == ["write tick"])
        #expect(bench.plan.deadline == bench.now + Self.second)
        bench.now += Self.second - 1
        let early = try bench.commit(CommitGroup())
        #expect(early.steps.isEmpty && early.end.outcome == .empty)
        bench.now += 1
        #expect(try bench.commit(CommitGroup()).steps == ["write tick"])
    }

    @Test func ticksEndAMinuteAfterTheLastBatch() throws {
        var bench = Bench()
        #expect(try bench.commit(bench.group(1)).steps.first == "write batch tick")
        bench.now += 60 * Self.second - 1
        #expect(try bench.commit(CommitGroup()).steps == ["write tick"])
        bench.now += Self.second
        #expect(try bench.commit(CommitGroup()).steps.isEmpty)
        // Duplicates and refusals are logged by a tick at any time.
        let double = CommitGroup()
        bench.add(2, sequence: 1, verdict: .duplicate, to: double)
        bench.now += Self.second
        #expect(try bench.commit(double).steps == ["write tick", "answer 1"])
        #expect(bench.plan.totals.deduplicated == 2)
    }

    @Test func whatNoRecordCarriesIsWrittenAtTheEnd() throws {
        var bench = Bench()
        _ = try bench.commit(bench.group(1))
        let isEarly = bench.plan.takeUncounted(now: bench.now, arrival: 1)
        #expect(!isEarly)
        let double = CommitGroup()
        bench.add(4, sequence: 1, verdict: .duplicate, to: double)
        let answered = try bench.commit(double)
        #expect(answered.steps == ["answer 1"] && answered.end.outcome == .empty)
        #expect(bench.plan.totals.deduplicated == 0)
        let isCounted = bench.plan.takeUncounted(now: bench.now, arrival: 1)
        #expect(isCounted)
        let last = try bench.finish()
        #expect(last.steps == ["write tick"] && last.end.outcome == .durable)
        #expect(bench.plan.totals.deduplicated == 4)
        let isTwice = bench.plan.takeUncounted(now: bench.now, arrival: 1)
        #expect(!isTwice)
    }

    // MARK: What goes into a group

    @Test func callsAreAnsweredBehindTheWriteAndTheFirstRecordCountsWhatNoneDid() throws {
        var bench = Bench()
        let group = bench.group(2, 3)
        bench.add(5, sequence: 1, verdict: .duplicate, to: group)
        bench.add(7, sequence: 2, verdict: .differs, to: group)
        bench.plan.take(group, now: bench.now)
        guard case .write(let written, let counts) = bench.next() else {
            Issue.record("no write")
            return
        }
        #expect(written === group && counts.count == 3)
        #expect(counts.map(\.acceptedTotal) == [2, 5, 5])
        #expect(counts.allSatisfy { $0.deduplicated == 5 && $0.rejected == 7 })
        let begin = bench.log.upperBound
        bench.wrote(group)
        #expect(group.begin == begin && group.end == bench.log.upperBound)
        #expect(group.totals == counts[2] && bench.plan.totals == counts[2])
        let (steps, end) = try bench.finish()
        #expect(steps == ["answer 4"] && end.outcome == .durable && end.group === group)
    }

    @Test func aBarrierStandsBehindTheBatchesAndBringsTheLastMapAskedFor() throws {
        var bench = Bench()
        let wider = SlotMap(workers: [:]).rescaled(.gpu, to: 4)
        let requests = [Self.barrier(.command), Self.barrier(.scale, wider), Self.barrier(.stop)]
        let (steps, end) = try bench.commit(bench.group(1, 1), requests)
        #expect(steps == ["write batch batch barrier", "answer 2"])
        #expect(end.barrier?.reason == .command && end.barrier?.slotMap == wider)
        #expect(end.barrier?.window == 0 && bench.plan.state.window == 1)
        #expect(end.group.barriers.map(\.end) == [bench.log.upperBound])
        #expect(bench.plan.state.slotMap == wider)
        // The second barrier falls into the same second and needs another name.
        let next = try bench.commit(CommitGroup(), [Self.barrier()])
        #expect(next.end.barrier?.window == 1 && next.end.barrier?.slotMap == wider)
        #expect(next.end.barrier?.stem != end.barrier?.stem)
    }

    @Test func aLastBatchEndsItsWindowInItsOwnGroup() throws {
        var bench = Bench()
        let group = CommitGroup()
        bench.add(1, sequence: 1, isLast: true, to: group)
        let (steps, end) = try bench.commit(group)
        #expect(steps.first == "write batch barrier" && end.barrier?.reason == .lastBatch)
        // The next barrier has to wait, counted from this one.
        let next = CommitGroup()
        bench.add(1, sequence: 2, isLast: true, to: next)
        bench.now += 10 * Self.second - 1
        #expect(try bench.commit(next).end.barrier == nil)
        bench.now += 1
        #expect(try bench.commit(CommitGroup()).end.barrier?.reason == .lastBatch)
    }

    @Test func aVerdictIsWrittenOnce() throws {
        var bench = Bench()
        let requests = [Self.verdict(from: 8), Self.verdict(from: 64, events: 4)]
        let (steps, end) = try bench.commit(CommitGroup(), [], requests)
        #expect(steps == ["write verdict verdict tick"] && end.areVerdictsDurable)
        #expect(end.group.verdicts.count == 2 && bench.plan.totals.deadLettered == 7)
        let again = try bench.commit(CommitGroup(), [], [Self.verdict(from: 8)])
        #expect(again.end.outcome == .empty && again.end.areVerdictsDurable)
        #expect(bench.plan.totals.deadLettered == 7)
        bench.plan.trimmed(below: 100)
        #expect(bench.plan.state.verdicts.count == 0)
    }

    @Test func uncertainEventsAreSettledOnceAndOnlyWhereTheDamageExplainsThem() throws {
        var state = RouterState(slotMap: SlotMap(workers: [:]))
        state.note(DamagePayload(range: 8..<64, events: 0, uncertain: 10))
        var bench = Bench(state)
        let (steps, _) = try bench.commit(CommitGroup(), unaccounted: 11)
        #expect(steps == ["report unexplained(events: 11, uncertain: 10)", "write tick"])
        #expect(bench.plan.state.uncertainEvents == 10)
        let settled = try bench.commit(CommitGroup(), unaccounted: 10)
        #expect(settled.steps == ["write damage tick", "report settled(events: 10)"])
        #expect(bench.plan.state.uncertainEvents == 0 && bench.plan.totals.deadLettered == 10)
        #expect(try bench.commit(CommitGroup(), unaccounted: 10).steps.isEmpty)
    }

    // MARK: No room

    @Test func callsWaitForTheRoomThatARebuildNeeds() throws {
        var bench = Bench()
        bench.rebuildBytes = Self.roomy
        let group = bench.group(2)
        bench.plan.take(group, now: bench.now)
        guard case .wait = bench.next() else {
            Issue.record("no wait")
            return
        }
        #expect(bench.plan.obstacle == .diskSpace && bench.plan.freeBytesMin > Self.roomy)
        bench.rebuildBytes = 0
        #expect(try bench.finish().end.outcome == .durable)
    }

    @Test func callsWaitForRoomUntilEachIsRefusedAlone() throws {
        var bench = Bench()
        _ = try bench.commit(CommitGroup())
        let group = bench.group(2)
        bench.now += Self.second / 2
        bench.add(3, sequence: 1, to: group)
        bench.freeBytes = 0
        bench.plan.take(group, now: bench.now)
        guard case .wait = bench.next() else {
            Issue.record("no wait")
            return
        }
        #expect(bench.plan.obstacle == .diskSpace && bench.plan.freeBytesMin > 0)
        bench.now = Self.start + Self.hold - 1
        guard case .wait = bench.next() else {
            Issue.record("refused too early")
            return
        }
        bench.now += 1
        guard case .refuse(let refusal) = bench.next() else {
            Issue.record("not refused")
            return
        }
        #expect(refusal.reason == "disk_space" && refusal.batches == 1)
        #expect(refusal.tickets.map(\.outcome.events) == [2] && refusal.keys.isEmpty)
        guard case .wait = bench.next() else {
            Issue.record("the younger call does not wait")
            return
        }
        bench.freeBytes = Self.roomy
        let (steps, _) = try bench.finish()
        #expect(steps == ["write batch tick", "answer 1"] && bench.plan.obstacle == nil)
        #expect(bench.plan.totals.acceptedTotal == 3 && bench.plan.totals.rejected == 2)
    }

    /// Barriers, verdicts and ticks are small, and workers need them to free space.
    @Test func aGroupWithoutBatchesIsWrittenWhereNoneAreTaken() throws {
        var bench = Bench()
        bench.freeBytes = 0
        let (steps, _) = try bench.commit(CommitGroup(), [Self.barrier()], [Self.verdict(from: 8)])
        #expect(steps == ["write barrier verdict"])
        #expect(bench.plan.obstacle == .diskSpace)
    }

    @Test func theLogsBudgetNamesTheWorkerThatHoldsItAndEndsTheWindowAtHalf() throws {
        var bench = Bench(logBudgetBytes: 40_000)
        _ = try bench.commit(CommitGroup())
        bench.log = 0..<20_000
        let (steps, end) = try bench.commit(bench.group(1))
        #expect(steps.first == "report logAtHalf" && end.barrier?.reason == .size)
        // Reported once.
        #expect(try bench.commit(bench.group(1)).steps == ["write batch", "answer 1"])
        bench.log = 0..<40_000
        bench.slowest = (WorkerName(resource: .io, index: 1), 40)
        let group = bench.group(1)
        bench.plan.take(group, now: bench.now)
        bench.now += Self.hold
        guard case .refuse(let refusal) = bench.next() else {
            Issue.record("not refused")
            return
        }
        #expect(refusal.reason == "log_budget")
        #expect(refusal.error.description.contains("tracectl skip io.1 --to 40000"))
        #expect(try bench.finish().end.outcome == .durable)
        #expect(bench.plan.totals.rejected == 1)
    }

    // MARK: Failed writes

    /// Returns a group whose first write has failed, in a bench where no tick is due.
    private func failing(
        _ fill: (inout Bench, CommitGroup) -> Void,
        _ requests: [IngestQueue.BarrierRequest] = [],
        _ verdicts: [IngestQueue.VerdictRequest] = []
    ) throws -> (bench: Bench, group: CommitGroup) {
        var bench = Bench()
        _ = try bench.commit(CommitGroup())
        let group = CommitGroup()
        fill(&bench, group)
        bench.plan.take(group, requests: requests, verdicts: verdicts, now: bench.now)
        guard case .write = bench.next() else { throw TraceError(.unreachable, "no write") }
        let isTriedAgain = bench.plan.failed(Self.full)
        #expect(isTriedAgain && bench.plan.obstacle == .diskSpace)
        return (bench, group)
    }

    @Test func aFullDiskIsTriedAgainWithTheSameGroup() throws {
        var (bench, group) = try failing({ $0.add(2, to: $1) }, [Self.barrier()])
        for _ in 0..<3 {
            guard case .write(let again, let counts) = bench.next() else {
                Issue.record("no second write")
                return
            }
            #expect(again === group && counts.last?.acceptedTotal == 2)
            let isTriedAgain = bench.plan.failed(Self.full)
            #expect(isTriedAgain)
        }
        let (steps, end) = try bench.finish()
        #expect(steps == ["write batch barrier", "answer 1"])
        #expect(end.outcome == .durable && end.barrier != nil)
        #expect(bench.plan.state.window == 1 && bench.plan.totals.acceptedTotal == 2)
    }

    @Test func aGroupIsGivenUpOnceAllItsCallsAreRefused() throws {
        var (bench, _) = try failing(
            { bench, group in
                bench.add(2, sequence: 7, to: group)
                bench.now += 1
                bench.add(2, sequence: 7, verdict: .duplicate, to: group)
                bench.add(9, sequence: 8, verdict: .duplicate, to: group)
            },
            [Self.barrier()],
            [Self.verdict(from: 8)]
        )
        bench.now = Self.start + Self.hold
        guard case .refuse(let refusal) = bench.next() else {
            Issue.record("not refused")
            return
        }
        // Duplicates of a refused batch are refused with it.
        #expect(refusal.reason == "disk_full" && refusal.batches == 2)
        #expect(refusal.keys.map(\.sequence) == [7] && refusal.tickets.count == 1)
        let (steps, end) = try bench.finish()
        #expect(steps == ["answer 2"] && end.outcome == .givenUp)
        #expect(end.requests.count == 1 && end.barrier == nil && !end.areVerdictsDurable)
        #expect(bench.plan.state.window == 0 && bench.plan.totals == LogCounts())
        #expect(bench.plan.state.verdicts.count == 0)
        // The next record contains both counts.
        bench.now += Self.second
        #expect(try bench.commit(CommitGroup()).steps == ["write tick"])
        #expect(bench.plan.totals.rejected == 4 && bench.plan.totals.deduplicated == 9)
    }

    @Test func aGroupWithoutCallsIsGivenUpAfterAsLong() throws {
        var (bench, _) = try failing({ _, _ in }, [Self.barrier()], [Self.verdict(from: 8)])
        bench.now += Self.hold - 1
        guard case .write = bench.next() else {
            Issue.record("given up too early")
            return
        }
        let isTriedAgain = bench.plan.failed(Self.full)
        #expect(isTriedAgain)
        bench.now += 1
        let (steps, end) = try bench.finish()
        #expect(steps.isEmpty && end.outcome == .givenUp && !end.areVerdictsDurable)
    }

    @Test(arguments: [EIO, ESTALE, ESHUTDOWN, EROFS]) func afterAnyOtherErrorNothingIsAnswered(
        errno: Int32
    ) throws {
        var bench = Bench()
        bench.plan.take(bench.group(1), now: bench.now)
        guard case .write = bench.next() else {
            Issue.record("no write")
            return
        }
        let isTriedAgain = bench.plan.failed(
            SystemError(errno: errno, call: "fdatasync", subject: "log")
        )
        #expect(!isTriedAgain)
    }

    // MARK: Accounting

    /// Each received event is counted exactly once, whether it is written, refused or given up.
    @Test(arguments: 0..<30 as Range<UInt64>) func eachEventIsCountedOnce(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var bench = Bench()
        var (accepted, received) = (0, 0)
        var sequence: UInt64 = 0
        for _ in 0..<120 {
            let group = CommitGroup()
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let verdict: DedupWindow.Verdict =
                    [.new, .new, .new, .duplicate, .differs].randomElement(using: &random) ?? .new
                let events = Int.random(in: 1...4, using: &random)
                if verdict == .new || sequence == 0 { sequence += 1 }
                bench.add(events, sequence: sequence, verdict: verdict, to: group)
                bench.now += Int64.random(in: 0...Self.second, using: &random)
                received += events
            }
            let isAsked = Int.random(in: 0..<5, using: &random) == 0
            bench.plan.take(group, requests: isAsked ? [Self.barrier()] : [], now: bench.now)
            bench.freeBytes = Int.random(in: 0..<4, using: &random) == 0 ? 0 : Self.roomy
            var isOver = false
            while !isOver {
                switch bench.next() {
                case .report: break
                case .refuse(let refusal):
                    try #require(refusal.tickets.allSatisfy { $0.hold.isOver(at: bench.now) })
                case .wait:
                    bench.now += Int64.random(in: 0...Self.second, using: &random)
                    if Int.random(in: 0..<8, using: &random) == 0 { bench.freeBytes = Self.roomy }
                case .write(let group, _):
                    if Int.random(in: 0..<3, using: &random) == 0 {
                        let isTriedAgain = bench.plan.failed(Self.full)
                        try #require(isTriedAgain)
                        bench.now += Int64.random(in: 0...Self.second, using: &random)
                    } else {
                        for ticket in group.tickets where ticket.isAccepted {
                            accepted += ticket.outcome.events
                        }
                        bench.wrote(group)
                    }
                case .replicate, .refuseQueued: Issue.record("the log is not replicated")
                case .answer(let group): group.tickets = []
                case .finish(let end):
                    isOver = true
                    try #require(end.outcome != .durable || end.group.end == bench.log.upperBound)
                }
            }
        }
        if bench.plan.takeUncounted(now: bench.now, arrival: 1) { _ = try bench.finish() }
        let totals = bench.plan.totals
        #expect(totals.acceptedTotal == UInt64(accepted))
        #expect(totals.acceptedTotal + totals.deduplicated + totals.rejected == UInt64(received))
    }

    // MARK: Replicated log

    @Test func aReplicatedGroupIsAnsweredOnceAQuorumHasIt() throws {
        var bench = Bench(isReplicated: true)
        let group = bench.group(3, 4)
        bench.plan.take(group, now: bench.now)
        guard case .write = bench.next() else {
            Issue.record("it is not written")
            return
        }
        bench.wrote(group)
        for lsn in [0, group.end - 1] {
            bench.plan.replicated(to: lsn, problem: nil)
            // The queue is checked beside it.
            if case .refuseQueued = bench.next() {}
            guard case .replicate = bench.next() else {
                Issue.record("it goes on with a quorum at \(lsn)")
                return
            }
        }
        bench.plan.replicated(to: group.end, problem: nil)
        guard case .answer(let answered) = bench.next() else {
            Issue.record("it is not answered")
            return
        }
        #expect(answered.tickets.count == 2)
    }

    @Test func callsThatWaitForAQuorumAreRefusedAndTheirEventsCount() throws {
        var bench = Bench(isReplicated: true)
        let group = bench.group(3)
        bench.plan.take(group, now: bench.now)
        guard case .write = bench.next() else {
            Issue.record("it is not written")
            return
        }
        bench.wrote(group)
        let hold = Int64(Limits.replicaHoldSeconds) * Self.second
        bench.now += hold - 1
        guard case .refuseQueued(_, _, let time) = bench.next() else {
            Issue.record("calls in the queue are held for ever")
            return
        }
        #expect(time == bench.now - hold + Self.hold)
        guard case .replicate = bench.next() else {
            Issue.record("the call is refused too early")
            return
        }
        bench.now += 1
        bench.plan.replicated(to: 0, problem: "no leader")
        guard case .refuse(let refusal) = bench.next() else {
            Issue.record("the call is held for ever")
            return
        }
        #expect(refusal.reason == "no_quorum")
        #expect(refusal.error.message.contains("no leader"))
        #expect(refusal.batches == 1)
        #expect(refusal.keys.isEmpty)
        #expect(bench.plan.obstacle == .noQuorum)
        bench.plan.replicated(to: group.end, problem: nil)
        guard case .finish(let end) = bench.next() else {
            Issue.record("the group is not routed")
            return
        }
        #expect(end.outcome == .durable)
        #expect(bench.plan.obstacle == nil)
        #expect(bench.plan.totals.acceptedTotal == 3)
        #expect(bench.plan.totals.rejected == 0)
    }
}
