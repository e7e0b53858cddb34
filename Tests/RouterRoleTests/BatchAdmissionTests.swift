import GRPCTransport
import IngestLog
import TestSupport
import Testing
import TraceModel
import TraceWire

@testable import RouterRole

/// Tests how a message is admitted to a commit group.
@Suite struct BatchAdmissionTests {
    private static let peer = Array("10.1.2.3".utf8)

    /// The group being filled, with the state that earlier batches left.
    private struct GroupUnderTest: ~Copyable {
        var admission = BatchAdmission()
        var dedup = DedupWindow()
        let group = CommitGroup()

        mutating func admit(
            _ bytes: [UInt8],
            as identity: HostIdentity = .any
        ) -> BatchAdmission.Outcome {
            admission.admit(
                ReceivedMessage(bytes),
                peerHost: BatchAdmissionTests.peer,
                identity: identity,
                into: group
            ) { dedup.admit($0) }
        }
    }

    private func text(_ outcome: BatchAdmission.Outcome) -> String {
        switch outcome {
        case .accepted(let events, let sequence): "accepted \(events) \(sequence)"
        case .duplicate(let events, let sequence): "duplicate \(events) \(sequence)"
        case .refused(let error, let events, let sequence):
            "\(error.code) \(events) \(sequence): \(error.message)"
        }
    }

    @Test func anAcceptedBatchLiesInTheGroupAsItCame() {
        var filling = GroupUnderTest()
        let bytes = TestBatch.bytes([(.cpu, 5), (.cpu, 6), (.gpu, 5)])
        #expect(text(filling.admit(bytes)) == "accepted 3 0")
        let record = filling.group.log.record(at: filling.group.log.offsets[0])
        #expect(record.type == .batch && Array(record.body) == bytes)
        #expect(filling.group.entries.count == 1 && filling.group.events.count == 3)
        let entry = filling.group.entries[0]
        #expect(entry.firstEvent == 0 && entry.eventCount == 3 && entry.dedupKey == nil)
        #expect(entry.accepted[Int(Resource.cpu.rawValue)] == 2)
        #expect(entry.accepted[Int(Resource.gpu.rawValue)] == 1)
        #expect(entry.accepted[Int(Resource.io.rawValue)] == 0)
        var bytesByResource = 0
        for index in entry.wireBytes.indices { bytesByResource += entry.wireBytes[index] }
        #expect(bytesByResource == bytes.count)
    }

    /// A client with a certificate sends for the host that it names, and for no other.
    @Test func theHostHasToBeTheCertificatesWhereThatIsRequired() {
        for (host, identity, expected) in [
            ("web-3", HostIdentity.named("web-3"), "accepted 1 0"),
            ("", .named("web-3"), "accepted 1 0"),
            (
                "db-1", .named("web-3"),
                "denied 1 0: host \"db-1\" is not the name in the client's certificate, \"web-3\""
            ),
            ("web", .named("web-3"), "denied 1 0"), ("web-33", .named("web-3"), "denied 1 0"),
            // Equal to a person's eyes, and to `String`, but another name.
            ("e\u{301}", .named("\u{E9}"), "denied 1 0"),
            (
                "web-3", .unknown,
                "denied 1 0: the client has shown no certificate that names its host"
            ),
            ("", .unknown, "denied 1 0"),
        ] {
            var filling = GroupUnderTest()
            let outcome = text(filling.admit(TestBatch.bytes(events: 1, host: host), as: identity))
            #expect(outcome.hasPrefix(expected), "\(host)")
            guard expected.hasPrefix("accepted") else {
                #expect(filling.group.log.offsets.isEmpty && filling.group.events.count == 0)
                continue
            }
            let record = filling.group.log.record(at: filling.group.log.offsets[0])
            #expect(Array(record.host) == Array("web-3".utf8))
        }
    }

    /// The batch's own host, else its peer's, selects the slots and is logged.
    @Test func theHostIsTheBatchsElseThePeers() {
        for (named, expected) in [("", Self.peer), ("web-1", Array("web-1".utf8))] {
            var filling = GroupUnderTest()
            let bytes = TestBatch.bytes(events: 1, host: named)
            #expect(text(filling.admit(bytes)) == "accepted 1 0")
            let record = filling.group.log.record(at: filling.group.log.offsets[0])
            #expect(Array(record.host) == expected)
            #expect(Array(record.body) == bytes)
            let hash = expected.withUnsafeBytes { Slot.hash(host: $0) }
            #expect(filling.group.events[0].slot == Slot.of(hostHash: hash, processID: 1))
        }
    }

