import Testing
import TraceModel

@testable import TraceWire

@Suite("The short walk over usual events against the careful one") struct FastEventWalkTests {
    /// What the short walk says of an event that stands in `bytes`, with `following` bytes behind it.
    private func usual(_ event: [UInt8], of resource: Resource, following: [UInt8]) -> UInt32? {
        (event + following).withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return nil }
            return FastEventWalk.processID(
                of: ByteView(start: start, count: event.count),
                shape: MessageShape.events[Int(resource.rawValue)],
                readableUntil: start + bytes.count
            )
        }
    }

    private func careful(_ event: [UInt8], of resource: Resource) -> UInt32? {
        event.withUnsafeBytes { bytes in
            var walk = EventWalk(resource)
            let shape = MessageShape.events[Int(resource.rawValue)]
            return try? walk.processID(of: ByteView(bytes), shape: shape)
        }
    }

    /// Events cut out of random batches, whole and damaged, with what follows them there, or other bytes.
    @Test func itSaysTheSameOrNothing() throws {
        let seed = UInt64.random(in: 1...UInt64.max)
        var generator = BatchGenerator(seed: seed)
        var compared = 0
        for round in 0..<6_000 {
            let batch = generator.batch(fields: 6)
            var index = EventIndex()
            let summary = try? batch.withUnsafeBytes { try BatchScanner.scan($0, into: &index) }
            guard summary != nil else { continue }
            for position in 0..<index.count {
                let entry = index[position]
                let range = Int(entry.offset)..<Int(entry.offset + entry.length)
                let whole = Array(batch[range].drop { $0 >= 0x80 }.dropFirst())
                var event = Array(whole.drop { $0 >= 0x80 }.dropFirst())
                if round % 2 == 1 { event = generator.damaged(event) }
                let following = [UInt8](repeating: UInt8(generator.below(256)), count: 16)
                guard let process = usual(event, of: entry.resource, following: following) else {
                    continue
                }
                compared += 1
                #expect(
                    process == careful(event, of: entry.resource),
                    "seed \(seed), round \(round): \(entry.resource) \(event)"
                )
            }
        }
        #expect(compared > 500)
    }

    /// What agents send is usual: were it not, every event would be walked twice.
    @Test func agentsEventsAreUsual() {
        let function = WireBuilder.batch { event in
            event.text(1, "2026-11-28 10:20:30.123456")
            event.integer(2, 1)
            event.integer(3, UInt64(bitPattern: -5))
            event.text(4, "service::handler::process")
            event.integer(5, 70_001)
            event.integer(6, 1 << 60)
            event.integer(7, 1_250)
            event.integer(8, 4_000_000_000)
        }
        let network = WireBuilder.batch { event in
            event.text(1, "2026-11-28 10:20:30.123456")
            event.integer(2, 12)
            event.integer(3, 0)
            event.integer(20, 1)
        }
        let io = WireBuilder.batch { event in
            event.integer(2, 4_321)
            event.double(6, 1.5)
        }
        let following = [UInt8](repeating: 0, count: 16)
        #expect(usual(function, of: .function, following: following) == 4_000_000_000)
        #expect(usual(network, of: .network, following: following) == 12)
        #expect(usual(io, of: .io, following: following) == 4_321)
        #expect(usual([], of: .io, following: following) == 0)
    }

    /// Nothing is read where nothing may be.
    @Test func nearTheEndOfTheBatchItSaysNothing() {
        let event = WireBuilder.batch { $0.integer(8, 7) }
        #expect(usual(event, of: .function, following: []) == nil)
        #expect(usual(event, of: .function, following: [UInt8](repeating: 0, count: 10)) == 7)
    }
}
