import GRPCServices
import GRPCTransport
import IngestLog
import TestSupport
import Testing
import TraceMetrics
import TraceModel

@testable import RouterRole

/// Tests the committer with a real log and real calls.
@Suite(.serialized) struct CommitterTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func run(_ body: (RouterHarness) throws -> Void) throws {
        let router = try RouterHarness(directory)
        defer { router.end() }
        try body(router)
    }

    /// Takes the groups delivered to the fabric until the condition holds.
    private func deliveries(
        of router: RouterHarness,
        until isMet: ([CommitGroup]) -> Bool
    ) -> [CommitGroup] {
        var groups: [CommitGroup] = []
        let deadline = ContinuousClock.now + .seconds(30)
        while !isMet(groups), ContinuousClock.now < deadline {
            groups += router.inbox.takeSpans().joined().map(\.group)
        }
        #expect(isMet(groups))
        return groups
    }

    @Test func anAckedBatchStandsInTheLog() throws {
        try run { router in
            for number in 0..<20 {
                let answer = try router.send(TestBatch.bytes(events: 2, host: "host-\(number)"))
                #expect(answer.success && answer.message.contains("2 events"))
                #expect(try RouterHarness.read(directory).hosts.last == "host-\(number)")
            }
            #expect(router.context.acceptedEvents == 40)
        }
    }

    /// Each large batch is at the begin of a log file; small batches between them keep their order.
    @Test func largeBatchesAreStoredAsTheyCame() throws {
        func large(_ number: Int) -> [UInt8] {
            TestBatch.bytes(
                events: number + 1,
                client: "c",
                sequence: UInt64(number + 1),
                host: "large-\(number)"
            )
                + TestBatch.padding(Limits.smallMessageBytesMax)
        }
        var expected: [String] = []
        try run { router in
            // The committer learns about the disk with its first group.
            _ = try router.send(TestBatch.bytes(events: 1, host: "first"))
            expected.append("first")
            for number in 0..<3 {
                try router.send(large(number), expecting: "\(number + 1) events stored")
                try router.send(large(number), expecting: "stored before")
                _ = try router.send(TestBatch.bytes(events: 1, host: "small-\(number)"))
                expected += ["large-\(number)", "small-\(number)"]
            }
            let groups = deliveries(of: router) { $0.last?.end == router.inbox.durableLSN }
            #expect(groups.flatMap(\.entries).reduce(0) { $0 + $1.eventCount } >= 6)
            let log = LogDirectory(path: "\(directory.path)/\(ClusterPaths.log)")
            #expect(try log.bases().count == 4)
        }
        let found = try RouterHarness.read(directory)
        #expect(found.hosts == expected)
        #expect(found.counts.acceptedTotal == 10 && found.counts.deduplicated == 6)
    }

    @Test func aStreamsBatchesKeepTheirOrderAroundLargeOnes() throws {
        var sequences: [UInt64] = []
        try run { router in
            _ = try router.send(TestBatch.bytes(events: 1, host: "first"))
            let stream = try router.client.openStream(TracerService.Method.streamTraceBatches.path)
            for sequence in UInt64(1)...9 {
                let padding = sequence % 3 == 2 ? Limits.smallMessageBytesMax : 10
                try stream.send(
                    TestBatch.bytes(events: 1, client: "s", sequence: sequence, host: "\(sequence)")
                        + TestBatch.padding(padding)
                )
            }
            try stream.halfClose()
            while let bytes = try stream.receive() {
                sequences.append(try BatchAck(decoding: bytes).sequence)
            }
        }
        #expect(sequences == Array(1...9))
        #expect(try RouterHarness.read(directory).hosts == ["first"] + (1...9).map(String.init))
    }

    @Test func answersAreTimedAndNothingIsLeftWaiting() throws {
        var own: [MetricSample] = []
        try run { router in
            for _ in 0..<5 { _ = try router.send(TestBatch.bytes(events: 2)) }
            // The last answer may be sent before its batch is counted.
            _ = try router.barrier()
            own = router.context.ownSamples(head: router.recovery.log.end)
        }
        let acks = try #require(own.first { $0.family == .routerAckSeconds })
        guard case .histogram(let buckets, let sum) = acks.value else {
            Issue.record("\(acks)")
            return
        }
        #expect(buckets.reduce(0, +) == 5 && sum > 0)
        let waiting = try #require(own.first { $0.family == .routerQueueBytes })
        #expect(waiting.value == .gauge(0))
    }

    /// For any sharing of commits, each call is answered once and every acknowledged batch is in the log.
    @Test func callsAtOnceShareCommits() throws {
        let calls = 500
        let answers = Locked<[Bool]>([])
        try run { router in
            for number in 0..<calls {
                let path = TracerService.Method.sendTraceBatch.path
                let batch = TestBatch.bytes(events: 1, host: "host-\(number)")
                router.client.start(path, batch, timeoutSeconds: 30) { result in
                    let response = (try? result.get()).flatMap { try? TraceResponse(decoding: $0) }
                    answers.update { $0.append(response?.success ?? false) }
                }
            }
            #expect(answers.wait { $0.count == calls })
        }
        #expect(answers.current.allSatisfy { $0 })
        let found = try RouterHarness.read(directory)
        #expect(Set(found.hosts) == Set((0..<calls).map { "host-\($0)" }))
        #expect(found.hosts.count == calls && found.counts.accepted[0] == UInt64(calls))
    }

    @Test func barriersNumberWindowsAndCarryTheMap() throws {
        let wider = SlotMap(workers: [:]).rescaled(.gpu, to: 4)
        var expected: [BarrierPayload] = []
        try run { router in
            expected.append(try router.barrier())
            _ = try router.send(TestBatch.bytes(events: 1))
            expected.append(try router.barrier(wider))
            expected.append(try router.barrier())
            let groups = deliveries(of: router) { $0.flatMap(\.barriers).count == 3 }
            let delivered = groups.flatMap(\.barriers)
            #expect(delivered.map(\.barrier) == expected)
            let logged = try RouterHarness.read(directory).barriers
            #expect(logged.map(\.barrier) == expected && logged.map(\.end) == delivered.map(\.end))
            for (before, after) in zip(groups, groups.dropFirst()) {
                #expect(before.end <= after.begin)
            }
        }
        #expect(expected.map(\.window) == [0, 1, 2])
        #expect(expected.map(\.slotMap) == [SlotMap(workers: [:]), wider, wider])
        #expect(Set(expected.map(\.stem)).count == 3)
    }

    /// A barrier follows all batches that were answered before it was requested.
    @Test func aBarrierIsBehindTheBatchesBeforeIt() throws {
        try run { router in
            for number in 0..<10 {
                _ = try router.send(TestBatch.bytes(events: 1, host: "host-\(number)"))
                let barrier = try router.barrier()
                let found = try RouterHarness.read(directory)
                #expect(found.hosts.count == number + 1)
                #expect(found.barriers.last?.barrier == barrier)
            }
        }
    }

    @Test func aLastBatchEndsTheWindow() throws {
        try run { router in
            let last = TestBatch.bytes(events: 1, client: "c", sequence: 1, isLast: true)
            _ = try router.send(last)
            let groups = deliveries(of: router) { !$0.flatMap(\.barriers).isEmpty }
            #expect(groups.flatMap(\.barriers).map(\.barrier.reason) == [.lastBatch])
        }
    }

    /// Counts that no batch record contains are logged by a tick, so that a restarted router knows them.
    @Test func ticksCarryWhatWasRefusedAndDoubled() throws {
        try run { router in
            let batch = TestBatch.bytes(events: 3, client: "c", sequence: 1)
            _ = try router.send(batch)
            try router.send(batch, expecting: "before")
            #expect(throws: GRPCCallError.self) {
                try router.send(TestBatch.bytes(events: 5, client: "c"))
            }
            let groups = deliveries(of: router) { ($0.last?.totals.rejected ?? 0) > 0 }
            let totals = try #require(groups.last?.totals)
            #expect(totals.acceptedTotal == 3 && totals.deduplicated == 3 && totals.rejected == 5)
            let counts = try RouterHarness.read(directory).counts
            #expect(counts == totals)
        }
    }

    /// This also holds if the router ends before a tick is due.
    @Test func nothingCountedIsForgottenAtTheEnd() throws {
        for round in UInt64(1)...3 {
            try run { router in
                let batch = TestBatch.bytes(events: 2, client: "c", sequence: round)
                try router.send(batch, expecting: "stored")
                for _ in 0..<4 { try router.send(batch, expecting: "before") }
            }
            let counts = try RouterHarness.read(directory).counts
            #expect(counts.acceptedTotal == 2 * round && counts.deduplicated == 8 * round)
        }
    }

    @Test func everythingTakenIsDurableAtTheEnd() throws {
        let answers = Locked<[Bool]>([])
        try run { router in
            for number in 0..<100 {
                let path = TracerService.Method.sendTraceBatch.path
                let batch = TestBatch.bytes(events: 1, host: "host-\(number)")
                router.client.start(path, batch, timeoutSeconds: 30) { result in
                    answers.update { $0.append((try? result.get()) != nil) }
                }
            }
            // The router may end before the last call has arrived, but not before the first.
            #expect(answers.wait { !$0.isEmpty })
        }
        #expect(answers.wait { $0.count == 100 })
        let hosts = try RouterHarness.read(directory).hosts
        #expect(hosts.count >= answers.current.count { $0 })
    }
}
