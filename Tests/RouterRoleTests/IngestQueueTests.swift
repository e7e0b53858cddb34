import GRPCServices
import GRPCTransport
import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import RouterRole

/// Tests the queue between calls and the committer; the test acts as the committer.
@Suite(.serialized) struct IngestQueueTests {
    /// Passes calls to the queue; the test answers them.
    private final class QueueHandler: GRPCServerHandler {
        let queue: IngestQueue
        /// Number of calls submitted so far.
        let submitted = Locked(0)
        /// Announced large batches, which join when the test says so.
        let announced = Locked<[(call: GRPCUnaryCall, bytes: [UInt8])]>([])
        static let largeBytes = 100_000
        init(_ queue: IngestQueue) { self.queue = queue }

        func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
            if message.count >= Self.largeBytes {
                #expect(queue.announceLarge())
                let bytes = message.bytes()
                announced.update { $0.append((call, bytes)) }
            } else {
                queue.submit(message, peerHost: [1], from: .unary(call))
            }
            submitted.update { $0 += 1 }
        }

        func streamOpened(_ stream: GRPCStream, method: Int) {}
        func streamMessage(_: GRPCStream, method: Int, message: consuming ReceivedMessage) {}
        func streamHalfClosed(_ stream: GRPCStream, method: Int) {}
        func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {}
        func refused(method: Int, reason: GRPCRefusal) {}
    }

    private typealias Answers = Locked<[String]>

    private func withQueue(
        _ body: (QueueHandler, _ send: ([UInt8], Answers) -> Void) throws -> Void
    ) throws {
        let directory = try TemporaryDirectory()
        let handler = QueueHandler(IngestQueue(dedup: DedupWindow()))
        let server = GRPCServer(
            configuration: GRPCServerConfiguration(),
            methods: [GRPCMethod(path: "/test/Send", kind: .unary)],
            handler: handler
        )
        _ = try server.bind("unix:\(directory.path)/queue.sock")
        server.start()
        let client = GRPCClient(target: "unix:\(directory.path)/queue.sock")
        defer {
            server.shutdown(deadlineSeconds: 1)
            client.close()
        }
        try body(handler) { bytes, answers in
            client.start("/test/Send", bytes, timeoutSeconds: 30) { result in
                answers.update { list in
                    switch result {
                    case .success(let bytes):
                        list.append((try? TraceResponse(decoding: bytes))?.message ?? "?")
                    case .failure(let error): list.append("\(error)")
                    }
                }
            }
        }
    }

    /// Waits until something has arrived, and returns the next group.
    private func take(
        _ queue: IngestQueue
    ) throws -> (group: CommitGroup, requests: [IngestQueue.BarrierRequest]) {
        guard case .group(let group, let requests, _) = queue.take(deadline: .max) else {
            throw TraceError(.unreachable, "the queue has ended")
        }
        return (group, requests)
    }

    /// A duplicate of a batch that could not be written is not acknowledged, because nothing was stored.
    @Test func aDuplicateOfALostBatchIsNotAcked() throws {
        try withQueue { handler, send in
            let queue = handler.queue
            let batch = TestBatch.bytes(events: 3, client: "c", sequence: 1)
            let answers = Answers([])
            send(batch, answers)
            let lost = try take(queue).group
            send(batch, answers)
            // The duplicate has arrived once the queue has it.
            let between = try take(queue).group
            #expect(between.entries.isEmpty && between.deduplicatedEvents == 3)
            #expect(between.tickets.count == 1)
            AckTicket.pay(between.tickets)
            #expect(answers.wait { $0.count == 1 })

            send(batch, answers)
            send(TestBatch.bytes(events: 2), answers)
            let full = TraceError(.exhausted, "disk full")
            #expect(handler.submitted.wait { $0 == 4 })
            let refused = queue.forget(lost.entries.compactMap(\.dedupKey), full)
            let open = try take(queue).group
            #expect(refused == 1)
            for ticket in lost.tickets { ticket.cancel(full) }
            #expect(open.rejectedEvents == 3 && open.deduplicatedEvents == 0)
            #expect(open.entries.count == 1)
            AckTicket.pay(open.tickets)
            #expect(answers.wait { $0.count == 4 })
            #expect(answers.current.count { $0.contains("disk full") } == 2)

            send(batch, answers)
            let again = try take(queue).group
            #expect(again.entries.count == 1, "it can be sent again")
            AckTicket.pay(again.tickets)
            #expect(answers.wait { $0.count == 5 })
        }
    }

    /// Describes a group's batches: their records, the positions of their events, and their slots.
    private func contents(of group: CommitGroup) -> [String] {
        group.entries.indices.map { index in
            let record = group.log.record(at: group.log.offsets[index])
            let entry = group.entries[index]
            let events = (entry.firstEvent..<entry.firstEvent + entry.eventCount).map { place in
                let event = group.events[place]
                return "\(event.offset)+\(event.length) \(event.resource) \(event.slot)"
            }
            return
                "\(record.type, default: "?") \(Array(record.body)) \(record.host.count) \(events)"
        }
    }

    /// Batches whose calls have been held for too long are removed from the group; the others are unchanged.
    @Test func overdueBatchesAreTakenOutOfTheirGroup() throws {
        try withQueue { handler, send in
            let queue = handler.queue
            let answers = Answers([])
            let batches = (1...6).map { number in
                TestBatch.bytes(
                    events: number,
                    client: "c",
                    sequence: UInt64(number),
                    host: "h\(number)"
                )
            }
            for (index, batch) in batches.enumerated() {
                send(batch, answers)
                #expect(handler.submitted.wait { $0 == index + 1 })
            }
            send(batches[0], answers)
            send(batches[4], answers)
            #expect(handler.submitted.wait { $0 == 8 })
            let group = try take(queue).group
            let before = contents(of: group)
            let bytes = group.byteCount
            _ = group.log.append(.barrier, arrival: 1, bodyBytes: 8)
            group.entries.append(CommitGroup.Entry())
            let barrierBytes = group.byteCount - bytes
            let payload = BarrierPayload(
                window: 1,
                reason: .size,
                stem: "s",
                slotMap: SlotMap(workers: [:])
            )
            group.barriers.append((payload, LSN(group.byteCount)))

            let holds = group.tickets.map(\.hold)
            #expect(group.takeOverdue(at: holds[0].end - 1).tickets.isEmpty)
            let removed = group.takeOverdue(at: holds[2].end)
            #expect(removed.tickets.count == 3 && removed.keys.map(\.sequence) == [1, 2, 3])
            #expect(Array(contents(of: group).dropLast()) == Array(before[3...]))
            #expect(group.barriers[0].end == LSN(group.byteCount) && group.holdsBatches)
            #expect(group.log.record(at: group.log.offsets[3]).type == .barrier)

            // One of the two duplicates repeats a batch that was removed.
            let full = TraceError(.exhausted, "disk full")
            let doubles = group.refuseDuplicates(of: Set(removed.keys.map(\.sequence)), full)
            #expect(doubles.batches == 1 && doubles.events == 1)
            #expect(queue.forget(removed.keys, full) == 0)
            let rest = group.takeOverdue(at: .max)
            #expect(!group.holdsBatches && group.tickets.isEmpty)
            #expect(group.byteCount == barrierBytes && group.events.count == 0)
            for ticket in removed.tickets + rest.tickets { ticket.cancel(full) }
            #expect(answers.wait { $0.count == 8 })
            #expect(answers.current.allSatisfy { $0.contains("disk full") })
            #expect(queue.forget(rest.keys, full) == 0)
            send(batches[1], answers)
            #expect(handler.submitted.wait { $0 == 9 })
            let again = try take(queue).group
            #expect(again.entries.count == 1, "it can be sent again")
            AckTicket.pay(again.tickets)
            #expect(answers.wait { $0.count == 9 })
        }
    }

    /// If many calls share a group, the next group waits for more of them.
    @Test func groupsThatManyCallsShareAreNotTakenAtOnce() throws {
        try withQueue { handler, send in
            let answers = Answers([])
            for _ in 0..<Limits.commitSharedMin { send(TestBatch.bytes(events: 1), answers) }
            #expect(handler.submitted.wait { $0 == Limits.commitSharedMin })
            let began = WallClock.monotonic()
            let shared = try take(handler.queue).group
            #expect(shared.tickets.count == Limits.commitSharedMin)
            send(TestBatch.bytes(events: 1), answers)
            let next = try take(handler.queue).group
            #expect(WallClock.monotonic() - began >= Limits.commitSpacingNanoseconds)
            #expect(next.tickets.count == 1)
            AckTicket.pay(shared.tickets + next.tickets)
            #expect(answers.wait { $0.count == Limits.commitSharedMin + 1 })
        }
    }

    // MARK: Large batches

    /// Lets the oldest announced large batch join the queue.
    private func join(_ handler: QueueHandler, forgetting isForgotten: Bool = false) throws {
        let (call, bytes) = try #require(handler.announced.current.first)
        handler.announced.update { $0.removeFirst() }
        var admission = BatchAdmission()
        let group = CommitGroup(largeBatchBytes: bytes.count)
        var ownKey: CommitGroup.DedupKey?
        let message = ReceivedMessage(bytes)
        let outcome = admission.admit(message, peerHost: [1], into: group) { key in
            ownKey = key
            return handler.queue.verdict(on: key)
        }
        if isForgotten, let ownKey {
            _ = handler.queue.forget([ownKey], TraceError(.exhausted, "disk full"))
        }
        let ticket = AckTicket(
            sender: .unary(call),
            outcome: outcome,
            bytes: bytes.count,
            arrival: WallClock.monotonic()
        )
        handler.queue.join(group, ticket, key: ownKey)
    }

    private func largeBatch(_ sequence: UInt64) -> [UInt8] {
        TestBatch.bytes(events: 1, client: "large", sequence: sequence)
            + TestBatch.padding(QueueHandler.largeBytes)
    }

    /// Small batches continue while a large one is written ahead, and keep their order relative to it.
    @Test func aLargeBatchStandsBehindWhatCameBeforeItJoined() throws {
        try withQueue { handler, send in
            let queue = handler.queue
            let answers = Answers([])
            func came(_ count: Int) { #expect(handler.submitted.wait { $0 == count }) }
            send(largeBatch(1), answers)
            came(1)
            send(TestBatch.bytes(events: 2), answers)
            came(2)
            var groups = [try take(queue).group]
            #expect(groups[0].entries.map(\.eventCount) == [2])
            send(TestBatch.bytes(events: 3), answers)
            came(3)
            try join(handler)
            send(TestBatch.bytes(events: 4), answers)
            came(4)
            for _ in 0..<3 { groups.append(try take(queue).group) }
            #expect(groups.map { $0.entries.map(\.eventCount) } == [[2], [3], [1], [4]])
            for group in groups { AckTicket.pay(group.tickets) }
            #expect(answers.wait { $0.count == 4 })
        }
    }

    @Test func aBarrierStandsBehindTheLargeBatchesThatCameBeforeItsRequest() throws {
        try withQueue { handler, send in
            let queue = handler.queue
            let answers = Answers([])
            send(largeBatch(1), answers)
            #expect(handler.submitted.wait { $0 == 1 })
            queue.request(.init(reason: .command, slotMap: nil) { _ in })
            send(largeBatch(2), answers)
            #expect(handler.submitted.wait { $0 == 2 })
            queue.close()
            #expect(!queue.announceLarge())
            queue.end()
            guard case .group(let none, let early, _) = queue.take(deadline: 0) else {
                Issue.record("a queue that waits for large batches has ended")
                return
            }
            #expect(none.isEmpty && early.isEmpty)
            try join(handler)
            var found: [String] = []
            for _ in 0..<2 {
                let (group, requests) = try take(queue)
                found.append("\(group.entries.count) \(requests.map { "\($0.reason)" })")
                AckTicket.pay(group.tickets)
            }
            #expect(found == ["1 []", "0 [\"command\"]"])
            try join(handler)
            AckTicket.pay(try take(queue).group.tickets)
            #expect(answers.wait { $0.count == 2 })
            guard case .ended = queue.take(deadline: .max) else {
                Issue.record("the queue does not end")
                return
            }
        }
    }

    @Test func aDuplicateOfALargeBatchWaitsForItAndIsRefusedWithIt() throws {
        try withQueue { handler, send in
            let queue = handler.queue
            let answers = Answers([])
            for _ in 0..<3 { send(largeBatch(1), answers) }
            #expect(handler.submitted.wait { $0 == 3 })
            try join(handler)
            try join(handler)
            let full = TraceError(.exhausted, "disk full")
            let lost = try take(queue).group
            #expect(queue.forget(lost.entries.compactMap(\.dedupKey), full) == 1)
            for ticket in lost.tickets { ticket.cancel(full) }
            let double = try take(queue).group
            #expect(double.deduplicatedEvents == 0 && double.rejectedEvents == 1)
            AckTicket.pay(double.tickets)
            #expect(answers.wait { $0.count == 2 })
            #expect(answers.current.allSatisfy { $0.contains("disk full") })
            try join(handler)
            let again = try take(queue).group
            #expect(again.entries.count == 1, "it can be sent again")

            // A batch found to be a duplicate that joins only after the original was refused.
            send(largeBatch(1), answers)
            #expect(handler.submitted.wait { $0 == 4 })
            try join(handler, forgetting: true)
            let late = try take(queue).group
            #expect(late.deduplicatedEvents == 0 && late.rejectedEvents == 1)
            AckTicket.pay(again.tickets + late.tickets)
            #expect(answers.wait { $0.count == 4 })
            #expect(answers.current.count { $0.contains("could not be stored") } == 1)
        }
    }

    /// The pool keeps as many small groups as arrive between two rounds of the workers, and reuses each.
    @Test func memoryOfGroupsIsUsedAgainWithinABound() throws {
        let queue = IngestQueue(dedup: DedupWindow())
        func reused(bytes: Int, count: Int) throws -> Int {
            let groups = (0..<count).map { _ in CommitGroup() }
            for group in groups {
                _ = group.log.append(.batch, arrival: 0, bodyBytes: bytes)
                queue.recycle(group)
            }
            let known = Set(groups.map(ObjectIdentifier.init))
            var found = 0
            for _ in 0...count {
                guard case .group(let group, _, _) = queue.take(deadline: 0) else { break }
                if known.contains(ObjectIdentifier(group)) { found += 1 }
            }
            return found
        }
        #expect(try reused(bytes: 100_000, count: 30) == 30)
        let large = 4 << 20
        let fitting = try reused(bytes: large - 4_096, count: 30)
        #expect(fitting > 2 && fitting <= Limits.spareGroupsBytesMax / large)
    }

    /// After the drain's barrier no batch may be accepted, because it would be acknowledged but not finalized.
    @Test func aClosedQueueTakesBarriersButNoBatches() throws {
        try withQueue { handler, send in
            let answers = Answers([])
            send(TestBatch.bytes(events: 1), answers)
            #expect(handler.submitted.wait { $0 == 1 })
            handler.queue.close()
            send(TestBatch.bytes(events: 2), answers)
            #expect(handler.submitted.wait { $0 == 2 })
            handler.queue.request(.init(reason: .stop, slotMap: nil) { _ in })
            let (group, requests) = try take(handler.queue)
            #expect(group.entries.map(\.eventCount) == [1])
            #expect(group.tickets.count == 1 && requests.map(\.reason) == [.stop])
            AckTicket.pay(group.tickets)
            #expect(answers.wait { $0.contains("1 events stored") })
        }
    }

    /// Two changes planned from the same map would revert each other.
    @Test func slotMapsChangeOneAfterTheOther() {
        let current = CurrentSlotMap(SlotMap(workers: [:]))
        let first = current.beginChange()
        #expect(first != nil && current.beginChange() == nil)
        let next = SlotMap(workers: [.cpu: 3])
        current.endChange(next)
        #expect(current.beginChange() == next)
        current.cancelChange()
        #expect(current.beginChange() == next)
    }

    @Test func aBarrierThatCouldNotBeWrittenIsStillAskedFor() throws {
        let queue = IngestQueue(dedup: DedupWindow())
        queue.request(.init(reason: .command, slotMap: nil) { _ in })
        let (group, requests) = try take(queue)
        #expect(group.isEmpty && requests.map(\.reason) == [.command])
        queue.request(.init(reason: .scale, slotMap: nil) { _ in })
        queue.askAgain(requests)
        let next = try take(queue)
        #expect(next.requests.map(\.reason) == [.command, .scale])
        queue.end()
        // No client is left to be answered.
        queue.askAgain(next.requests)
        guard case .ended = queue.take(deadline: .max) else {
            Issue.record("the queue does not end")
            return
        }
    }

    @Test func theDeadlineEndsTheWait() throws {
        let queue = IngestQueue(dedup: DedupWindow())
        guard case .group(let group, let requests, _) = queue.take(deadline: 0) else {
            Issue.record("the queue has ended")
            return
        }
        #expect(group.isEmpty && requests.isEmpty)
    }
}
