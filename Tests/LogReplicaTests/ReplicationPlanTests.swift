import LogReplica
import Testing
import TraceModel

/// Tests what an owner sends, one step at a time.
@Suite struct ReplicationPlanTests {
    private static let second: Int64 = 1_000_000_000
    private static let owner = ReplicaOwner(directory: 7, start: 1)

    /// Returns a plan whose takeover, at position 4, is stored.
    private func streaming() throws -> ReplicationPlan {
        var plan = ReplicationPlan(after: Self.content(), keeping: 100, owner: Self.owner)
        let (message, ticket) = try sent(&plan)
        #expect(message.position == 4)
        #expect(message.header == ReplicaHeader(epoch: 3, lsn: 100, owner: Self.owner))
        #expect(!plan.isOwner)
        plan.report(.stored(4), ticket: ticket, now: 0)
        #expect(plan.isOwner)
        return plan
    }

    /// Returns a plan past the positions that messages of a former owner may take.
    private func settled() throws -> ReplicationPlan {
        var plan = try streaming()
        for index in 0..<ReplicationPlan.messagesInFlightMax - 1 {
            plan.append(lsn: 100 + LSN(index) * 10, byteCount: 10)
            let (message, ticket) = try sent(&plan)
            plan.report(.stored(message.position), ticket: ticket, now: 0)
        }
        #expect(plan.safe == 170)
        return plan
    }

    /// A log of one message of each of two epochs, and a takeover.
    private static func content() -> ReplicaContent {
        var content = ReplicaContent()
        let headers = [
            ReplicaHeader(epoch: 1, lsn: 0, owner: ReplicaOwner(directory: 1, start: 1)),
            ReplicaHeader(epoch: 1, lsn: 0),
            ReplicaHeader(epoch: 2, lsn: 100, owner: ReplicaOwner(directory: 2, start: 1)),
        ]
        for header in headers {
            _ = content.apply(header, byteCount: header.owner == nil ? 100 : 0)
        }
        return content
    }

    private func sent(
        _ plan: inout ReplicationPlan,
        now: Int64 = 0
    ) throws -> (ReplicationPlan.Message, UInt64) {
        guard case .send(let message, let ticket) = plan.next(now: now) else {
            throw ReplicationFailure(description: "nothing is sent")
        }
        return (message, ticket)
    }

    @Test func nothingIsUnderWayBesideAMessageThatMayMeetAFormerOwners() throws {
        var plan = try streaming()
        plan.append(lsn: 100, byteCount: 10)
        plan.append(lsn: 110, byteCount: 10)
        let (message, ticket) = try sent(&plan)
        #expect(message.position == 5)
        #expect(plan.next(now: 0) == .wait(until: ReplicationPlan.outcomeNanoseconds))
        plan.report(.stored(5), ticket: ticket, now: 0)
        #expect(plan.safe == 110)
        #expect(try sent(&plan).0.position == 6)
    }

    @Test func bytesAreSafeOnlyWithAllBeforeThem() throws {
        var plan = try settled()
        for index in 0..<3 { plan.append(lsn: 170 + LSN(index) * 10, byteCount: 10) }
        let tickets = try (0..<3).map { _ in try sent(&plan).1 }
        plan.report(.stored(14), ticket: tickets[2], now: 0)
        plan.report(.stored(13), ticket: tickets[1], now: 0)
        #expect(plan.safe == 170)
        plan.report(.stored(12), ticket: tickets[0], now: 0)
        #expect(plan.safe == 200)
        #expect(plan.next(now: 0) == .wait(until: nil))
    }

    @Test func asManyAreUnderWayAsAreAllowed() throws {
        var plan = try settled()
        for index in 0..<20 { plan.append(lsn: 170 + LSN(index) * 10, byteCount: 10) }
        var count = 0
        while case .send = plan.next(now: 0) { count += 1 }
        #expect(count == ReplicationPlan.messagesInFlightMax)
    }