    @Test func anEmptyBatchIsAccepted() {
        var filling = GroupUnderTest()
        #expect(text(filling.admit([])) == "accepted 0 0")
        #expect(
            text(filling.admit(TestBatch.bytes(events: 0, client: "c", sequence: 1)))
                == "accepted 0 1"
        )
        #expect(filling.group.log.offsets.count == 2 && filling.group.events.count == 0)
    }

    @Test func aBatchThatCameBeforeIsADuplicate() {
        var filling = GroupUnderTest()
        let bytes = TestBatch.bytes(events: 2, client: "c", sequence: 7)
        #expect(text(filling.admit(bytes)) == "accepted 2 7")
        let before = filling.group.byteCount
        #expect(text(filling.admit(bytes)) == "duplicate 2 7")
        #expect(filling.group.byteCount == before && filling.group.entries.count == 1)
        let other = TestBatch.bytes(events: 3, client: "c", sequence: 7)
        let refused = text(filling.admit(other))
        #expect(refused.hasPrefix("invalidArgument 3 7: ") && refused.contains("other bytes"))
        #expect(
            text(filling.admit(TestBatch.bytes(events: 2, client: "d", sequence: 7)))
                == "accepted 2 7"
        )
    }

    @Test func whatIsTooOldToTellIsRefused() {
        var filling = GroupUnderTest()
        let span = UInt64(Limits.dedupSequencesMax)
        _ = filling.admit(TestBatch.bytes(events: 1, client: "c", sequence: span + 5))
        let refused = text(filling.admit(TestBatch.bytes(events: 1, client: "c", sequence: 5)))
        #expect(refused.hasPrefix("invalidArgument 1 5: ") && refused.contains("\(span)"))
        #expect(
            text(filling.admit(TestBatch.bytes(events: 1, client: "c", sequence: 6)))
                == "accepted 1 6"
        )
    }

    @Test func clientAndSequenceGoTogether() {
        var filling = GroupUnderTest()
        let noSequence = text(filling.admit(TestBatch.bytes(events: 1, client: "c")))
        #expect(noSequence.hasPrefix("invalidArgument 1 0: sequence is unset"))
        let noClient = text(filling.admit(TestBatch.bytes(events: 1, sequence: 3)))
        #expect(noClient.hasPrefix("invalidArgument 1 3: client_id is unset"))
    }

    /// After any sequence of refusals the group contains exactly the accepted batches.
    @Test(arguments: 0..<10 as Range<UInt64>) func refusalsLeaveTheGroupUntouched(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var filling = GroupUnderTest()
        var accepted: [[UInt8]] = []
        var events = 0
        for step in 0..<300 {
            let count = Int.random(in: 0..<4, using: &generator)
            var bytes = TestBatch.bytes(
                events: count,
                client: "c",
                sequence: .random(in: 1...40, using: &generator),
                host: "h\(step)"
            )
            if Int.random(in: 0..<3, using: &generator) == 0, !bytes.isEmpty {
                let position = Int.random(in: bytes.indices, using: &generator)
                bytes[position] = UInt8.random(in: 0...255, using: &generator)
            }
            if case .accepted(let found, _) = filling.admit(bytes) {
                accepted.append(bytes)
                events += found
            }
            #expect(filling.group.log.offsets.count == accepted.count)
            #expect(filling.group.entries.count == accepted.count)
            #expect(filling.group.events.count == events)
        }
        let bodies = filling.group.log.offsets.map {
            Array(filling.group.log.record(at: $0).body)
        }
        #expect(bodies == accepted)
        #expect(accepted.count > 10 && accepted.count < 300)
    }

    @Test func onlyAnAcceptedBatchIsAClientsLast() {
        var filling = GroupUnderTest()
        let last = TestBatch.bytes(events: 1, client: "c", isLast: true)
        _ = filling.admit(last)
        #expect(filling.group.entries.map(\.isLastBatch) == [])
        _ = filling.admit(TestBatch.bytes(events: 1, client: "c", sequence: 1, isLast: true))
        #expect(filling.group.entries.map(\.isLastBatch) == [true])
    }

    @Test func namesBeyondTheirLimitAreRefusedByName() {
        var filling = GroupUnderTest()
        let long = String(repeating: "x", count: 256)
        let host = text(filling.admit(TestBatch.bytes(events: 1, host: long)))
        #expect(host.hasPrefix("invalidArgument") && host.contains("host"))
        let client = text(filling.admit(TestBatch.bytes(events: 1, client: long, sequence: 1)))
        #expect(client.hasPrefix("invalidArgument") && client.contains("client_id"))
        let hostField: [UInt8] = [0xBA, 0x06, 2, 0x61, 0xFF]
        let unreadable = text(filling.admit(TestBatch.bytes(events: 1) + hostField))
        #expect(unreadable == "invalidArgument 1 0: host: no valid UTF-8")
        #expect(filling.group.isEmpty && filling.group.byteCount == 0)
        let most = String(repeating: "x", count: 255)
        #expect(text(filling.admit(TestBatch.bytes(events: 1, host: most))) == "accepted 1 0")
    }
}
