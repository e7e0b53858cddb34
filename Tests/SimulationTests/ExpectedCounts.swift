import IngestLog

@testable import RouterRole

/// The counts that the log must have, derived from what the router does with each batch. They are exact, except
/// that any part of the group being written at a crash may be in the log.
struct ExpectedCounts {
    private struct Counts: Equatable {
        var accepted: UInt64 = 0
        var deduplicated: UInt64 = 0
        var rejected: UInt64 = 0
        var deadLettered: UInt64 = 0
    }

    /// Possible counts in the log; several while the result of a write is unknown.
    private var possible = [Counts()]
    /// Counts that no record contains yet; they are lost with the process.
    private var unlogged = Counts()

    /// Records that a group with these answers is about to be written, followed by verdicts on `deadLettered`
    /// events.
    mutating func begin(_ answers: [SimulatedRouter.Answer], deadLettered: UInt64) {
        // The first record contains all duplicates and refusals.
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

    /// Records that the group is durable.
    mutating func committed(_ totals: LogCounts) throws {
        possible = [possible[possible.count - 1]]
        unlogged = Counts()
        try check(totals, "committed")
    }

    /// Records that there was no space for the group.
    mutating func notWritten() { possible = [possible[0]] }

    /// Records batches that were refused for lack of space.
    mutating func refused(_ answers: [SimulatedRouter.Answer]) {
        for answer in answers { unlogged.rejected += UInt64(answer.outcome.events) }
    }

    /// Records batches that were answered without a log record.
    mutating func answered(_ answers: [SimulatedRouter.Answer]) {
        for answer in answers {
            switch answer.outcome {
            case .duplicate(let events, _): unlogged.deduplicated += UInt64(events)
            case .accepted(let events, _), .refused(_, let events, _):
                unlogged.rejected += UInt64(events)
            }
        }
    }

    /// Checks the counts that a router has read from the log.
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
