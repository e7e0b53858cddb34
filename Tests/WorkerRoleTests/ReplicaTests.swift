import ClusterMessages
import SystemIO
import Testing
import TraceModel

@testable import IngestLog
@testable import WorkerRole

/// Tests what a worker does with each input, and in which order, without files and sockets.
@Suite struct ReplicaTests {
    private static let worker = WorkerName(resource: .io, index: 1)
    private static let one = SlotMap(workers: [.io: 1])
    private static let two = SlotMap(workers: [.io: 2])

    /// A replica, and the outcomes of what it decides.
    private struct Run {
        var replica: Replica
        var now: Int64 = 1_000_000_000_000
        /// Whether hand-over files exist.
        var hasFiles = true
        var handoverError: TraceError?
        private(set) var checkpoints: [WorkerCheckpoint] = []
        private(set) var error: (any Error)?

        init(from checkpoint: WorkerCheckpoint? = nil) {
            replica = Replica(ReplicaTests.worker, incarnation: 7, from: checkpoint)
        }

        /// Passes an input, and returns the actions that follow it in words.
        mutating func after(_ input: (inout Replica) -> Void) -> [String] {
            input(&replica)
            var words: [String] = []
            while error == nil, let action = replica.next({ now }) {
                switch action {
                case .hello: words.append("hello")
                case .announce:
                    let windows = replica.announceable.map { "\($0.window)" }
                    words.append("announce " + windows.joined(separator: ","))
                case .end(let error):
                    words.append("end")
                    self.error = error
                case .work(let work):
                    let (word, outcome) = carryOut(work)
                    words.append(word)
                    replica.did(outcome) { now }
                }
            }
            return words
        }

        private mutating func carryOut(_ work: Replica.Work) -> (String, Replica.Outcome) {
            switch work {
            case .openWindow(let window): return ("open \(window)", .done)
            case .apply(let record): return ("apply \(record.lsn)", .done)
            case .tick: return ("tick", .done)
            case .endWindow(let barrier):
                return ("end window \(barrier.window)", .closed([], summary: []))
            case .give(let slots, let receiver, let lsn):
                return ("give \(slots.count) to \(receiver) at \(lsn)", .done)
            case .drop(let slots): return ("drop \(slots.count)", .done)
            case .take(let gained):
                let word = "take \(gained.slots.count) at \(gained.lsn)"
                return (word, handoverError.map { .damaged($0) } ?? .taken(hasFiles))
            case .removeTaken(let lsn): return ("remove \(lsn)", .done)
            case .forgetWindow(let window): return ("forget \(window)", .done)
            case .checkpoint(let checkpoint):
                checkpoints.append(checkpoint)
                return ("checkpoint \(checkpoint.lsn)", .written(from: now, to: now))
            }
        }

        /// Passes the time.
        mutating func pass() -> [String] {
            let now = now
            return after { $0.pass(now) }
        }

        /// Passes a share of these records; the last one ends at the returned LSN.
        mutating func share(
            from begin: LSN,
            at first: LSN? = nil,
            _ records: [(LogRecordType, [UInt8])]
        ) -> (words: [String], end: LSN) {
            let (bytes, end) = ReplicaTests.share(at: first ?? begin, records)
            let header = ShareHeader(fromLSN: begin, toLSN: end, headLSN: end)
            let words = bytes.withUnsafeBytes { bytes in
                after { $0.receive(header, bytes) }
            }
            return (words, end)
        }
    }

    private static func welcome(_ lsn: LSN, _ map: SlotMap) -> WorkerWelcome {
        WorkerWelcome(lsn: lsn, window: 3, windowBeginLSN: lsn, owners: map.owners(of: .io))
    }

    private static func barrier(_ window: UInt64, _ map: SlotMap) -> (LogRecordType, [UInt8]) {
        var body = RawBuffer()
        BarrierPayload(window: window, reason: .command, stem: "20260101_000000", slotMap: map)
            .encode(into: &body)
        return (.barrier, Array(body.bytes))
    }

    private static let batch: (LogRecordType, [UInt8]) = (.batch, [1, 2, 3])

