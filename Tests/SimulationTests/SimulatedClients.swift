import TestSupport
import TraceModel
import TraceWire

@testable import RouterRole

/// The agents: the batches they sent and the answers they received. Each event has its own number.
struct SimulatedClients {
    struct Batch {
        let bytes: [UInt8]
        let events: Range<Int>
        let isSequenced: Bool
        var isAcked = false
        /// Sent and not answered.
        var isInFlight = false
    }

    private(set) var batches: [Batch] = []
    private var eventCount = 0
    private var sequences: [UInt64]
    private(set) var duplicates = 0

    init(clients: Int) { sequences = [UInt64](repeating: 0, count: clients) }

    /// Makes a new batch of at least `bytesMin` bytes.
    mutating func make(bytesMin: Int = 0, using random: inout SeededGenerator) -> Int {
        var encoder = BatchEncoder()
        let first = eventCount
        let count = Int.random(in: 1...6, using: &random)
        while eventCount < first + count || encoder.bytes.count < bytesMin {
            var event = BatchEncoder.IO()
            event.pid = UInt32.random(in: 1...12, using: &random)
            event.comm = "agent"
            event.operation = "READ"
            event.bytes = UInt64(eventCount + 1)
            // Not always in order.
            let second = 1_763_800_000 + eventCount - Int.random(in: 0...20, using: &random)
            event.timestamp = "\(second).\(Int.random(in: 100...999, using: &random))"
            encoder.append(event)
            eventCount += 1
        }
        var envelope = BatchEncoder.Envelope()
        envelope.host = "host-\(Int.random(in: 0...2, using: &random))"
        let isSequenced = Int.random(in: 0..<8, using: &random) > 0
        if isSequenced {
            let client = sequences.indices.randomElement(using: &random) ?? 0
            sequences[client] += 1
            envelope.clientID = "client-\(client)"
            envelope.sequence = sequences[client]
        }
        encoder.append(envelope)
        batches.append(
            Batch(bytes: Array(encoder.bytes), events: first..<eventCount, isSequenced: isSequenced)
        )
        return batches.count - 1
    }

    mutating func sent(_ batch: Int) { batches[batch].isInFlight = true }

    /// Chooses a batch to send again: its client received no answer, or behaves as if the answer was lost.
    func again(using random: inout SeededGenerator) -> Int? {
        if Bool.random(using: &random), let batch = unanswered.randomElement(using: &random) {
            return batch
        }
        return batches.indices.filter { batches[$0].isSequenced && !batches[$0].isInFlight }
            .randomElement(
                using: &random
            )
    }

    /// Batches whose clients have received no answer and send again.
    var unanswered: [Int] {
        batches.indices.filter {
            batches[$0].isSequenced && !batches[$0].isInFlight && !batches[$0].isAcked
        }
    }

    mutating func answered(_ answer: SimulatedRouter.Answer) throws {
        batches[answer.batch].isInFlight = false
        switch answer.outcome {
        case .accepted:
            if batches[answer.batch].isAcked {
                throw SimulationError("batch \(answer.batch) was acked before, and is taken as new")
            }
            batches[answer.batch].isAcked = true
        case .duplicate:
            duplicates += 1
            batches[answer.batch].isAcked = true
        case .refused(let error, _, _):
            // It repeats a batch that was refused for lack of space.
            guard error.code == .exhausted else {
                throw SimulationError("batch \(answer.batch) was refused: \(error)")
            }
        }
    }

    /// Records batches that were refused for lack of space.
    mutating func refused(_ answers: [SimulatedRouter.Answer]) {
        for answer in answers { batches[answer.batch].isInFlight = false }
    }

    /// Records that the router has ended and sends no more answers.
    mutating func unansweredAll() {
        for index in batches.indices { batches[index].isInFlight = false }
    }

    /// Checks that `found` has each acknowledged batch once, each other batch at most once, and nothing else.
    func check(_ found: [Int], in place: String) throws {
        var counts = [Int](repeating: 0, count: eventCount)
        for event in found {
            guard counts.indices.contains(event) else {
                throw SimulationError("\(place) holds event \(event), which nobody sent")
            }
            counts[event] += 1
        }
        for (number, batch) in batches.enumerated() {
            let times = Set(counts[batch.events])
            guard times.count == 1, let count = times.first else {
                throw SimulationError("\(place) holds a part of batch \(number)")
            }
            if count > 1 { throw SimulationError("\(place) holds batch \(number) \(count) times") }
            if count == 0, batch.isAcked {
                throw SimulationError("batch \(number) was acked, and \(place) does not hold it")
            }
        }
    }
}
