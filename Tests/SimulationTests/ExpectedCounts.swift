import IngestLog

@testable import RouterRole

/// What the log has to count, as those know it who see what the router does with each batch: exactly, but for the
/// group that is being written when it dies, of which any part may be in the log.
struct ExpectedCounts {
    private struct Counts: Equatable {
        var accepted: UInt64 = 0
        var deduplicated: UInt64 = 0
        var rejected: UInt64 = 0
        var deadLettered: UInt64 = 0
    }

    /// What is in the log; several where nobody can know.
    private var possible = [Counts()]
    /// Refused for want of space, and carried by no record yet: forgotten with the process.
    private var unlogged: UInt64 = 0

    /// These are about to be committed, and behind them a verdict on so many events.
    mutating func begin(_ answers: [SimulatedRouter.Answer], deadLettered: UInt64) {
        let group = answers.map(\.outcome)
        // The first record carries all that was found without being logged.
        var counts = possible[possible.count - 1]
        counts.rejected += unlogged
        for case .duplicate(let events, _) in group { counts.deduplicated += UInt64(events) }
        possible.append(counts)
        for case .accepted(let events, _) in group {
            counts.accepted += UInt64(events)
            possible.append(counts)
        }
        counts.deadLettered += deadLettered
        possible.append(counts)
    }

    /// The group is durable.
    mutating func committed(_ totals: LogCounts) throws {
        possible = [possible[possible.count - 1]]
        unlogged = 0
        try check(totals, "committed")
    }

    /// The disk is full, and these were refused.
    mutating func refused(_ answers: [SimulatedRouter.Answer]) {
        possible = [possible[0]]
        for answer in answers {
            switch answer.outcome {
            case .accepted(let events, _), .duplicate(let events, _): unlogged += UInt64(events)
            case .refused: break
            }
        }
    }

    /// A router has read the log.
    mutating func recovered(_ totals: LogCounts) throws {
        unlogged = 0
        try check(totals, "recovered")
    }

    private mutating func check(_ totals: LogCounts, _ how: String) throws {
        let found = Counts(
            accepted: totals.acceptedTotal, deduplicated: totals.deduplicated, rejected: totals.rejected,
            deadLettered: totals.deadLettered)
        guard possible.contains(found) else {
            throw SimulationError("\(how): the log counts \(found), and should \(possible)")
        }
        possible = [found]
    }
}
