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
    /// Answered or refused, and carried by no record yet: forgotten with the process.
    private var unlogged = Counts()

    /// These are about to be written, and behind them verdicts on so many events.
    mutating func begin(_ answers: [SimulatedRouter.Answer], deadLettered: UInt64) {
        // The first record carries all that was found without being logged.
        var counts = possible[possible.count - 1]
        counts.rejected += unlogged.rejected
        counts.deduplicated += unlogged.deduplicated
        for case .duplicate(let events, _) in answers.map(\.outcome) {
            counts.deduplicated += UInt64(events)
        }
        for case .refused(_, let events, _) in answers.map(\.outcome) {
            counts.rejected += UInt64(events)
        }
        possible.append(counts)
        for case .accepted(let events, _) in answers.map(\.outcome) {
            counts.accepted += UInt64(events)
            possible.append(counts)
        }
        counts.deadLettered += deadLettered
        possible.append(counts)
    }

    /// What was begun is durable.
    mutating func committed(_ totals: LogCounts) throws {
        possible = [possible[possible.count - 1]]
        unlogged = Counts()
        try check(totals, "committed")
    }

    /// What was begun found no room on the disk.
    mutating func notWritten() { possible = [possible[0]] }

    /// These were refused for want of room.
    mutating func refused(_ answers: [SimulatedRouter.Answer]) {
        for answer in answers { unlogged.rejected += UInt64(answer.outcome.events) }
    }

    /// These were answered without a record.
    mutating func answered(_ answers: [SimulatedRouter.Answer]) {
        for answer in answers {
            switch answer.outcome {
            case .duplicate(let events, _): unlogged.deduplicated += UInt64(events)
            case .accepted(let events, _), .refused(_, let events, _):
                unlogged.rejected += UInt64(events)
            }
        }
    }

    /// A router has read the log.
    mutating func recovered(_ totals: LogCounts) throws {
        unlogged = Counts()
        try check(totals, "recovered")
    }

    private mutating func check(_ totals: LogCounts, _ how: String) throws {
        let found = Counts(
            accepted: totals.acceptedTotal,
            deduplicated: totals.deduplicated,
            rejected: totals.rejected,
            deadLettered: totals.deadLettered
        )
        guard possible.contains(found) else {
            throw SimulationError("\(how): the log counts \(found), and should \(possible)")
        }
        possible = [found]
    }
}
