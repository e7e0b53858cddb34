import Testing
import TraceModel
import TraceWire

@Suite("What the scanner finds, and what it says when it refuses") struct BatchScannerTests {
    private func scan(_ bytes: [UInt8]) throws -> [EventEntry] {
        var index = EventIndex()
        let summary = try bytes.withUnsafeBytes { buffer throws(WireError) in
            try BatchScanner.scan(buffer, into: &index)
        }
        #expect(summary.total == index.count)
        return (0..<index.count).map { index[$0] }
    }

    private func refusal(_ bytes: [UInt8]) -> String {
        do {
            _ = try scan(bytes)
            return "accepted"
        } catch { return "\(error)" }
    }

    @Test func emptyBatch() throws {
        #expect(try scan([]).isEmpty)
        var index = EventIndex()
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        #expect(try BatchScanner.scan(nothing, into: &index).total == 0)
    }

    @Test func entriesAreValidBatchesOfTheirOwn() throws {
        let batch = WireBuilder.batch { batch in
            batch.text(100, "client")
            batch.message(1) { $0.integer(8, 7) }
            batch.text(77, "unknown")
            batch.message(3) { $0.integer(2, 300) }
            batch.integer(101, 5)
            batch.message(6) { _ in }
        }
        let entries = try scan(batch)
        #expect(entries.map(\.resource) == [.function, .cpu, .io])
        #expect(entries.map(\.processID) == [7, 300, 0])
        for entry in entries {
            let range = Int(entry.offset)..<Int(entry.offset + entry.length)
            let alone = try scan(Array(batch[range]))
            #expect(alone.count == 1)
            #expect(alone[0].processID == entry.processID)
            #expect(alone[0].resource == entry.resource)
        }
    }

    @Test func summaryOfTheBatchItself() throws {
        let batch = WireBuilder.batch { batch in
            batch.text(100, "first")
            batch.message(1) { _ in }
            batch.message(1) { _ in }
            batch.message(2) { _ in }
            batch.text(100, "run-1")
            batch.integer(101, 9)
            batch.integer(102, 1)
            batch.text(103, "node-7")
        }
        var index = EventIndex()
        try batch.withUnsafeBytes { buffer in
            let summary = try BatchScanner.scan(buffer, into: &index)
            #expect(summary.clientID.string == "run-1")
            #expect(summary.hasClientID)
            #expect(summary.sequence == 9)
            #expect(summary.hasSequence)
            #expect(summary.isLastBatch)
            #expect(summary.host.string == "node-7")
            #expect(summary.count(of: .function) == 2)
            #expect(summary.count(of: .gpu) == 1)
            #expect(summary.count(of: .cpu) == 0)
            #expect(summary.total == 3)
        }
    }

    @Test func processID() throws {
        let entries = try scan(
            WireBuilder.batch { batch in
                batch.message(1) {
                    $0.integer(8, 1)
                    $0.integer(5, 2)
                    $0.integer(8, 3)
                }
                batch.message(4) {
                    $0.integer(3, 0)
                    $0.integer(2, 44)
                }
                batch.message(5) {
                    $0.integer(3, 9)
                    $0.integer(3, 0)
                    $0.integer(2, 45)
                }
                batch.message(2) {
                    $0.message(4) { $0.integer(1, 5) }
                    $0.message(5) { $0.integer(2, 6) }
                }
                batch.message(2) {
                    $0.message(4) { $0.integer(1, 5) }
                    $0.message(3) { _ in }
                }
            }
        )
        #expect(entries.map(\.processID) == [3, 44, 45, 6, 0])
    }