    @Test func anUnknownOutcomeIsSettledBeforeAnythingElse() throws {
        var plan = try settled()
        for index in 0..<2 { plan.append(lsn: 170 + LSN(index) * 10, byteCount: 10) }
        let first = try sent(&plan)
        let second = try sent(&plan)
        plan.report(.unknown("no leader"), ticket: first.1, now: 0)
        #expect(plan.problem == "no leader")
        // The fate of the second is not known yet.
        #expect(plan.next(now: 0) == .wait(until: ReplicationPlan.outcomeNanoseconds))
        plan.report(.refused, ticket: second.1, now: Self.second)
        let again = try sent(&plan, now: Self.second)
        #expect(again.0 == first.0)
        #expect(again.1 != first.1)
        guard case .wait = plan.next(now: Self.second) else {
            throw ReplicationFailure(description: "something is sent beside it")
        }
        // A late answer to the first attempt says nothing of this one.
        plan.report(.refused, ticket: first.1, now: Self.second)
        plan.report(.stored(12), ticket: again.1, now: Self.second)
        #expect(plan.problem == nil)
        #expect(try sent(&plan, now: Self.second).0 == second.0)
    }

    @Test func anOverdueMessageIsSentAgain() throws {
        var plan = try settled()
        plan.append(lsn: 170, byteCount: 10)
        let first = try sent(&plan)
        let time = ReplicationPlan.outcomeNanoseconds
        #expect(plan.next(now: 0) == .wait(until: time))
        #expect(try sent(&plan, now: time).0 == first.0)
        #expect(plan.problem != nil)
    }

    @Test func aRefusedMessageMayHaveBeenStoredBefore() throws {
        var plan = try settled()
        plan.append(lsn: 170, byteCount: 10)
        let (message, ticket) = try sent(&plan)
        plan.report(.refused, ticket: ticket, now: 0)
        #expect(plan.next(now: 0) == .read(12))
        plan.notFound("nothing is there", now: 0)
        let again = try sent(&plan, now: Self.second)
        #expect(again.0 == message)
        plan.report(.refused, ticket: again.1, now: Self.second)
        #expect(plan.next(now: Self.second) == .read(12))
        plan.found(message.header, now: Self.second)
        #expect(plan.safe == 180)
    }

    @Test func aLaterEpochEndsIt() throws {
        var plan = try settled()
        plan.append(lsn: 170, byteCount: 10)
        let (_, ticket) = try sent(&plan)
        plan.report(.refused, ticket: ticket, now: 0)
        let other = ReplicaHeader(epoch: 4, lsn: 170, owner: ReplicaOwner(directory: 8, start: 1))
        plan.found(other, now: 0)
        #expect(plan.next(now: 0) == .end(.fenced(other)))
        #expect(!plan.isOwner)
        #expect(plan.safe == 170)
    }

    @Test func aFormerOwnersMessageIsPassedOver() throws {
        var plan = try streaming()
        plan.append(lsn: 100, byteCount: 10)
        let (_, ticket) = try sent(&plan)
        plan.report(.refused, ticket: ticket, now: 0)
        plan.found(ReplicaHeader(epoch: 2, lsn: 100), now: 0)
        #expect(try sent(&plan).0.position == 6)
    }

    @Test func aFormerOwnersMessageCannotComeLater() throws {
        var plan = try settled()
        plan.append(lsn: 170, byteCount: 10)
        let (_, ticket) = try sent(&plan)
        plan.report(.refused, ticket: ticket, now: 0)
        plan.found(ReplicaHeader(epoch: 2, lsn: 100), now: 0)
        #expect(plan.next(now: 0) == .end(.inconsistent(at: 12)))
    }

    @Test func aTrimmedLogBeginsWithARangeOfItsOwner() throws {
        var plan = ReplicationPlan(
            after: Self.content(),
            keeping: 100,
            owner: Self.owner,
            markBytes: 100
        )
        plan.report(.stored(4), ticket: try sent(&plan).1, now: 0)
        #expect(plan.trimmable(below: 100) == nil)
        for index in 0..<5 {
            plan.append(lsn: 100 + LSN(index) * 50, byteCount: 50)
            let (message, ticket) = try sent(&plan)
            plan.report(.stored(message.position), ticket: ticket, now: 0)
        }
        // The marks stand at LSN 200 and 300, which are positions 7 and 9.
        #expect(plan.trimmable(below: 199) == nil)
        #expect(plan.trimmable(below: 299) == 7)
        #expect(plan.trimmable(below: 299) == nil)
        #expect(plan.trimmable(below: 300) == 9)
    }

