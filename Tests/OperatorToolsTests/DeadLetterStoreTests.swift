import Foundation
import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceModel
import TraceWire

@testable import OperatorTools

/// Letters as the router leaves them, read and sent again.
@Suite struct DeadLetterStoreTests {
    private let directory: TemporaryDirectory
    private let name = DeadLetterName(
        worker: WorkerName(resource: .cpu, index: 0),
        from: 4_711,
        cause: .crash
    )

    init() throws {
        directory = try TemporaryDirectory()
        try FileSystem.createDirectory("\(directory.path)/\(ClusterPaths.deadLetters)")
        try write([], to: ClusterPaths.manifest)
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(directory.path)/\(path)"))
    }

    private func batch(_ comm: String, _ semantics: Semantics? = nil) -> [UInt8] {
        var encoder = BatchEncoder()
        var event = BatchEncoder.CPU()
        event.comm = comm
        event.pid = 12
        encoder.append(event)
        var envelope = BatchEncoder.Envelope()
        envelope.host = "traced"
        envelope.semantics = semantics
        encoder.append(envelope)
        return Array(encoder.bytes)
    }

    /// A letter of these batches, each below 128 bytes.
    private func letter(_ batches: [[UInt8]]) throws -> (store: DeadLetterStore, letter: DeadLetter)
    {
        let content = batches.flatMap { [UInt8($0.count)] + $0 }
        try write(content, to: name.batches)
        let checksum = content.withUnsafeBytes { Checksum.crc32c($0) }
        let sidecar = """
            {"format": 1, "worker": "cpu.0", "resource": "cpu", "cause": "crash", "reason": "r", "from_lsn": 4711,
            "to_lsn": 4800, "events": \(batches.count), "batches": \(batches.count), "bytes": \(content.count),
            "crc32c": \(checksum), "hosts": ["traced"], "first_arrival_ns": 1500000000, "last_arrival_ns": 0}
            """
        try write(Array(sidecar.utf8), to: name.sidecar)
        let store = try DeadLetterStore(dataDirectory: directory.path)
        return (store, try store.letter("\(name)"))
    }

    @Test func aLetterIsListedAndShownInPart() throws {
        let (store, letter) = try letter([batch("first"), batch("second"), batch("third")])
        #expect(try store.letters { _ in }.map(\.name) == ["cpu.0-4711-crash"])
        var lines: [String] = []
        try DeadLetterText(letter, in: store).write(eventsMax: 2) { lines.append($0) }
        let text = lines.joined(separator: "\n")
        #expect(text.contains(#"comm="first""#) && text.contains(#"comm="second""#))
        #expect(!text.contains("third") && text.contains("and 1 more"))
        #expect(text.contains("1.500") && text.contains("processID=12") || text.contains("pid=12"))
    }

    @Test func aPendingLetterDoesNotCount() throws {
        try write(Array("{}".utf8), to: name.pendingSidecar)
        let store = try DeadLetterStore(dataDirectory: directory.path)
        #expect(try store.letters { _ in }.isEmpty)
        #expect(throws: TraceError.self) { try store.letter("\(name)") }
    }

    @Test func aReplaySendsTheSameBytesEachTimeAndMarksTheLetter() throws {
        let (store, letter) = try letter([batch("first"), batch("second")])
        #expect(!letter.isReplayed)
        var sent: [[[UInt8]]] = []
        for _ in 0..<2 {
            let transport = ScriptedTransport()
            let stop = try StopSignal()
            let sender = RetryingSender(transport: transport, stop: stop, giveUpAfterSeconds: 1)
            try DeadLetterReplay(store: store, sender: sender, stop: stop).send(letter)
            sent.append(transport.attempts)
        }
        #expect(sent[0] == sent[1] && sent[0].count == 2)
        #expect(sent[0][0].starts(with: batch("first")))
        #expect(try store.letter("\(name)").isReplayed)
    }

    /// What fields mean is what the letter's batches say; the replay adds nothing to it.
    @Test func aReplayKeepsTheDialect() throws {
        let dialects: [Semantics?] = [.neutracer, .cumulative, nil]
        let (store, letter) = try letter(dialects.map { batch("c", $0) })
        let transport = ScriptedTransport()
        let stop = try StopSignal()
        let sender = RetryingSender(transport: transport, stop: stop, giveUpAfterSeconds: 1)
        try DeadLetterReplay(store: store, sender: sender, stop: stop).send(letter)
        #expect(try transport.attempts.map { try BatchNames.semantics($0) } == dialects)
    }

    /// A client's sequences stay within what the server remembers of one.
    @Test func manyBatchesComeAsSeveralClients() throws {
        let (_, letter) = try letter([])
        var seen: Set<[UInt8]> = []
        var index = EventIndex()
        for number in 0..<600 {
            let bytes = DeadLetterReplay.envelope(of: letter, batch: number)
            #expect(seen.insert(bytes).inserted)
            let sequence = try bytes.withUnsafeBytes {
                try BatchScanner.scan($0, into: &index).sequence
            }
            #expect((1...UInt64(Limits.dedupSequencesMax)).contains(sequence))
        }
    }

    @Test func aDamagedLetterIsNeitherShownNorSent() throws {
        let (store, letter) = try letter([batch("first")])
        var content = try FileSystem.contents("\(directory.path)/\(name.batches)")
        content[content.count - 1] ^= 1
        try write(content, to: name.batches)
        #expect(throws: TraceError.self) {
            try DeadLetterText(letter, in: store).write(eventsMax: 5) { _ in }
        }
        try write(Array("{".utf8), to: name.sidecar)
        // It hides no others.
        var problems: [String] = []
        #expect(try store.letters { problems.append("\($0)") }.isEmpty)
        #expect(problems.count == 1 && problems.first?.contains("tracectl send") == true)
    }
}