    @Test func limitsAreNamed() {
        let long = [UInt8](repeating: 0x61, count: Limits.stringFieldBytesMax + 1)
        #expect(
            refusal(
                WireBuilder.batch { batch in
                    batch.message(1) { _ in }
                    batch.message(1) { $0.payload(4, long) }
                }
            ) == "trace_data[1].function_name: 1048577 bytes, limit 1048576"
        )
        #expect(
            refusal(WireBuilder.batch { $0.message(2) { $0.message(5) { $0.payload(1, long) } } })
                == "gpu_trace_data[0].cuda_launch_event.kernel_name: 1048577 bytes, limit 1048576"
        )
        #expect(
            refusal(
                WireBuilder.batch { batch in
                    batch.message(4) { event in
                        for _ in 0...Limits.eventAnomaliesMax { event.message(18) { _ in } }
                    }
                }
            ) == "memory_trace_data[0].anomalies: 65 messages, limit 64"
        )
        #expect(
            refusal(WireBuilder.batch { $0.payload(103, long.prefix(256)) })
                == "host: 256 bytes, limit 255"
        )
        #expect(
            refusal(WireBuilder.batch { $0.payload(100, long.prefix(256)) })
                == "client_id: 256 bytes, limit 255"
        )
        let atLimit = Array(long.dropLast())
        #expect(
            refusal(WireBuilder.batch { $0.message(1) { $0.payload(4, atLimit) } }) == "accepted"
        )
    }

    /// A batch refused for one bad event still tells how many it holds; one whose own fields are cut off
    /// does not.
    @Test func eventsOfRefusedBatchesAreCounted() {
        let good: [UInt8] = [0x0A, 2, 0x28, 1]
        let badEvent: [UInt8] = [0x0A, 1, 0x28]
        let batch = good + badEvent + good
        #expect(!refusal(batch).isEmpty)
        #expect(batch.withUnsafeBytes { BatchScanner.countEvents($0) } == 3)
        let cutOff = good + good + [0x0A, 9, 1]
        #expect(!refusal(cutOff).isEmpty)
        #expect(cutOff.withUnsafeBytes { BatchScanner.countEvents($0) } == 0)
    }

    @Test func malformedBytesAreNamed() {
        func event(_ field: UInt32, _ bytes: [UInt8]) -> String {
            refusal(WireBuilder.batch { $0.payload(field, bytes) })
        }
        #expect(event(1, [0x10]) == "trace_data[0].event_type: cut off")
        #expect(event(1, [0x0A, 5, 1]) == "trace_data[0].timestamp: cut off")
        #expect(event(1, [0x00]) == "trace_data[0]: invalid field number")
        #expect(event(1, [0x80, 0x00]) == "trace_data[0]: invalid field number")
        #expect(event(1, [0x08, 0x01]) == "trace_data[0].timestamp: wrong wire type")
        #expect(event(5, [0x2D, 0, 0, 0, 0]) == "network_trace_data[0].is_send: wrong wire type")
        #expect(event(3, [0x41, 0, 0]) == "cpu_trace_data[0].utilization: cut off")
        #expect(event(3, [0x4B]) == "cpu_trace_data[0].field 9: unsupported wire type")
        #expect(event(1, [0x10] + .init(repeating: 0xFF, count: 9) + [0x02]).contains("overlong"))
        #expect(event(1, [0x10] + .init(repeating: 0xFF, count: 9) + [0x01]) == "accepted")
        #expect(event(1, [0x10] + .init(repeating: 0x80, count: 10) + [0x01]).contains("overlong"))
        #expect(event(1, [0x0A, 0x80, 0x80, 0x80, 0x80, 0x10]).contains("timestamp: overlong"))
        #expect(
            event(4, [0x92, 0x01, 2, 0x11, 0])
                == "memory_trace_data[0].anomalies[0].severity: cut off"
        )
        #expect(refusal([0x0A, 0x05]) == "trace_data[0]: cut off")
        #expect(refusal([0x0A, 0x00, 0x08, 0x00]) == "trace_data[1]: wrong wire type")
        #expect(refusal([0x0B]) == "trace_data[0]: wrong wire type")
        #expect(refusal([0xC3, 0x3E]) == "field 1000: unsupported wire type")
        #expect(refusal([0xFF, 0xFF, 0xFF, 0xFF, 0x1F]) == "batch: invalid field number")
    }
}

/// What a batch says of its dialect and of names.
struct BatchEnvelopeTests {
    private func scan(_ bytes: [UInt8]) throws -> (BatchSummary, Int) {
        var index = EventIndex()
        return try bytes.withUnsafeBytes { buffer in
            let summary = try BatchScanner.scan(buffer, into: &index)
            return (summary, index.count)
        }
    }

    @Test func semanticsAreReadAndUnknownOnesRefused() throws {
        #expect(try scan([]).0.semantics == nil)
        #expect(try scan([0xC0, 0x06, 1]).0.semantics == .neutracer)
        #expect(try scan([0xC0, 0x06, 2]).0.semantics == .cumulative)
        #expect(try scan([0xC0, 0x06, 0]).0.semantics == nil)
        let error = #expect(throws: WireError.self) { try scan([0xC0, 0x06, 3]) }
        #expect(error?.description == "semantics: no known value")
    }

    @Test func namesAreFoundWhereTheyStandAndAreNoEvents() throws {
        var encoder = BatchEncoder()
        var function = BatchEncoder.Function()
        function.pid = 7
        encoder.append(function)
        var name = BatchEncoder.Name()
        name.pid = 7
        name.tid = 9
        name.name = "worker"
        name.sortIndex = -2
        encoder.append(name)
        encoder.append(function)
        let bytes = Array(encoder.bytes)
        let (summary, events) = try scan(bytes)
        #expect(events == 2 && summary.total == 2)
        #expect(summary.names.map(\.processID) == [7])
        bytes.withUnsafeBytes { buffer in
            var fields = NameFields(in: buffer)
            guard let (entry, read) = fields.next() else {
                Issue.record("there is no name")
                return
            }
            #expect(entry.offset == summary.names[0].offset)
            #expect(entry.length == summary.names[0].length)
            #expect(read.processID == 7 && read.threadID == 9 && read.sortIndex == -2)
            #expect(read.name.string == "worker")
            #expect(fields.next() == nil)
            var payloads = EventPayloads(of: .function, in: buffer)
            while payloads.next() != nil {}
            #expect(payloads.hasNames)
        }
    }

    @Test func aNameWithAFieldOfAnotherTypeIsRefused() {
        // names { pid as a string }
        let error = #expect(throws: WireError.self) { try scan([0xCA, 0x06, 2, 0x0A, 0]) }
        #expect(error?.description == "names: wrong wire type")
    }
}
