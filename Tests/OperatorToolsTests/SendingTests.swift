import Foundation
import OperatorTools
import Testing
import TraceModel
import TraceWire

struct SendingTests {
    private func scan(_ batch: [UInt8]) throws -> (client: String, sequence: UInt64, host: String) {
        var index = EventIndex()
        return try batch.withUnsafeBytes { bytes in
            let summary = try BatchScanner.scan(bytes, into: &index)
            return (summary.clientID.string, summary.sequence, summary.host.string)
        }
    }

    private func cpuBatch(
        clientID: String = "",
        sequence: UInt64 = 0,
        semantics: Semantics? = nil
    ) -> [UInt8] {
        var encoder = BatchEncoder()
        var event = BatchEncoder.CPU()
        event.pid = 7
        encoder.append(event)
        var envelope = BatchEncoder.Envelope()
        envelope.clientID = clientID
        envelope.sequence = sequence
        envelope.semantics = semantics
        encoder.append(envelope)
        return [UInt8](encoder.bytes)
    }

    private func temporaryFile(_ name: String, _ bytes: [UInt8]) throws -> String {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "tools-\(UUID().uuidString)"
        )
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let file = directory.appendingPathComponent(name)
        try Data(bytes).write(to: file)
        return file.path
    }

    @Test func aRetrySendsTheSameBytes() throws {
        let transport = ScriptedTransport([
            .retry(reason: "busy", after: nil), .retry(reason: "gone", after: nil),
        ])
        let sender = RetryingSender(
            transport: transport,
            stop: try StopSignal(),
            giveUpAfterSeconds: nil
        )
        var reasons: [String] = []
        sender.onRetry = { reason, _ in reasons.append(reason) }
        let session = BatchSession(
            sender: sender,
            identity: ClientIdentity(clientID: "c"),
            host: "h",
            batchEventsMax: 2
        )
        for _ in 0..<3 { try session.append(BatchEncoder.CPU()) }
        #expect(session.acknowledged == [.cpu: 2])
        #expect(session.pendingEvents == 1)
        try session.flush()
        try session.flush()
        #expect(session.acknowledged == [.cpu: 3])
        #expect(reasons == ["busy", "gone"])
        #expect(transport.attempts.count == 4)
        #expect(Set(transport.attempts.prefix(3)).count == 1)
        #expect(try scan(transport.attempts[0]) == ("c", 1, "h"))
        #expect(try scan(transport.attempts[3]) == ("c", 2, "h"))
        #expect(try BatchNames.semantics(transport.attempts[0]) == .cumulative)
    }

    /// Names are no events; what waits of them is bounded as events are.
    @Test func namesGoWithTheNextEvent() throws {
        let transport = ScriptedTransport()
        let sender = RetryingSender(
            transport: transport,
            stop: try StopSignal(),
            giveUpAfterSeconds: nil
        )
        let session = BatchSession(
            sender: sender,
            identity: ClientIdentity(clientID: "c"),
            host: "h",
            batchEventsMax: 1
        )
        func append(_ pid: UInt32, _ text: String) throws {
            var name = BatchEncoder.Name()
            name.pid = pid
            name.name = text
            try session.append(name)
        }
        try append(7, "a")
        try append(8, "b")
        #expect(transport.attempts.isEmpty)
        try session.append(BatchEncoder.CPU())
        try session.append(BatchEncoder.CPU())
        #expect(transport.attempts.count == 2)
        #expect(try BatchNames.read(transport.attempts[0]) == ["7 0 a 0", "8 0 b 0"])
        #expect(try BatchNames.read(transport.attempts[1]) == [])
        #expect(session.acknowledged == [.cpu: 2])
        for pid in 0...UInt32(Limits.batchNamesMax) { try append(pid + 1, "n") }
        #expect(transport.attempts.count == 3)
        try session.flush()
        #expect(
            try transport.attempts[2...].map { try BatchNames.read($0).count } == [
                Limits.batchNamesMax, 1,
            ]
        )
    }

    @Test(arguments: [nil, Semantics.neutracer, .cumulative])
    func sendSaysWhatFieldsMeanWhereTheBatchDoesNot(
        option: Semantics?
    ) throws {
        let silent = cpuBatch()
        let named = cpuBatch(clientID: "own", sequence: 9)
        let telling = Semantics.allCases.map {
            cpuBatch(clientID: "own", sequence: 10, semantics: $0)
        }
        let paths = try ([silent, named] + telling).map { try temporaryFile("a.pb", $0) }
        let transport = ScriptedTransport()
        let stop = try StopSignal()
        let sender = RetryingSender(transport: transport, stop: stop, giveUpAfterSeconds: nil)
        let identity = ClientIdentity(clientID: "mine")
        let run =
            option.map { SendRun(sender: sender, identity: identity, semantics: $0) }
            ?? SendRun(sender: sender, identity: identity)
        try run.send(paths: paths, stop: stop)
        let expected = option ?? .cumulative
        #expect(
            try transport.attempts.map { try BatchNames.semantics($0) } == [expected, expected]
                + Semantics.allCases
        )
        #expect(
            try transport.attempts.map { try scan($0).client } == ["mine", "own", "own", "own"]
        )
        #expect(Array(transport.attempts[2...]) == telling)
    }

    @Test func theStopSignalEndsAWait() throws {
        let stop = try StopSignal()
        let transport = ScriptedTransport([.retry(reason: "busy", after: 30)])
        transport.onAttempt = { stop.raise() }
        let sender = RetryingSender(transport: transport, stop: stop, giveUpAfterSeconds: nil)
        #expect(throws: Interrupted.self) { try sender.send([]) }
        #expect(transport.attempts.count == 1)
        #expect(sender.batches == 0)
    }

    @Test func whoGivesUpSaysWhatToDo() throws {
        let sender = RetryingSender(
            transport: ScriptedTransport([.retry(reason: "nobody listens", after: nil)]),
            stop: try StopSignal(),
            giveUpAfterSeconds: 0
        )
        let error = #expect(throws: TraceError.self) { try sender.send([]) }
        #expect(error?.code == .unreachable)
        #expect(
            error?.description.contains(
                "Check with scripts/cluster status that the cluster is ready"
            ) == true
        )
    }

    @Test func aRefusalIsAnError() throws {
        let transport = ScriptedTransport([.refused(reason: "cpu_trace_data[0].pid")])
        let sender = RetryingSender(
            transport: transport,
            stop: try StopSignal(),
            giveUpAfterSeconds: nil
        )
        let error = #expect(throws: TraceError.self) { try sender.send([]) }
        #expect(error?.code == .invalidArgument)
    }

    /// A server that is away, now or for good, is worth another try; the agent relies on it.
    @Test func nobodyListeningIsWorthARetry() throws {
        let transport = GRPCBatchTransport(
            server: ServerConnection(to: try #require(HostPort("127.0.0.1:1")))
        )
        defer { transport.close() }
        for _ in 0..<2 {
            guard case .retry(_, nil) = transport.attempt(cpuBatch()) else {
                Issue.record("a lost connection must be retryable")
                return
            }
        }
    }

    @Test func sendNamesAnonymousBatchesOnly() throws {
        let first = cpuBatch()
        let second = cpuBatch(clientID: "own", sequence: 9)
        let single = try temporaryFile("a.pb", first)
        let delimited = try temporaryFile(
            "b.pbs",
            [UInt8(second.count)] + second + [0] + [UInt8(first.count)] + first
        )
        let transport = ScriptedTransport()
        let stop = try StopSignal()
        let sender = RetryingSender(transport: transport, stop: stop, giveUpAfterSeconds: nil)
        let run = SendRun(sender: sender, identity: ClientIdentity(clientID: "mine"))
        var progress: [Int] = []
        run.onProgress = { done, total in progress.append(total - done) }
        try run.send(paths: [single, delimited], stop: stop)
        let names = try transport.attempts.map { try scan($0) }
        #expect(names.map(\.client) == ["mine", "own", "mine", "mine"])
        #expect(names.map(\.sequence) == [1, 9, 2, 3])
        #expect(transport.attempts[1].starts(with: second))
        #expect(transport.attempts[0].starts(with: first))
        #expect(run.events == 3)
        #expect(progress.last == 0)
    }

    @Test func aFileThatIsNoBatchIsNamed() throws {
        let path = try temporaryFile("x.bin", Array("{\"traceEvents\":[]}".utf8))
        let stop = try StopSignal()
        let transport = ScriptedTransport()
        let sender = RetryingSender(transport: transport, stop: stop, giveUpAfterSeconds: nil)
        let run = SendRun(sender: sender, identity: ClientIdentity(clientID: "c"))
        let error = #expect(throws: TraceError.self) { try run.send(paths: [path], stop: stop) }
        #expect(error?.message.contains("x.bin, batch 1: not a TraceBatch") == true)
        #expect(transport.attempts.isEmpty)
    }

    @Test(arguments: [[5, 0x1A], [0x80], [0xFF, 0xFF, 0xFF, 0xFF, 0x7F]] as [[UInt8]])
    func aDelimitedFileThatIsCutOffIsAnError(bytes: [UInt8]) throws {
        let file = try BatchFile(try temporaryFile("cut.pbs", bytes))
        #expect(throws: TraceError.self) { try file.next() }
    }
}