    @Test func aTakeoverThatComesTooLateEnds() throws {
        var plan = ReplicationPlan(after: Self.content(), keeping: 100, owner: Self.owner)
        let (_, ticket) = try sent(&plan)
        plan.report(.refused, ticket: ticket, now: 0)
        plan.found(ReplicaHeader(epoch: 2, lsn: 100), now: 0)
        #expect(plan.next(now: 0) == .end(.overtaken(at: 4)))
    }
}

/// Tests how the messages of several owners are read, and what a router does at its start.
@Suite struct ReplicaContentTests {
    private func content(_ messages: (ReplicaHeader, Int)...) -> ReplicaContent {
        var content = ReplicaContent()
        for (header, count) in messages { _ = content.apply(header, byteCount: count) }
        return content
    }

    private func takeover(_ epoch: UInt64, _ lsn: LSN, by directory: UInt64) -> (ReplicaHeader, Int)
    {
        let owner = ReplicaOwner(directory: directory, start: 1)
        return (ReplicaHeader(epoch: epoch, lsn: lsn, owner: owner), 0)
    }

    private func range(_ epoch: UInt64, _ lsn: LSN, _ count: Int) -> (ReplicaHeader, Int) {
        (ReplicaHeader(epoch: epoch, lsn: lsn), count)
    }

    @Test func messagesOfAFormerOwnerAreIgnored() {
        let read = content(
            takeover(1, 0, by: 1),
            range(1, 0, 100),
            takeover(2, 100, by: 2),
            range(1, 100, 50),
            range(2, 100, 10)
        )
        #expect(read.end == 110)
        #expect(read.epoch == 2)
        #expect(read.owner?.directory == 2)
        #expect(read.next == 6)
    }

    @Test func aTakeoverCutsOffHalfAGroup() {
        let read = content(takeover(1, 0, by: 1), range(1, 0, 100), takeover(2, 80, by: 1))
        #expect(read.end == 80)
        #expect(read.begin == 0)
    }

    @Test func aTrimmedLogBeginsWithItsFirstRange() {
        var read = ReplicaContent(from: 9)
        #expect(read.apply(ReplicaHeader(epoch: 4, lsn: 500), byteCount: 20) == .range)
        #expect(read.begin == 500)
        #expect(read.end == 520)
        #expect(read.epoch == 4)
    }

    private func reconcile(
        _ local: Range<LSN>,
        _ epoch: UInt64?,
        _ content: ReplicaContent
    ) -> ReplicaReconciliation {
        ReplicaReconciliation(local: local, epoch: epoch, directory: 1, content: content)
    }

    @Test func whoIsAheadGivesTheRest() {
        let read = content(takeover(1, 0, by: 1), range(1, 0, 100))
        #expect(reconcile(0..<100, 1, read) == .same)
        #expect(reconcile(0..<80, 1, read) == .download(from: 80))
        #expect(reconcile(0..<130, 1, read) == .publish(from: 100))
        // It died before it had noted the epoch.
        #expect(reconcile(0..<130, nil, read) == .publish(from: 100))
    }

    @Test func aLogThatWasNotReplicatedYetIsPublished() {
        #expect(reconcile(0..<0, nil, ReplicaContent()) == .same)
        #expect(reconcile(64..<200, nil, ReplicaContent()) == .publish(from: 64))
    }

    @Test func aLogThatAnotherOneHasOwnedIsRestored() {
        let read = content(takeover(1, 0, by: 1), range(1, 0, 100), takeover(2, 100, by: 2))
        #expect(reconcile(0..<130, 1, read) == .restore)
        #expect(reconcile(0..<0, nil, read) == .restore)
    }

    @Test func whatIsMissingIsNotPassedOver() {
        guard case .refuse = reconcile(0..<100, 1, ReplicaContent()) else {
            Issue.record("a stream that lost everything is taken for a new one")
            return
        }
        var trimmed = ReplicaContent(from: 9)
        let owner = ReplicaOwner(directory: 1, start: 1)
        _ = trimmed.apply(ReplicaHeader(epoch: 4, lsn: 500, owner: owner), byteCount: 0)
        _ = trimmed.apply(ReplicaHeader(epoch: 4, lsn: 500), byteCount: 20)
        #expect(reconcile(0..<100, 4, trimmed) == .restore)
        #expect(reconcile(0..<510, 4, trimmed) == .download(from: 510))
        guard case .refuse = reconcile(600..<700, 4, trimmed) else {
            Issue.record("a range that neither has is passed over")
            return
        }
    }
}
