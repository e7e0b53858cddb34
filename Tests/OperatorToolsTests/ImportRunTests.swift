import Foundation
import OperatorTools
import Testing
import TraceModel
import TraceWire

struct ImportRunTests {
    private struct Sent: Equatable {
        var text: String
        var counts: [UInt64]
    }

    /// Imports and decodes the events that went over the wire.
    private func imported(_ recording: Recording, shift: Int64, batch: Int) throws -> [[Sent]] {
        try batches(recording, shift: shift, batch: batch).map(events)
    }

    /// Imports; returns the batches that were sent.
    private func batches(
        _ recording: Recording,
        shift: Int64 = 0,
        batch: Int
    ) throws -> [[UInt8]] {
        let transport = ScriptedTransport()
        let stop = try StopSignal()
        let sender = RetryingSender(transport: transport, stop: stop, giveUpAfterSeconds: nil)
        let session = BatchSession(
            sender: sender,
            identity: ClientIdentity(clientID: "c"),
            host: "",
            batchEventsMax: batch
        )
        var run = ImportRun(recording, session: session, stop: stop)
        try run.run(shift: shift)
        return transport.attempts
    }

    private func events(_ batch: [UInt8]) -> [Sent] {
        batch.withUnsafeBytes { buffer in
            var payloads = EventPayloads(of: .function, in: buffer)
            var found: [Sent] = []
            while let payload = payloads.next() {
                let event = FunctionEvent(decoding: payload)
                found.append(
                    Sent(
                        text: "\(event.timestamp.string) \(event.eventType) \(event.cookie) "
                            + "\(event.functionName.string) \(event.pid) \(event.tgid)",
                        counts: [event.callCount, event.averageDurationMicroseconds]
                    )
                )
            }
            return found
        }
    }

    @Test func namesGoOnceBeforeTheFirstEventOfTheirs() throws {
        let json = """
            {"traceEvents":[{"ph":"X","name":"f","ts":1,"dur":9,"pid":9,"tid":0},
            {"ph":"X","name":"g","ts":2,"dur":1,"pid":9,"tid":6},
            {"ph":"X","name":"g","ts":4,"dur":1,"pid":9,"tid":6},
            {"ph":"X","name":"h","ts":5,"dur":1,"pid":8,"tid":8},
            {"ph":"M","name":"process_name","pid":9,"args":{"name":"gpu"}},
            {"ph":"M","name":"process_sort_index","pid":9,"args":{"sort_index":4}},
            {"ph":"M","name":"thread_name","pid":9,"tid":6,"args":{"name":"stream 6"}},
            {"ph":"M","name":"thread_name","pid":9,"tid":0,"args":{"name":"stream 0"}},
            {"ph":"M","name":"process_name","pid":7,"args":{"name":"without a call"}}]}
            """
        var reader = ChromeTraceReader(BytesInPieces(json, piece: 11))
        let sent = try batches(try reader.read(), batch: 1)
        #expect(sent.count == 8)
        let names = try sent.map { try BatchNames.read($0) }
        #expect(names[0] == ["9 0 gpu 4"])
        #expect(names[1] == ["9 6 stream 6 0"])
        #expect(names[2...].allSatisfy { $0.isEmpty })
        let semantics = try sent.map { try BatchNames.semantics($0) }
        #expect(semantics.allSatisfy { $0 == .cumulative })
    }

    @Test func golden() throws {
        let json = """
            {"traceEvents":[{"ph":"X","name":"g","ts":2,"dur":3,"pid":9,"tid":5},
            {"ph":"X","name":"f","ts":1,"dur":9,"pid":9,"tid":5},
            {"ph":"X","name":"g","ts":6,"dur":1,"pid":9,"tid":5}]}
            """
        var reader = ChromeTraceReader(BytesInPieces(json, piece: 11))
        let shift: Int64 = 1_700_000_000_000_000_000
        let batches = try imported(try reader.read(), shift: shift, batch: 4)
        #expect(batches.map(\.count) == [4, 2])
        #expect(
            batches.flatMap { $0 } == [
                Sent(text: "1700000000.000001 0 1 f 5 9", counts: [1, 0]),
                Sent(text: "1700000000.000002 0 2 g 5 9", counts: [1, 0]),
                Sent(text: "1700000000.000005 1 2 g 5 9", counts: [1, 3]),
                Sent(text: "1700000000.000006 0 3 g 5 9", counts: [2, 3]),
                Sent(text: "1700000000.000007 1 3 g 5 9", counts: [2, 2]),
                Sent(text: "1700000000.000010 1 1 f 5 9", counts: [1, 9]),
            ]
        )
    }

    @Test func gzipIsRecognizedByItsBytes() throws {
        // gzip -9n of [{"ph":"X","name":"f","ts":1,"dur":2,"pid":3,"tid":4}]
        let base64 =
            "H4sIAAAAAAACA4uuVirIULJSilDSUcpLzE0FMtOAzJJiJStDHaWU0iIlKyMdpYLMFCUrY6AwiDapjQUAjrWlDzYAAAA="
        let bytes = try #require(Data(base64Encoded: base64))
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("recording-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: path) }
        try bytes.write(to: path)
        let file = try RecordingFile(path.path)
        var reader = ChromeTraceReader(file.bytes)
        let recording = try file.naming { try reader.read() }
        #expect(recording.names == ["f"])
        #expect(recording.calls.map(\.end) == [3000])
        #expect(abs(Double(file.modified) / 1e9 - Date().timeIntervalSince1970) < 60)
        #expect(file.bytes.progress.done == bytes.count)
    }
}
