import ClusterMessages
import Testing
import TraceMetrics
import TraceModel

@Suite struct ClusterMessageTests {
    @Test(arguments: Examples.all) func everyMessageComesBackAsItWas(
        _ message: ClusterMessage
    ) throws {
        #expect(try decode(message.encode()) == message)
    }

    @Test func kindsHaveTheirBytesForEver() throws {
        let kinds = try Examples.all.map { try $0.encode()[0] }
        #expect(kinds == [1, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12])
    }

    @Test func nulInATextStaysOneText() throws {
        let message = ClusterMessage.windowMerged(
            WindowMerged(resource: .io, window: 1, files: ["a\0b"])
        )
        let expected = ClusterMessage.windowMerged(
            WindowMerged(resource: .io, window: 1, files: ["a\u{FFFD}b"])
        )
        #expect(try decode(message.encode()) == expected)
    }

    @Test func manySamplesOutgrowOneBlock() throws {
        var snapshot = Examples.snapshot
        snapshot.own = (0..<5_000).map { number in
            MetricSample(
                family: .functionCallsTotal,
                labels: [
                    "host", "\(number)", "process", String(repeating: "f", count: number % 300),
                ],
                value: .counter(Double(number))
            )
        }
        #expect(
            try decode(ClusterMessage.metricSnapshot(snapshot).encode())
                == .metricSnapshot(snapshot)
        )
    }

    @Test func aMisshapenSampleIsLeftToTheReceiver() throws {
        var snapshot = Examples.snapshot
        snapshot.own = [
            MetricSample(family: .functionCallsTotal, labels: ["too few"], value: .counter(-1))
        ]
        #expect(!snapshot.own[0].isWellFormed)
        #expect(
            try decode(ClusterMessage.metricSnapshot(snapshot).encode())
                == .metricSnapshot(snapshot)
        )
    }

    @Test func aMessageBeyondTheBoundIsRefusedByItsSender() {
        var segments = Examples.segments
        segments.summary = [UInt8](repeating: 1, count: Limits.clusterMessageBytesMax)
        let thrown = #expect(throws: TraceError.self) {
            try ClusterMessage.segmentsClosed(segments).encode()
        }
        #expect(thrown?.code == .exhausted)
    }

    @Test func aMessageBeyondTheBoundIsRefusedByItsReceiver() throws {
        // Valid but for its size, by a field that this version doesn't know.
        _ = try decode(heartbeat(unknownBytes: 1 << 20))
        expectCorrupt(heartbeat(unknownBytes: Limits.clusterMessageBytesMax))
    }

    @Test func theHandmadeMessagesAreGoodButForTheirFault() throws {
        _ = try decode(closed([]))
        _ = try decode(closed([0x2A, 3, 0x10, 0xFF, 0x01]))
        _ = try decode(closed([0x2A, 2, 0x20, 0x05]))
        _ = try decode(closed([0x32, 2, 0x08, 0x05]))
        _ = try decode([7, 0x3A, 5, 0x08, 0x01, 0x12, 0x01, 0x78])
    }

    /// Field by field: first byte the kind, then protobuf by hand.
    @Test(
        arguments: [
            ("empty", []), ("kind 0", [0]), ("kind 10", [10]), ("cut varint", [9, 0x10, 0x80]),
            ("a worker without a name", [2, 0x10, 1]),
            ("an unknown resource", [1, 0x0A, 3] + Array("x.0".utf8)),
            ("a worker beyond the last", [1, 0x0A, 6] + Array("cpu.64".utf8)),
            ("an unknown resource's window", [6, 0x0A, 1, 0x78]),
            ("a slot beyond the last", closed([0x2A, 3, 0x10, 0x80, 0x02])),
            ("a slot range backwards", closed([0x2A, 2, 0x08, 0x05])),
            ("an LSN range backwards", closed([0x2A, 2, 0x18, 0x05])),
            ("an unknown family", [7, 0x3A, 3, 0x08, 0xE7, 0x07]),
        ] as [(String, [UInt8])]
    ) func whatNoSenderWritesIsCorrupt(_ name: String, _ bytes: [UInt8]) {
        expectCorrupt(bytes, "\(name)")
    }

    @Test(arguments: Examples.all) func cutOrChangedBytesNeverDoHarm(
        _ message: ClusterMessage
    ) throws {
        let bytes = try message.encode()
        for count in stride(from: 0, to: bytes.count, by: 1 + bytes.count / 500) {
            try refusesOrReads(Array(bytes[..<count]))
        }
        var random = SplitMix64(seed: 0x5EED)
        for _ in 0..<300 {
            var changed = bytes
            for _ in 0...random.below(3) {
                changed[random.below(changed.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            try refusesOrReads(changed)
        }
    }

    private func decode(_ bytes: [UInt8]) throws -> ClusterMessage {
        try bytes.withUnsafeBytes { try ClusterMessage(decoding: $0) }
    }

    private func expectCorrupt(_ bytes: [UInt8], _ comment: Comment? = nil) {
        let thrown = #expect(throws: TraceError.self, comment) { try decode(bytes) }
        #expect(thrown?.code == .corrupt, comment)
    }

    /// What is accepted must survive another round.
    private func refusesOrReads(_ bytes: [UInt8]) throws {
        do {
            let message = try decode(bytes)
            // NaN is not equal to itself; its bytes are.
            let again = try decode(message.encode())
            #expect(try again.encode() == message.encode())
        } catch let error as TraceError { #expect(error.code == .corrupt) }
    }
}

/// A `SegmentsClosed` of a good worker with one more field.
private func closed(_ field: [UInt8]) -> [UInt8] { [5, 0x0A, 5] + Array("cpu.0".utf8) + field }

private func heartbeat(unknownBytes count: Int) -> [UInt8] {
    var bytes: [UInt8] = [9, 0x7A]
    var rest = count
    while rest >= 0x80 {
        bytes.append(UInt8(rest & 0x7F) | 0x80)
        rest >>= 7
    }
    bytes.append(UInt8(rest))
    return bytes + [UInt8](repeating: 0, count: count)
}
