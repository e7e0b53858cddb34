import Testing
import TraceBench
import TraceModel
import TraceTime
import TraceWire

@Suite struct TrafficTests {
    private static let now: EpochNanoseconds = 1_700_000_000_123_000_000

    private func zone() throws -> TimeZoneRules { try TimeZoneRules.configure("UTC") }

    private func plan(_ mix: EventMix, batch: Int) -> LoadPlan {
        var plan = LoadPlan()
        plan.mix = mix
        plan.batchEvents = batch
        plan.encodedEvents = 2_000
        return plan
    }

    @Test func aStampIsTheLocalTimeToTheMillisecond() throws {
        var clock = StampClock(zone: try zone())
        var bytes = [UInt8](repeating: 0, count: StampClock.byteCount)
        for (time, text) in [
            (Self.now, "2023-11-14 22:13:20.123"), (Self.now + 999_999, "2023-11-14 22:13:20.123"),
            (Self.now + 877_000_000, "2023-11-14 22:13:21.000"),
            (5_000_000, "1970-01-01 00:00:00.005"),
        ] {
            bytes.withUnsafeMutableBytes { buffer in
                if let base = buffer.baseAddress { clock.write(time, to: base) }
            }
            #expect(String(decoding: bytes, as: UTF8.self) == text)
        }
    }

    @Test(arguments: [(EventMix.function, 100), (.function, 1), (.function, 5_000), (.mixed, 100)])
    func eachBatchIsOneTheServerAccepts(mix: EventMix, events: Int) throws {
        var traffic = Traffic(plan(mix, batch: events), zone: try zone())
        for _ in 0..<20 {
            let batch = traffic.next()
            #expect(batch.events == events)
            let kinds = try Self.events(of: batch.bytes)
            #expect(kinds.count == events)
            let expected = mix == .mixed ? Set(Resource.allCases) : [.function]
            #expect(Set(kinds) == expected)
        }
    }

    @Test func timestampsGoOnFromBatchToBatchUpToNow() throws {
        var traffic = Traffic(plan(.function, batch: 4), zone: try zone())
        _ = traffic.next(at: Self.now)
        let batch = traffic.next(at: Self.now + 40_000_000)
        let stamps = try Self.stamps(in: batch.bytes)
        #expect(
            stamps == [
                "2023-11-14 22:13:20.133", "2023-11-14 22:13:20.143", "2023-11-14 22:13:20.153",
                "2023-11-14 22:13:20.163",
            ]
        )
        traffic.restart()
        let later = traffic.next(at: Self.now + 1_000_000_000)
        #expect(Set(try Self.stamps(in: later.bytes)) == ["2023-11-14 22:13:21.123"])
    }

    @Test func entriesAndExitsOfABatchBalance() throws {
        var traffic = Traffic(plan(.function, batch: 100), zone: try zone())
        let batch = traffic.next()
        var open: [Int64] = []
        try Self.forEachEvent(of: batch.bytes) { _, payload in
            let event = FunctionEvent(decoding: payload)
            if event.eventType == 0 {
                open.append(event.cookie)
            } else {
                #expect(open.popLast() == event.cookie)
            }
        }
        #expect(open.isEmpty)
    }

    /// A counter that fell would be a restart of its process, with each pass over the templates.
    @Test func countersGrowFromPassToPass() throws {
        var traffic = Traffic(plan(.mixed, batch: 100), zone: try zone())
        var last: [UInt32: (tx: UInt64, reads: UInt64, migrations: UInt32)] = [:]
        var sent: UInt64 = 0
        // The plan makes 20 templates.
        for batch in 0..<100 {
            if batch == 20 { sent = last.values.reduce(0) { $0 + $1.tx } }
            try Self.forEachEvent(of: traffic.next(at: Self.now).bytes) { resource, payload in
                switch resource {
                case .network:
                    let event = NetworkEvent(decoding: payload)
                    #expect(event.txBytes >= last[event.processID]?.tx ?? 0)
                    last[event.processID, default: (0, 0, 0)].tx = event.txBytes
                case .io:
                    let event = IOEvent(decoding: payload)
                    #expect(event.readOperations >= last[event.processID]?.reads ?? 0)
                    last[event.processID, default: (0, 0, 0)].reads = event.readOperations
                case .cpu:
                    let event = CPUEvent(decoding: payload)
                    #expect(event.migrations >= last[event.processID]?.migrations ?? 0)
                    last[event.processID, default: (0, 0, 0)].migrations = event.migrations
                case .function, .memory, .gpu: break
                }
            }
        }
        #expect(last.values.reduce(0) { $0 + $1.tx } > sent && sent > 0)
    }

    // MARK: Reading a batch

    private static func events(of batch: [UInt8]) throws -> [Resource] {
        var kinds: [Resource] = []
        try forEachEvent(of: batch) { resource, _ in kinds.append(resource) }
        return kinds
    }

    private static func stamps(in batch: [UInt8]) throws -> [String] {
        var stamps: [String] = []
        try forEachEvent(of: batch) { _, payload in
            stamps.append(FunctionEvent(decoding: payload).timestamp.string)
        }
        return stamps
    }

    private static func forEachEvent(of batch: [UInt8], _ body: (Resource, ByteView) -> Void) throws
    {
        var index = EventIndex()
        try batch.withUnsafeBytes { buffer in
            _ = try BatchScanner.scan(buffer, into: &index)
            for position in 0..<index.count {
                let entry = index[position]
                // Behind a tag of one byte stands the length, seven bits a byte.
                var start = Int(entry.offset) + 1
                while buffer[start] & 0x80 != 0 { start += 1 }
                let end = Int(entry.offset) + Int(entry.length)
                body(
                    entry.resource,
                    ByteView(UnsafeRawBufferPointer(rebasing: buffer[(start + 1)..<end]))
                )
            }
        }
    }
}
