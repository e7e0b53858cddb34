import Testing
import TraceModel
import TraceWire

@Suite("Scanner and decoders against protobuf-c") struct ReferenceTests {
    private func evaluate(_ batch: [UInt8]) -> Reference.Verdict {
        // In memory of exactly this size, so that a sanitizer sees one byte too far.
        batch.withUnsafeBytes { Reference.evaluate($0) }
    }

    @Test func validBatches() {
        let seed = UInt64.random(in: 1...UInt64.max)
        var generator = BatchGenerator(seed: seed)
        for round in 0..<2_000 {
            let batch = generator.batch(fields: 12)
            let verdict = evaluate(batch)
            if case .stricter(let reason) = verdict,
                reason.contains("limit") || reason.contains("no known value")
            {
                continue
            }
            #expect(verdict == .accepted, "seed \(seed), round \(round): \(batch)")
        }
    }

    @Test func damagedBatches() {
        let seed = UInt64.random(in: 1...UInt64.max)
        var generator = BatchGenerator(seed: seed)
        var accepted = 0
        var refused = 0
        for round in 0..<6_000 {
            let batch = generator.damaged(generator.batch(fields: 5))
            switch evaluate(batch) {
            case .accepted: accepted += 1
            case .refused, .stricter: refused += 1
            case .different(let what):
                Issue.record("\(what): seed \(seed), round \(round): \(batch)")
            }
        }
        // Both must occur, or the generator tests nothing.
        #expect(accepted > 300 && refused > 300)
    }

    /// The decoders alone must survive what the scanner never lets through, and what lies behind an event must make no
    /// difference to it.
    @Test func decodersOnNoise() {
        let seed = UInt64.random(in: 1...UInt64.max)
        var generator = BatchGenerator(seed: seed)
        for _ in 0..<2_000 {
            let noise = generator.damaged(generator.batch(fields: 3))
            // An event whole, its payload cut anywhere, and what lies behind it.
            let begin = noise.isEmpty ? 0 : Int.random(in: 0..<min(noise.count, 4))
            let end = Int.random(in: begin...noise.count)
            noise.withUnsafeBytes { buffer in
                let payload = ByteView(UnsafeRawBufferPointer(rebasing: buffer[begin..<end]))
                let limit = buffer.baseAddress.map { $0 + buffer.count }
                let alone = Array(buffer[begin..<end])
                for resource in Resource.allCases {
                    let within = EventFacts(resource, decoding: payload, readableUntil: limit)
                    let without = alone.withUnsafeBytes {
                        EventFacts(resource, decoding: ByteView($0), readableUntil: nil)
                    }
                    #expect(within == without, "seed \(seed), \(resource): \(alone) of \(noise)")
                }
            }
        }
    }

    @Test func evaluateSeesDifferences() {
        // A canary: the reference must distinguish events that differ in one value.
        let one = WireBuilder.batch { $0.integer(6, 1) }
        let other = WireBuilder.batch { $0.integer(6, 2) }
        let facts = [one, other].map { bytes in
            bytes.withUnsafeBytes { EventFacts(FunctionEvent(decoding: ByteView($0))) }
        }
        #expect(facts[0] != facts[1])
    }

    @Test func eventsAreTrivial() {
        #expect(_isPOD(FunctionEvent.self))
        #expect(_isPOD(CPUEvent.self))
        #expect(_isPOD(MemoryEvent.self))
        #expect(_isPOD(NetworkEvent.self))
        #expect(_isPOD(IOEvent.self))
        #expect(_isPOD(GPUEvent.self))
        #expect(MemoryLayout<EventEntry>.stride == 16)
    }
}