    /// Encodes a share whose first record is at `begin`; returns also where the last one ends in the log.
    private static func share(
        at begin: LSN,
        _ records: [(LogRecordType, [UInt8])]
    ) -> (bytes: [UInt8], end: LSN) {
        var group = LogGroup()
        for (type, body) in records {
            let target = group.append(type, arrival: 1, bodyBytes: body.count)
            UnsafeMutableRawBufferPointer(start: target, count: body.count).copyBytes(from: body)
        }
        _ = group.seal(from: begin, previousCRC: 0, salt: 1, durable: 0) { _ in LogCounts() }
        var share = RawBuffer()
        for offset in group.offsets {
            let body = group.record(at: offset).body
            let target = ShareRecord.append(
                group.record(at: offset),
                bodyBytes: body.count,
                to: &share
            )
            UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body)
        }
        return (Array(share.bytes), begin + LSN(group.byteCount))
    }

    /// A worker with half of the slots, in a session from LSN 0 on.
    private func applying() -> Run {
        var run = Run()
        let words = run.after { $0.welcome(Self.welcome(0, Self.two)) }
        #expect(words == ["open 3", "checkpoint 0"])
        return run
    }

    // MARK: Sessions and shares

    @Test func sharesBeforeTheWelcomeAreLeftOut() {
        var run = Run()
        #expect(run.share(from: 0, [Self.batch]).words.isEmpty && run.replica.appliedLSN == 0)
        #expect(run.after { $0.save() }.isEmpty)
        #expect(!run.replica.isInSession)
    }

    @Test func recordsAreAppliedOnceAndInOrder() {
        var run = applying()
        let first = run.share(from: 0, [Self.batch, (.tick, []), Self.batch])
        #expect(first.words.count == 3 && first.words[1] == "tick")
        #expect(run.replica.appliedLSN == first.end && run.replica.checkpointLSN == 0)
        // The same share again, as of an earlier session, and one that begins before what was applied.
        #expect(run.share(from: 0, [Self.batch]).words.isEmpty)
        let second = run.share(from: 0, at: first.end, [Self.batch])
        #expect(second.words == ["apply \(first.end)"] && run.replica.appliedLSN == second.end)
        #expect(run.after { $0.save() } == ["checkpoint \(second.end)"])
        #expect(run.replica.checkpointLSN == second.end)
    }

    @Test func aGapOrADamagedShareEndsTheProcess() {
        for begin: LSN in [8, 0] {
            var run = applying()
            let words = run.share(from: begin, [(.verdict, [])]).words
            #expect(words == ["end"] && (run.error as? TraceError)?.code == .corrupt)
            #expect(!run.replica.isInSession)
        }
    }

    @Test func onlyARefusalOfThisProcessEndsIt() {
        for isLost in [true, false] {
            var run = applying()
            func fenced(_ incarnation: UInt64) -> WorkerFenced {
                WorkerFenced(
                    worker: Self.worker,
                    incarnation: incarnation,
                    reason: "because",
                    isLost: isLost
                )
            }
            #expect(run.after { $0.fenced(fenced(6)) }.isEmpty)
            #expect(run.after { $0.fenced(fenced(7)) } == ["end"])
            #expect((run.error is WorkerLost) == isLost)
        }
    }

    /// A worker with slots goes on from its checkpoint or not at all.
    @Test func aLogThatBeginsAfterTheCheckpointEndsTheProcess() {
        var run = applying()
        let end = run.share(from: 0, [Self.batch]).end
        #expect(run.after { $0.welcome(Self.welcome(end, Self.two)) }.isEmpty)
        #expect(run.after { $0.welcome(Self.welcome(end + 8, Self.two)) } == ["end"])
        #expect((run.error as? TraceError)?.code == .configuration)
    }

    /// A new worker asks twice, and a barrier gives it slots between the router's answers.
    @Test func aWorkerWithoutSlotsFollowsALaterWelcome() {
        var run = Run()
        #expect(run.after { $0.welcome(Self.welcome(64, Self.one)) } == ["open 3"])
        #expect(run.after { $0.welcome(Self.welcome(128, Self.two)) } == ["open 3"])
        let count = Self.two.slots(of: Self.worker).count
        let words = run.share(from: 128, [Self.batch]).words
        #expect(words.first == "take \(count) at 128" && words.last == "apply 128")
    }

    // MARK: Barriers

    /// A window is announced only when a checkpoint has it, and again until it is merged.
    @Test func aWindowEndsWithACheckpointAndThenItsAnnouncement() {
        var run = applying()
        run.now += 3_600_000_000_000
        let (words, end) = run.share(from: 0, [Self.batch, Self.barrier(3, Self.two), (.tick, [])])
        #expect(words.first?.hasPrefix("apply") == true)
        #expect(words.dropFirst().first == "end window 3")
        #expect(words[2].hasPrefix("checkpoint") && words[3] == "announce 3")
        #expect(words.last == "tick" && run.replica.appliedLSN == end)
        #expect(run.replica.announceable.first?.slots.first?.fromLSN == 0)
        let merged = WindowMerged(resource: .io, window: 3, files: [])
        #expect(run.after { $0.merged(merged) } == ["forget 3"])
        #expect(run.replica.announceable.isEmpty)
    }

    /// The old owner writes the state before its checkpoint, which its successor waits for.
    @Test func slotsAreGivenBeforeTheCheckpoint() throws {
        var run = applying()
        let (words, end) = run.share(from: 0, [Self.barrier(3, Self.one)])
        let count = Self.two.slots(of: Self.worker).count
        #expect(
            words == [
                "end window 3", "give \(count) to 0 at \(end)", "drop \(count)",
                "checkpoint \(end)", "announce 3",
            ]
        )
        let checkpoint = try #require(run.checkpoints.last)
        #expect(checkpoint.ownedSlots(of: Self.worker).isEmpty && checkpoint.window == 4)
    }

    /// What follows the barrier is left out until the state is taken in, in a session of its own.
    @Test func gainedSlotsAreTakenBeforeTheNextRecord() throws {
        var run = Run()
        #expect(
            run.after { $0.welcome(Self.welcome(0, Self.one)) } == ["open 3", "checkpoint 0"]
        )
        let count = Self.two.slots(of: Self.worker).count
        let (words, end) = run.share(from: 0, [Self.barrier(3, Self.two), Self.batch])
        let lsn = run.replica.appliedLSN
        #expect(words == ["end window 3", "checkpoint \(lsn)", "announce 3"] && lsn < end)
        #expect(run.checkpoints.last?.gained?.slots.count == count)
        #expect(run.share(from: lsn, [Self.batch]).words.isEmpty)
        #expect(run.pass() == ["hello"] && !run.replica.isInSession)
        // The files do not exist yet: another session is requested after a while, not at once.
        run.hasFiles = false
        #expect(run.after { $0.welcome(Self.welcome(lsn, Self.two)) }.isEmpty)
        #expect(run.share(from: lsn, [Self.batch]).words == ["take \(count) at \(lsn)"])
        #expect(run.replica.appliedLSN == lsn && run.replica.isInSession)
        #expect(run.pass().isEmpty)
        run.now += 200_000_000
        #expect(run.pass() == ["hello"])
        run.hasFiles = true
        #expect(run.after { $0.welcome(Self.welcome(lsn, Self.two)) }.isEmpty)
        #expect(
            run.share(from: lsn, [Self.batch]).words == [
                "take \(count) at \(lsn)", "checkpoint \(lsn)", "remove \(lsn)", "apply \(lsn)",
            ]
        )
        #expect(run.checkpoints.last?.gained == nil)
    }

    /// A restart in between continues with the same hand-over.
    @Test func gainedSlotsSurviveARestart() throws {
        var run = Run()
        _ = run.after { $0.welcome(Self.welcome(0, Self.one)) }
        _ = run.share(from: 0, [Self.barrier(3, Self.two)])
        #expect(run.checkpoints.count == 2)
        var next = Run(from: run.checkpoints.last)
        let lsn = next.replica.appliedLSN
        #expect(lsn == run.replica.appliedLSN && next.replica.checkpointLSN == lsn)
        #expect(next.replica.announceable.map(\.window) == [3])
        _ = next.after { $0.welcome(Self.welcome(lsn, Self.two)) }
        #expect(next.share(from: lsn, [Self.batch]).words.first?.hasPrefix("take") == true)
    }

    @Test func unusableHandoverFilesLoseTheWorker() {
        var run = Run()
        _ = run.after { $0.welcome(Self.welcome(64, Self.two)) }
        run.handoverError = TraceError(.corrupt, "both copies are damaged")
        let words = run.share(from: 64, [Self.batch]).words
        #expect(words.first?.hasPrefix("take") == true && words.last == "end")
        #expect(run.error is WorkerLost)
    }

    /// What was set aside when the worker was renewed includes slots gained before.
    @Test func aRenewedWorkerWaitsForNoSlotsOfBefore() {
        let blank = WorkerCheckpoint(
            lsn: 64,
            windowBegin: 0,
            window: 0,
            gained: nil,
            owners: [],
            announcements: [],
            rules: [],
            renewed: 64
        )
        var run = Run(from: blank)
        let words = run.after { $0.welcome(Self.welcome(64, Self.two)) }
        #expect(words == ["open 3", "checkpoint 64"])
        #expect(run.checkpoints.last?.renewed == 64)
    }
}
