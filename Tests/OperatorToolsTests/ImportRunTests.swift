import Compression
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
    private func batches(_ recording: Recording, shift: Int64 = 0, batch: Int) throws -> [[UInt8]] {
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

    @Test func idsThatDoNotFitGoByWhatTheyAreCalled() throws {
        let json = """
            [{"ph":"X","name":"f","ts":1,"dur":9,"pid":"CUDA functions","tid":"stream 7"},
            {"ph":"X","name":"f","ts":2,"dur":9,"pid":5,"tid":140212345678592},
            {"ph":"M","name":"thread_name","pid":5,"tid":140212345678592,"args":{"name":"given"}}]
            """
        var reader = ChromeTraceReader(BytesInPieces(json, piece: 11))
        let sent = try batches(try reader.read(), batch: 100)
        #expect(
            try sent.flatMap { try BatchNames.read($0) } == [
                "1 0 CUDA functions 0", "1 1 stream 7 0", "5 1 given 0",
            ]
        )
        #expect(sent.flatMap(events).map { $0.text.suffix(3) } == ["1 1", "1 5", "1 1", "1 5"])
    }

    // MARK: Files

    /// Writes the bytes to a file and reads that.
    private func read(_ bytes: [UInt8]) throws -> (Recording, RecordingFile) {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(
            "recording-\(UUID().uuidString)"
        )
        defer { try? FileManager.default.removeItem(at: path) }
        try Data(bytes).write(to: path)
        let file = try RecordingFile(path.path)
        var reader = ChromeTraceReader(file.bytes)
        return (try file.naming { try reader.read() }, file)
    }

    private func compressed(_ text: String, _ compression: FileCompression) throws -> [UInt8] {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(
            "recording-\(UUID().uuidString)"
        ).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(text.utf8).write(to: URL(filePath: path))
        let tool = Process()
        tool.executableURL = URL(filePath: "/usr/bin/env")
        tool.arguments = [compression == .gzip ? "gzip" : "zstd", "-q", "-c", path]
        let output = Pipe()
        tool.standardOutput = output
        try tool.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        tool.waitUntilExit()
        return Array(data)
    }

    /// Events of different text, so that little of it compresses away.
    private static func events(_ count: Int) -> String {
        (0..<count).map {
            #"{"ph":"X","name":"f\#(UInt64($0) &* 0x9E37_79B9_7F4A_7C15)","ts":\#($0),"dur":1,"pid":3,"tid":4}"#
        }.joined(separator: ",\n")
    }

    @Test(arguments: FileCompression.allCases) func compressionIsRecognizedByTheBytes(
        compression: FileCompression
    ) throws {
        let bytes = try compressed("[\(Self.events(5_000))]", compression)
        let (recording, file) = try read(bytes)
        #expect(recording.calls.count == 5_000 && !recording.isUnterminated)
        #expect(abs(Double(file.modified) / 1e9 - Date().timeIntervalSince1970) < 60)
        #expect(file.isFile && file.bytes.progress == (bytes.count, bytes.count))
        // Two of them behind one another, and bytes that are none of either.
        let (both, _) = try read(bytes + bytes + Array(repeating: 0, count: 1_000))
        #expect(both.calls.count == 10_000 && both.strayBytes == 1_000)
    }

    /// As many events as could be expanded, wherever it is cut.
    @Test(arguments: FileCompression.allCases) func aCutOffFileYieldsItsWholeEvents(
        compression: FileCompression
    ) throws {
        let bytes = try compressed("[\(Self.events(20_000))]", compression)
        var last = -1
        for part in 1...8 {
            let (recording, _) = try read(Array(bytes.prefix(bytes.count * part / 8 - 3)))
            #expect(recording.isUnterminated)
            #expect(recording.calls.count > last || compression == .zstd)
            #expect(
                recording.calls.map(\.start)
                    == (0..<recording.calls.count).map { Int64($0) * 1_000 }
            )
            last = recording.calls.count
        }
        #expect(last > 17_000)
    }

    @Test func damageWithinACompressedFileIsAnError() throws {
        var bytes = try compressed("[\(Self.events(5_000))]", .gzip)
        // Of the checksum.
        bytes[bytes.count - 6] ^= 0xFF
        let error = #expect(throws: TraceError.self) { try read(bytes) }
        #expect(error?.message.contains("damaged") == true)
    }

    @Test func everyEventIsInTheReport() throws {
        let json = """
            [{"ph":"X","name":"f","ts":1,"dur":1,"pid":"p","tid":"t"},{"ph":"i","ts":1},{"ph":"i","ts":1},{"ph":"X"},
            {"ph":"E","ts":1,"pid":1},{"ph":"B","name":"open","ts":1,"pid":1},5] tail
            """
        var reader = ChromeTraceReader(BytesInPieces(json, piece: 11))
        let recording = try reader.read()
        let placement = RecordingPlacement.choose(
            for: recording,
            start: nil,
            modified: 1,
            isFile: false
        )
        let summary = ImportSummary(file: "-", recording: recording, placement: placement)
        #expect(summary.eventsRead == 7 && summary.eventsImported == 2)
        #expect(summary.skippedByPhase == ["i": 2])
        #expect(summary.skipped == ["no_time": 1, "end_without_begin": 1, "not_an_object": 1])
        #expect(
            summary.malformedEvents == 2 && summary.unmatchedEnds == 1
                && summary.unfinishedCalls == 1
        )
        #expect(
            summary.strayBytes == 4 && summary.renumberedProcesses == 1
                && summary.renumberedThreads == 1
        )
        for line in [
            "7 events read: 2 imported, 5 skipped", "skipped, by phase: i 2",
            "skipped: 1 without a usable time",
            "1 calls without an end of their own",
            "4 bytes behind the document's end, which were not read",
            "process p is 2", "thread t of process p is 1",
            "last event placed at the time of reading",
        ] { #expect(summary.text.contains(line), "\(line)") }
        let object =
            try JSONSerialization.jsonObject(with: Data(try Report.json(summary).utf8))
            as? [String: Any]
        let skipped = try #require(object?["skipped"] as? [String: Int])
        let phases = try #require(object?["skipped_by_phase"] as? [String: Int])
        let sum = skipped.values.reduce(0, +) + phases.values.reduce(0, +)
        #expect(object?["events_read"] as? Int == sum + (object?["events_imported"] as? Int ?? 0))
    }
}
