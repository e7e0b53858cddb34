import IngestLog
import Testing
import TraceModel

@testable import RouterRole

@Suite struct FabricInboxTests {
    private func group(
        _ type: LogRecordType,
        begin: LSN = 0,
        end: LSN,
        bodyBytes: Int = 0
    ) -> CommitGroup {
        let group = CommitGroup()
        _ = group.log.append(type, arrival: 0, bodyBytes: bodyBytes)
        group.entries.append(CommitGroup.Entry())
        group.begin = begin
        group.end = end
        return group
    }

    /// A tick does not count as lag; otherwise, workers would appear to lag until they answer a tick.
    @Test func aTickIsNothingToLagBehindWith() throws {
        let inbox = try FabricInbox(durable: 128)
        #expect(inbox.workLSN == 128)
        inbox.publish(group(.tick, end: 256)) { _ in }
        #expect(inbox.workLSN == 128 && inbox.durableLSN == 256)
        inbox.publish(group(.batch, end: 384)) { _ in }
        #expect(inbox.workLSN == 384 && inbox.durableLSN == 384)
    }

    @Test func whatWaitsIsCounted() throws {
        let inbox = try FabricInbox(durable: 0)
        #expect(inbox.byteCount == 0)
        let group = group(.batch, end: 128, bodyBytes: 1_000)
        inbox.publish(group) { _ in }
        #expect(inbox.byteCount == group.byteCount && inbox.byteCount >= 1_000)
        _ = inbox.takeSpans()
        #expect(inbox.byteCount == 0)
    }

    private func spans(_ groups: [CommitGroup]) throws -> [[LSN]] {
        let inbox = try FabricInbox(durable: 0)
        for group in groups { inbox.publish(group) { _ in } }
        return inbox.takeSpans().map { $0.map(\.group.end) }
    }

    @Test func groupsThatFollowOneAnotherGoTogether() throws {
        let groups = (1...3).map { group(.batch, begin: LSN($0 - 1) * 128, end: LSN($0) * 128) }
        #expect(try spans(groups) == [[128, 256, 384]])
        #expect(try spans([]).isEmpty)
    }

    /// Groups that were dropped in between are read from the log.
    @Test func aGapEndsAStretch() throws {
        let groups = [group(.batch, end: 128), group(.batch, begin: 256, end: 384)]
        #expect(try spans(groups) == [[128], [384]])
    }

    @Test func whatChangesRoutingEndsAStretch() throws {
        let verdict = group(.batch, begin: 128, end: 256)
        verdict.verdicts = [
            VerdictPayload(
                worker: WorkerName(resource: .cpu, index: 0),
                cause: .skip,
                range: 0..<1,
                events: 1,
                reason: "test"
            )
        ]
        let groups = [group(.batch, end: 128), verdict, group(.batch, begin: 256, end: 384)]
        #expect(try spans(groups) == [[128, 256], [384]])
    }

    /// A group on its own may be larger than a message with several groups.
    @Test func aStretchIsNotTooMuchForOneMessage() throws {
        let bytes = Limits.shareMessageBytes / 2
        let groups = [
            group(.batch, end: 1, bodyBytes: bytes / 2),
            group(.batch, begin: 1, end: 2, bodyBytes: bytes),
            group(.batch, begin: 2, end: 3, bodyBytes: bytes),
            group(.batch, begin: 3, end: 4, bodyBytes: 3 * bytes),
            group(.batch, begin: 4, end: 5),
        ]
        #expect(try spans(groups) == [[1, 2], [3], [4], [5]])
    }
}
