import ClusterMessages
import GRPCTransport
import IngestLog
import Logging
import SystemIO
import TestSupport
import Testing
import TraceMetrics
import TraceModel
import ZeroMQ

@testable import RouterRole
@testable import TraceTime

/// Tests what each worker is sent and waits for, with a real log and simulated connections.
@Suite(.serialized) struct RoutingStateTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private static let first = WorkerName(resource: .function, index: 0)
    private static let second = WorkerName(resource: .function, index: 1)

    /// The connections to the workers.
    private final class Port: RoutingPort {
        var result = ZMQSendResult.sent
        var takesCases = true
        private(set) var cases: [DeadLetterCase] = []
        private(set) var notices: [RoutingState.Notice] = []
        private(set) var sent: [(message: RoutingState.Message, peer: RoutingID)] = []

        func send(_ message: RoutingState.Message, to peer: RoutingID) -> ZMQSendResult {
            if result == .sent { sent.append((message, peer)) }
            return result
        }

        func setAside(_ events: DeadLetterCase) -> Bool {
            if takesCases { cases.append(events) }
            return takesCases
        }

        func report(_ notice: RoutingState.Notice) { notices.append(notice) }

        /// Returns the messages since the last call, as text.
        func take() -> [String] {
            defer { sent = [] }
            return sent.map { message, peer in
                switch message {
                case .share(let header, _): "\(peer) \(header.fromLSN)..<\(header.toLSN)"
                case .welcome(let welcome): "\(peer) welcome \(welcome.lsn)"
                case .fenced(let fenced): "\(peer) fenced\(fenced.isLost ? " lost" : "")"
                case .whoAreYou: "\(peer) who"
                }
            }
        }

        func takeShares() -> [(header: ShareHeader, bytes: [UInt8], peer: RoutingID)] {
            defer { sent = [] }
            return sent.compactMap { message, peer in
                guard case .share(let header, let payload) = message else { return nil }
                return (header, Array(payload.buffer.bytes), peer)
            }
        }
    }

    /// A log and the state that routes it. `end` must always be called.
    private final class Bench {
        let port = Port()
        var state: RoutingState
        var log: CommitLog
        var plan: CommitPlan
        var catchUp: CatchUp
        private var admission = BatchAdmission()
        var now: Int64 = 1_000_000_000_000

        init(workers: [Resource: Int] = [:], damaged: [Range<LSN>] = []) throws {
            try FileSystem.createDirectory(ClusterPaths.log)
            let directory = LogDirectory(path: ClusterPaths.log)
            let recovery = try LogRecovery.run(directory, salt: 7) { _ in }
            let writer = try LogWriter(directory: directory, salt: 7, recovery: recovery)
            let router = RouterState(slotMap: SlotMap(workers: workers))
            plan = CommitPlan(
                state: router,
                totals: LogCounts(),
                stems: StemClock(zone: TimeZoneRules(name: "UTC")),
                now: now
            )
            log = CommitLog(writer, state: router, logger: RoutingStateTests.logger)
            state = RoutingState(
                maps: router.history,
                verdicts: Verdicts(),
                counts: LogCounts(),
                window: 0,
                log: log.range,
                damaged: damaged
            )
            catchUp = CatchUp(salt: 7, damaged: damaged, pool: state.pool)
        }

        func end() { log.close() }

        // Expectations cannot copy the state itself.
        func session(_ worker: WorkerName) -> WorkerSession? { state.sessions[worker] }
        func isBehind(_ worker: WorkerName) -> Bool { state.isBehind(worker) }
        func takeHoldings() -> [SlotHolding]? { state.takeHoldings() }
        func takeOutputs() -> OutputReports? { state.takeOutputs() }
        var readings: [RoutingState.Reading] { state.readings }
        var isHandedOver: Bool { state.isHandedOver }
        var trimmableLSN: LSN { state.trimmableLSN }
        var routedLSN: LSN { state.routedLSN }
        var slowest: (worker: WorkerName, lsn: LSN)? { state.slowest }
        var status: RouterStatus { state.status }
        var maps: SlotMapHistory { state.maps }

        func peer(_ worker: WorkerName, _ incarnation: UInt64 = 1) -> RoutingID {
            guard let peer = RoutingID("\(worker).e\(incarnation)") else {
                preconditionFailure("no such name")
            }
            return peer
        }

        func see() { state.see(.init(readable: log.range, workLSN: log.range.upperBound)) }

        /// Makes a group durable: a batch of `events` function events of as many processes, and a barrier if there
        /// is a map.
        func commit(
            _ events: Int,
            _ map: SlotMap? = nil,
            verdict: VerdictPayload? = nil
        ) throws -> CommitGroup {
            let group = CommitGroup()
            if events > 0 {
                let batch = TestBatch.bytes((0..<events).map { (.function, UInt32($0 + 1)) })
                let outcome = admission.admit(ReceivedMessage(batch), peerHost: [1], into: group) {
                    _ in .new
                }
                group.add(
                    AckTicket(sender: .simulated(0), outcome: outcome, bytes: 1, arrival: now)
                )
            }
            let requests = map.map { map in
                [IngestQueue.BarrierRequest(reason: .scale, slotMap: map) { _ in }]
            }
            let verdicts = verdict.map { [IngestQueue.VerdictRequest(verdict: $0) { _ in }] }
            now += 1_000_000_000
            plan.take(group, requests: requests ?? [], verdicts: verdicts ?? [], now: now)
            while true {
                switch plan.next({
                    CommitPlan.Surroundings(
                        now: now,
                        arrival: 1_760_000_000_000_000_000 + now,
                        log: log.range,
                        volume: .init(name: "disk", bytes: 1 << 40),
                        outputs: OutputReports()
                    )
                }) {
                case .write(let group, let counts):
                    plan.wrote(
                        try log.write(group, counts: counts) { plan.state.encodeHead(into: &$0) }
                    )
                case .answer(let group): group.tickets = []
                case .finish(let end): return end.group
                case .report, .refuse, .replicate, .refuseQueued, .wait:
                    throw TraceError(.unreachable, "not committed")
                }
            }
        }

        func route(_ groups: CommitGroup...) {
            see()
            state.route(groups, now: now, port)
        }

        func hello(
            _ worker: WorkerName,
            _ incarnation: UInt64 = 1,
            resume: LSN = 0,
            claim: WorkerHello.Claim? = nil
        ) {
            see()
            state.hello(
                WorkerHello(
                    worker: worker,
                    incarnation: incarnation,
                    pid: 1,
                    resumeLSN: resume,
                    checkpointLSN: resume,
                    claim: claim
                ),
                from: peer(worker, incarnation),
                port
            )
        }

        func progress(
            _ worker: WorkerName,
            _ incarnation: UInt64 = 1,
            applied: LSN,
            checkpoint: LSN = 0
        ) {
            see()
            state.progress(
                WorkerProgress(
                    worker: worker,
                    incarnation: incarnation,
                    appliedLSN: applied,
                    checkpointLSN: checkpoint,
                    window: 0,
                    windowBytes: 0,
                    mergeBytes: 0
                ),
                from: peer(worker, incarnation),
                port
            )
            state.openGates(now: now, port)
        }

        /// Reads one step for each worker that is behind.
        func read() throws {
            for reading in state.readings {
                let step = try catchUp.step(reading, maps: state.maps, verdicts: state.verdicts)
                _ = state.read(step, for: reading, port)
            }
            catchUp.keepReaders { state.isBehind($0) }
        }
    }

    private func run(_ workers: [Resource: Int] = [:], _ body: (Bench) throws -> Void) throws {
        try TemporaryDirectory().asWorkingDirectory {
            let bench = try Bench(workers: workers)
            defer { bench.end() }
            try body(bench)
        }
    }

    // MARK: Hellos

    @Test func aNewWorkerBeginsWhereItFirstOwnedSlotsAndIsSentWhatComes() throws {
        try run { bench in
            bench.hello(Self.first)
            // It owns nothing before a barrier that does not exist yet.
            bench.hello(Self.second)
            #expect(bench.port.take() == ["function.0.e1 welcome 0", "function.1.e1 welcome 0"])
            let group = try bench.commit(3)
            bench.route(group)
            let header = try #require(
                bench.port.takeShares().first { $0.peer == bench.peer(Self.first) }
            )
            #expect(header.header.fromLSN == 0 && header.header.toLSN == group.end)
            #expect(bench.session(Self.first)?.position == group.end)
            #expect(bench.routedLSN == group.end && bench.readings.isEmpty)
        }
    }

    @Test func anOlderProcessOfTheSameNameIsFenced() throws {
        try run { bench in
            bench.hello(Self.first, 1)
            bench.hello(Self.first, 2)
            #expect(
                bench.port.take() == [
                    "function.0.e1 welcome 0", "function.0.e1 fenced", "function.0.e2 welcome 0",
                ]
            )
            // Messages of the older process are not accepted.
            bench.progress(Self.first, 1, applied: 0)
            #expect(bench.port.take() == ["function.0.e1 who"])
            // The same process may say hello again.
            bench.hello(Self.first, 2)
            #expect(bench.port.take() == ["function.0.e2 welcome 0"])
        }
    }

    @Test func whoStandsOutsideTheLogIsLost() throws {
        try run { bench in
            let end = try bench.commit(1).end
            bench.hello(Self.first, resume: end + 8)
            #expect(bench.port.take() == ["function.0.e1 fenced lost"])
            bench.state.see(.init(readable: 64..<end, workLSN: end))
            bench.state.hello(
                WorkerHello(
                    worker: Self.first,
                    incarnation: 1,
                    pid: 1,
                    resumeLSN: 56,
                    checkpointLSN: 56
                ),
                from: bench.peer(Self.first),
                bench.port
            )
            #expect(bench.port.take() == ["function.0.e1 fenced lost"])
            #expect(bench.port.notices.count == 2 && bench.session(Self.first) == nil)
        }
    }

    /// The log's begin is lost and an operator has accepted that: a worker at that position is sent past it.
    @Test func whoStandsInADamagedRangeAtTheLogsBeginGoesOn() throws {
        try TemporaryDirectory().asWorkingDirectory {
            let bench = try Bench(damaged: [8..<64])
            defer { bench.end() }
            bench.state.see(.init(readable: 64..<128, workLSN: 128))
            let hello = WorkerHello(
                worker: Self.first,
                incarnation: 1,
                pid: 1,
                resumeLSN: 56,
                checkpointLSN: 56
            )
            bench.state.hello(hello, from: bench.peer(Self.first), bench.port)
            #expect(bench.port.take() == ["function.0.e1 welcome 56"])
        }
    }

    // MARK: Progress

    @Test func progressThatCannotBeTrueEndsTheSession() throws {
        try run { bench in
            let end = try bench.commit(1).end
            for (applied, checkpoint) in [(end + 1, 0), (8, 16)] as [(LSN, LSN)] {
                bench.hello(Self.first)
                _ = bench.port.take()
                bench.progress(Self.first, applied: applied, checkpoint: checkpoint)
                #expect(bench.port.take() == ["function.0.e1 fenced"])
                #expect(bench.session(Self.first) == nil)
            }
        }
    }

    @Test func theLogIsNeededUntilEveryWorkersCheckpointHoldsIt() throws {
        try run { bench in
            let end = try bench.commit(1).end
            for worker in bench.maps.current.allWorkers.dropLast() {
                bench.hello(worker)
                bench.progress(worker, applied: end, checkpoint: end)
            }
            #expect(bench.trimmableLSN == 0)
            let last = try #require(bench.maps.current.allWorkers.last)
            bench.hello(last)
            bench.progress(last, applied: end)
            #expect(bench.trimmableLSN == 0 && bench.slowest?.worker == last)
            bench.progress(last, applied: end, checkpoint: 8)
            #expect(bench.trimmableLSN == 8)
            bench.progress(last, applied: end, checkpoint: end)
            #expect(bench.trimmableLSN == end)
        }
    }

    // MARK: Sends that fail

    @Test func whatFoundNoRoomIsReadFromTheLogLater() throws {
        try run { bench in
            bench.hello(Self.first)
            _ = bench.port.take()
            let group = try bench.commit(2)
            bench.port.result = .wouldBlock
            bench.route(group)
            #expect(bench.isBehind(Self.first) && bench.port.take().isEmpty)
            try bench.read()
            #expect(bench.isBehind(Self.first))
            bench.port.result = .sent
            try bench.read()
            #expect(bench.port.take() == ["function.0.e1 0..<\(group.end)"])
            #expect(!bench.isBehind(Self.first))
        }
    }

    @Test func whoIsGoneHasNoSession() throws {
        try run { bench in
            bench.hello(Self.first)
            bench.port.result = .noSuchPeer
            bench.route(try bench.commit(2))
            #expect(bench.session(Self.first) == nil && bench.readings.isEmpty)
        }
    }

    @Test func aGroupThatTheInboxDroppedIsReadFromTheLog() throws {
        try run { bench in
            bench.hello(Self.first)
            _ = bench.port.take()
            let dropped = try bench.commit(2)
            let next = try bench.commit(1)
            bench.route(next)
            #expect(bench.port.take().isEmpty && bench.isBehind(Self.first))
            try bench.read()
            #expect(bench.port.take() == ["function.0.e1 0..<\(next.end)"])
            #expect(dropped.end == next.begin)
        }
    }

    // MARK: Slots that move

    @Test func whoGainsSlotsWaitsForTheCheckpointOfWhoLosesThem() throws {
        try run { bench in
            bench.hello(Self.first)
            bench.hello(Self.second)
            _ = bench.port.take()
            let map = bench.maps.current.rescaled(.function, to: 2)
            let change = try bench.commit(0, map)
            bench.route(change)
            #expect(!bench.isHandedOver)
            // Both are sent the barrier itself.
            #expect(bench.port.take().count == 2)
            let group = try bench.commit(40)
            bench.route(group)
            #expect(bench.port.take() == ["function.0.e1 \(change.end)..<\(group.end)"])
            #expect(bench.readings.isEmpty)
            bench.progress(Self.first, applied: change.end, checkpoint: change.end - 8)
            #expect(bench.readings.isEmpty)
            bench.progress(Self.first, applied: change.end, checkpoint: change.end)
            #expect(bench.isHandedOver)
            #expect(bench.readings.map(\.worker) == [Self.second])
            try bench.read()
            #expect(bench.port.take() == ["function.1.e1 \(change.end)..<\(group.end)"])
            bench.progress(Self.second, applied: group.end)
            let slots = bench.port.notices.compactMap { notice -> Int? in
                if case .slotsMoved(let report) = notice { report.slots } else { nil }
            }
            #expect(slots == [128])
        }
    }

    /// A worker that reconnects before the change reads up to it and no further.
    @Test func aReaderStopsAtTheGate() throws {
        try run { bench in
            let before = try bench.commit(2)
            let map = bench.maps.current.rescaled(.function, to: 2)
            let change = try bench.commit(0, map)
            let after = try bench.commit(2)
            bench.route(before)
            bench.route(change)
            bench.route(after)
            bench.hello(Self.second, resume: before.end)
            let reading = try #require(bench.readings.first)
            #expect(reading.from == before.end && reading.limit == change.end)
        }
    }

    // MARK: Events set aside

    @Test func aWorkerIsHeldWhileItsEventsAreSetAside() throws {
        try run { bench in
            bench.hello(Self.first)
            _ = bench.port.take()
            let end = try bench.commit(1).end
            let answers = Locked<[TraceError]>([])
            func skip(_ worker: WorkerName, hasCheckpoint: Bool = false) {
                bench.see()
                let request = DeadLetterCoordinator.Skip(worker: worker, to: end, counted: nil) {
                    answer in
                    if case .failure(let error) = answer { answers.update { $0.append(error) } }
                }
                bench.state.skip(request, hasCheckpoint: hasCheckpoint, bench.port)
            }
            skip(Self.first)
            #expect(bench.port.cases.map(\.worker) == [Self.first])
            #expect(bench.session(Self.first) == nil)
            bench.hello(Self.first, 2)
            #expect(bench.port.take().isEmpty)
            // Only one at a time, and only for known workers.
            skip(Self.first)
            skip(Self.second)
            #expect(answers.current.map(\.code) == [.exhausted, .notFound])
            skip(Self.second, hasCheckpoint: true)
            bench.port.takesCases = false
            skip(WorkerName(resource: .io, index: 0))
            #expect(bench.port.cases.count == 2 && answers.current.last?.code == .exhausted)
            bench.state.closed([Self.first])
            bench.hello(Self.first, 2)
            #expect(bench.port.take() == ["function.0.e2 welcome 0"])
        }
    }

    @Test func aClaimIsHeardOnceAnIncarnationAndOnlyWhereItCanBeTrue() throws {
        try run { bench in
            let group = try bench.commit(1)
            bench.route(group)
            func hello(_ incarnation: UInt64, at lsn: LSN, resume: LSN = 0) -> Bool {
                let before = bench.port.cases.count
                let claim = WorkerHello.Claim(lsn: lsn, reason: "signal 11")
                bench.hello(Self.first, incarnation, resume: resume, claim: claim)
                return bench.port.cases.count > before
            }
            #expect(!hello(1, at: group.end))
            #expect(!hello(1, at: 8, resume: 16))
            bench.port.takesCases = false
            #expect(!hello(1, at: 8) && bench.session(Self.first) != nil)
            bench.port.takesCases = true
            #expect(!hello(1, at: 8), "heard before")
            #expect(hello(2, at: 8) && bench.session(Self.first) == nil)
            #expect(!hello(3, at: 8), "held")
            let verdict = VerdictPayload(
                worker: Self.first,
                cause: .crash,
                range: 8..<16,
                events: 1,
                reason: "signal 11"
            )
            bench.route(try bench.commit(0, verdict: verdict))
            bench.state.closed([Self.first])
            #expect(!hello(4, at: 8), "set aside")
            #expect(bench.session(Self.first) != nil)
        }
    }

    // MARK: What others want to know

    @Test func outputsAndHoldingsAreMadeWhereTheyHaveChanged() throws {
        try run { bench in
            #expect(bench.takeHoldings() != nil && bench.takeOutputs() != nil)
            #expect(bench.takeHoldings() == nil && bench.takeOutputs() == nil)
            bench.hello(Self.first)
            #expect(bench.takeOutputs() != nil && bench.takeHoldings() == nil)
            let map = bench.maps.current.rescaled(.function, to: 2)
            bench.route(try bench.commit(1, map))
            #expect(bench.takeOutputs()?.window == 1)
            #expect(bench.takeHoldings()?.contains { $0.worker == Self.second } ?? false)
            let status = bench.status
            #expect(status.receivedEvents == 1 && status.window == 1)
            #expect(status.workers.first { $0.worker == Self.first }?.connected ?? false)
            #expect(status.workers.filter(\.connected).count == 1)
        }
    }

    // MARK: Everything at once

    /// Shares may be dropped, refused or interrupted: a worker's shares still join without a gap and equal the
    /// log's content.
    @Test(arguments: 0..<12 as Range<UInt64>) func sharesJoinAndHoldWhatTheLogHolds(
        seed: UInt64
    ) throws {
        var random = SeededGenerator(seed: seed)
        try run([.function: 2]) { bench in
            let workers = [Self.first, Self.second]
            var received: [WorkerName: [UInt8]] = [:]
            var reached: [WorkerName: LSN] = [:]
            func take() throws {
                for (header, bytes, peer) in bench.port.takeShares() {
                    let worker = try #require(workers.first { bench.peer($0) == peer })
                    try #require(header.fromLSN == reached[worker, default: 0])
                    reached[worker] = header.toLSN
                    received[worker, default: []] += bytes
                }
            }
            for worker in workers { bench.hello(worker) }
            for _ in 0..<60 {
                bench.port.result = Int.random(in: 0..<5, using: &random) == 0 ? .wouldBlock : .sent
                let isScaled = Int.random(in: 0..<8, using: &random) == 0
                let map = bench.maps.current.rescaled(
                    .function,
                    to: Int.random(in: 1...2, using: &random)
                )
                let events = Int.random(in: 1...20, using: &random)
                let group = try bench.commit(events, isScaled ? map : nil)
                let isDropped = !isScaled && Int.random(in: 0..<6, using: &random) == 0
                if !isDropped { bench.route(group) }
                if Bool.random(using: &random) { try bench.read() }
                try take()
                let worker = try #require(workers.randomElement(using: &random))
                let lsn = reached[worker, default: 0]
                bench.progress(worker, applied: lsn, checkpoint: lsn)
            }
            bench.port.result = .sent
            bench.route(try bench.commit(1))
            for _ in 0..<200 {
                try bench.read()
                try take()
                for worker in workers {
                    let lsn = reached[worker, default: 0]
                    bench.progress(worker, applied: lsn, checkpoint: lsn)
                }
            }
            for worker in workers {
                #expect(bench.session(worker)?.position == bench.routedLSN)
                let reader = CatchUpReader(
                    worker: worker,
                    salt: 7,
                    from: 0,
                    damaged: [],
                    pool: SharePool()
                )
                var whole: [UInt8] = []
                var maps = SlotMapHistory(
                    SlotMap(workers: [.function: 2]),
                    window: 0,
                    windowBegin: 0
                )
                _ = try LogRecovery.run(LogDirectory(path: ClusterPaths.log), salt: 7) { record in
                    guard record.type == .barrier,
                        let barrier = try? BarrierPayload(decoding: record.body)
                    else {
                        return
                    }
                    maps.append(barrier, end: record.lsn + LSN(record.stride))
                }
                while reader.position < bench.routedLSN {
                    let step = try reader.step(
                        from: reader.position,
                        limit: bench.routedLSN,
                        maps: maps
                    )
                    whole += Array(step.payload.buffer.bytes)
                }
                #expect(received[worker] == whole)
            }
        }
    }
}
