import IngestLog
import Logging
import SystemIO
import TestSupport
import Testing
import TraceModel
import TraceWire

@testable import RouterRole

/// Tests dead letters: the letter, the verdict in the log, and recovery from a crash between the two.
@Suite(.serialized) struct DeadLetterTests {
    private let directory: TemporaryDirectory
    private let worker = WorkerName(resource: .function, index: 0)

    init() throws { directory = try TemporaryDirectory() }

    /// Runs a router with a dead-letter handler; the test's directory is the working directory.
    private func run<Result>(
        _ body: (RouterHarness, DeadLetterCoordinator) throws -> Result
    ) throws -> Result {
        try directory.asWorkingDirectory {
            let router = try RouterHarness(directory)
            defer { router.end() }
            let coordinator = DeadLetterCoordinator(
                queue: router.queue,
                context: router.context,
                wakeup: router.inbox.wakeup,
                logger: silent
            )
            let thread = DedicatedThread("dead-letters") { coordinator.run() }
            defer {
                coordinator.end()
                thread.join()
            }
            return try body(router, coordinator)
        }
    }

    private var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

    /// Decides a case and returns the result.
    private func decide(
        _ ground: DeadLetterCase.Ground,
        _ router: RouterHarness,
        _ coordinator: DeadLetterCoordinator
    ) throws -> Result<VerdictPayload, TraceError> {
        switch try outcome(of: ground, router, coordinator) {
        case .success(let outcome): .success(try #require(outcome.verdict))
        case .failure(let error): .failure(error)
        }
    }

    private func outcome(
        of ground: DeadLetterCase.Ground,
        _ router: RouterHarness,
        _ coordinator: DeadLetterCoordinator
    ) throws -> Result<DeadLetterCase.Outcome, TraceError> {
        let outcome = Locked<Result<DeadLetterCase.Outcome, TraceError>?>(nil)
        let isTaken = coordinator.submit(
            DeadLetterCase(
                worker: worker,
                ground: ground,
                maps: router.recovery.maps,
                verdicts: router.recovery.state.verdicts,
                answer: { answer in outcome.update { $0 = answer } }
            )
        )
        #expect(isTaken)
        _ = outcome.wait { $0 != nil }
        return try #require(outcome.current)
    }

    /// Returns the LSNs of the batches.
    private func batches() throws -> [LSN] {
        var found: [LSN] = []
        let log = LogDirectory(path: "\(directory.path)/\(ClusterPaths.log)")
        _ = try LogRecovery.run(log, salt: RouterHarness.salt) { record in
            if record.type == .batch { found.append(record.lsn) }
        }
        return found
    }

    private func files() throws -> [String] {
        try FileSystem.list("\(directory.path)/\(ClusterPaths.deadLetters)")
    }

    private let mixed: [(resource: Resource, process: UInt32)] = [
        (.function, 1), (.cpu, 1), (.function, 2), (.io, 7),
    ]

    @Test func aLetterHoldsTheWorkersEventsAsTheyCameAndTheLogCountsThem() throws {
        var envelope = BatchEncoder.Envelope()
        envelope.host = "traced"
        envelope.clientID = "c"
        envelope.sequence = 1
        let batch = TestBatch.bytes(mixed, envelope: envelope)
        let verdict = try run { router, coordinator in
            _ = try router.send(batch)
            let lsn = try #require(try batches().first)
            return try decide(.crash(lsn, reason: "ended \"three\" times"), router, coordinator)
                .get()
        }
        #expect(verdict.events == 2 && verdict.cause == .crash)
        let found = try RouterHarness.read(directory)
        #expect(found.counts.deadLettered == 2 && found.counts.acceptedTotal == 4)
        let name = DeadLetterName(verdict).description
        #expect(try files() == ["\(name).json", "\(name).pbs"])
        // The letter's content: one batch with its length, the original events, the host, and the dialect.
        let letter = try FileSystem.contents(
            "\(directory.path)/\(ClusterPaths.deadLetters)/\(name).pbs"
        )
        var index = EventIndex()
        let events = try batch.withUnsafeBytes { bytes in
            _ = try BatchScanner.scan(bytes, into: &index)
            return [0, 2].flatMap { position in
                let event = index[position]
                return bytes[Int(event.offset)..<Int(event.offset + event.length)]
            }
        }
        let content = events + [0xBA, 0x06, 6] + Array("traced".utf8) + [0xC0, 0x06, 1]
        #expect(letter == [UInt8(content.count)] + content)
        let sidecar = try FileSystem.contents(
            "\(directory.path)/\(ClusterPaths.deadLetters)/\(name).json"
        )
        #expect(String(decoding: sidecar, as: UTF8.self).contains(#"ended \"three\" times"#))
    }

    @Test func theSameVerdictCountsOnceAndOutlivesARestartAndTrimming() throws {
        let lsn = try run { router, coordinator in
            _ = try router.send(TestBatch.bytes(events: 3))
            let lsn = try #require(try batches().first)
            for _ in 0..<2 {
                #expect(try decide(.crash(lsn, reason: "r"), router, coordinator).get().events == 3)
            }
            return lsn
        }
        #expect(try RouterHarness.read(directory).counts.deadLettered == 3)
        for _ in 0..<2 {
            let router = try RouterHarness(directory)
            defer { router.end() }
            #expect(router.recovery.state.verdicts.covers(worker, lsn))
            #expect(!router.recovery.state.verdicts.covers(worker, lsn + 1 << 20))
        }
        var head = RawBuffer()
        var state = RouterState(slotMap: SlotMap(workers: [:]))
        state.verdicts.insert(lsn..<lsn + 8, of: worker)
        state.encodeHead(into: &head)
        var read = RouterState(slotMap: SlotMap(workers: [:]))
        try read.restoreHead(head.bytes)
        #expect(read.verdicts == state.verdicts)
        read.verdicts.trim(below: lsn + 8)
        #expect(read.verdicts.count == 0)
    }

    /// A verdict's record is lost with the end of the log, and the events that it is about are not.
    @Test func aVerdictThatTheLogHasLostIsKnownByItsLetter() throws {
        let verdict = try run { router, coordinator in
            for _ in 0..<2 { _ = try router.send(TestBatch.bytes(events: 3)) }
            let lsn = try #require(try batches().first)
            return try decide(.crash(lsn, reason: "r"), router, coordinator).get()
        }
        try directory.asWorkingDirectory {
            let log = LogDirectory(path: ClusterPaths.log)
            let end = try #require(try batches().last)
            let base = try #require(try log.bases().last { $0 < end })
            try File(log.file(base: base), .readWrite).truncate(to: Int(end - base))
            func start() throws -> RouterRecovery {
                try RouterRecovery.start(
                    salt: RouterHarness.salt,
                    fresh: RouterState(slotMap: SlotMap(workers: [:])),
                    logger: silent
                )
            }
            #expect(throws: RouterLost.self) { _ = try start() }
            try FileSystem.rename(ClusterPaths.logLoss, to: ClusterPaths.acceptedLogLoss)
            let verdicts = try start().state.verdicts
            #expect(verdicts.covers(worker, verdict.range.lowerBound) && verdicts.count == 1)
        }
    }

    @Test func aClaimOnNothingOfItsOwnIsRefused() throws {
        try run { router, coordinator in
            _ = try router.send(TestBatch.bytes([(.cpu, 1)]))
            let lsn = try #require(try batches().first)
            #expect(throws: TraceError.self) {
                try decide(.crash(lsn, reason: "r"), router, coordinator).get()
            }
            // No record begins at this LSN.
            #expect(throws: TraceError.self) {
                try decide(.crash(lsn + 8, reason: "r"), router, coordinator).get()
            }
            #expect(try files().filter { $0.hasSuffix(".json") }.isEmpty)
        }
        #expect(try RouterHarness.read(directory).counts.deadLettered == 0)
    }

    private func skip(
        to lsn: LSN,
        begin: LSN? = 0,
        isCutOff: Bool = false,
        counted: LSN? = 0
    ) -> DeadLetterCase.Ground {
        let renewal = WorkerRenewal(begin: begin, isCutOff: isCutOff, counted: counted)
        return .skip(to: lsn, renewal: renewal)
    }

    @Test func aSkipTakesAllFromTheBeginUpToThePosition() throws {
        try run { router, coordinator in
            for _ in 0..<5 { _ = try router.send(TestBatch.bytes(mixed)) }
            let found = try batches()
            let verdict = try decide(skip(to: found[3] - 8), router, coordinator).get()
            #expect(verdict.events == 6 && verdict.range.contains(found[2]))
            #expect(verdict.range.upperBound <= found[3])
            #expect(throws: TraceError.self) { try decide(skip(to: 0), router, coordinator).get() }
        }
    }

    private func damageCheckpoint() throws {
        try FileSystem.createDirectory(ClusterPaths.checkpoints)
        let path = ClusterPaths.checkpoint(of: worker)
        for copy in [path, path + ".mirror"] { _ = try File(copy, .replace) }
    }

    /// The letter contains the events that no final file has; events counted as written are counted only once.
    @Test func aWorkerWithoutAUsableCheckpointBeginsAnew() throws {
        try run { router, coordinator in
            for _ in 0..<5 { _ = try router.send(TestBatch.bytes(mixed)) }
            let found = try batches()
            try damageCheckpoint()
            try FileSystem.createDirectory(ClusterPaths.run)
            _ = try File(ClusterPaths.lost(of: worker), .replace)
            let ground = skip(to: found[4], begin: found[1], counted: found[2])
            let renewed = try outcome(of: ground, router, coordinator).get()
            let verdict = try #require(renewed.verdict)
            #expect(verdict.range == found[1]..<found[4] && verdict.events == 4)
            #expect(renewed.note.contains("2 of the letter's events"))
            #expect(renewed.note.contains("restart function.0") && !renewed.note.contains("lost"))
            #expect(try CheckpointPosition.read(of: worker) == found[1])
            #expect(!FileSystem.exists(ClusterPaths.lost(of: worker)))
            let sidecar = "\(ClusterPaths.deadLetters)/\(DeadLetterName(verdict)).json"
            let text = String(decoding: try FileSystem.contents(sidecar), as: UTF8.self)
            #expect(text.contains(#""events": 6,"#))
        }
        #expect(try RouterHarness.read(directory).counts.deadLettered == 4)
    }

    @Test func aWorkerBeginsAnewOnlyWhereItIsKnownWhatIsPublished() throws {
        try run { router, coordinator in
            for _ in 0..<3 { _ = try router.send(TestBatch.bytes(mixed)) }
            let found = try batches()
            try damageCheckpoint()
            for (ground, code) in [
                (skip(to: found[2], begin: nil), TraceError.Code.unreachable),
                (skip(to: found[2], counted: nil), .unreachable),
                (skip(to: found[1], counted: found[2]), .invalidArgument),
            ] {
                let error = #expect(throws: TraceError.self) {
                    try outcome(of: ground, router, coordinator).get()
                }
                #expect(error?.code == code && error?.remedy != nil)
            }
            #expect(throws: TraceError.self) { _ = try CheckpointPosition.read(of: worker) }
            let ground = skip(to: found[2], begin: found[2], isCutOff: true)
            let renewed = try outcome(of: ground, router, coordinator).get()
            #expect(renewed.verdict == nil && renewed.end == found[2])
            #expect(renewed.note.contains("is lost"))
            #expect(try CheckpointPosition.read(of: worker) == found[2])
            // It is an ordinary worker again, with nothing to skip.
            let error = #expect(throws: TraceError.self) {
                try outcome(of: ground, router, coordinator).get()
            }
            #expect(error?.message.contains("stands at") == true)
        }
    }

    /// A crash before the verdict is durable leaves a letter without effect; a crash after it leaves a valid
    /// letter.
    @Test(arguments: [true, false]) func aRouterThatStartsFinishesWhatACrashLeft(
        isInTheLog: Bool
    ) throws {
        try directory.asWorkingDirectory {
            let name = DeadLetterName(worker: worker, from: 128, cause: .crash)
            let orphan = DeadLetterName(worker: worker, from: 256, cause: .skip)
            var letter = try DeadLetterWriter(name)
            try letter.finish(
                as: VerdictPayload(
                    worker: worker,
                    cause: .crash,
                    range: 128..<256,
                    events: 1,
                    reason: "r"
                )
            )
            _ = try File(orphan.batches, .replace)
            var verdicts = Verdicts()
            if isInTheLog { verdicts.insert(128..<256, of: worker) }
            for _ in 0..<2 {
                try DeadLetterRecovery.run(verdicts, logBegin: 0, logger: silent)
                #expect(try files() == (isInTheLog ? ["\(name).json", "\(name).pbs"] : []))
            }
        }
    }
}
