package import TraceModel
package import TraceWire

/// Finds the calls of which entry and exit were both sent, from what was sent alone.
///
/// Where an agent samples, a pair is proved only by equal thread, cookie and call count; where it sends all,
/// an exit belongs to the innermost open entry of its function. Either way an exit closes what is open inside
/// its call on that thread: those entries have no partner any more.
package struct PairProof {
    /// An entry and the exit that belongs to it.
    package struct Pair: Equatable {
        package let function: ProgramFunction
        /// Between the time stamps.
        package let milliseconds: Int64
        /// Whether entry and exit are of one call. Equal call counts do not quite prove that: where the
        /// exit of a recursive call is skipped, the exit of the call around it has the same count.
        package let isOneCall: Bool
    }

    private let matchesCount: Bool
    private var threads: [UInt32: OpenEntries] = [:]
    package private(set) var pairs: [Pair] = []

    package init(_ dialect: Semantics) { matchesCount = dialect == .neutracer }

    package mutating func note(_ event: BatchEncoder.Function, _ happening: Happening) {
        let key = OpenEntries.Key(cookie: event.cookie, count: matchesCount ? event.callCount : 0)
        switch happening.action {
        case .enter: threads[event.pid, default: OpenEntries()].push(key, time: happening.time)
        case .leave(let function, let began):
            guard let entered = threads[event.pid]?.close(key) else { return }
            pairs.append(
                Pair(
                    function: function,
                    milliseconds: happening.time / 1_000 - entered / 1_000,
                    isOneCall: entered == began
                )
            )
        default: break
        }
    }
}

/// The entries of one thread that wait for an exit, innermost last.
private struct OpenEntries {
    /// What an exit has in common with its entry.
    struct Key: Hashable {
        let cookie: Int64
        let count: UInt64
    }

    private var entries: [(key: Key, time: Int64)] = []
    /// How many entries have a key, so that an exit without one need not be looked for.
    private var counts: [Key: Int] = [:]

    mutating func push(_ key: Key, time: Int64) {
        entries.append((key, time))
        counts[key, default: 0] += 1
    }

    /// When the innermost entry with this key was; it goes, with all inside. Nil where there is none.
    mutating func close(_ key: Key) -> Int64? {
        guard counts[key, default: 0] > 0 else { return nil }
        while let entry = entries.popLast() {
            counts[entry.key, default: 1] -= 1
            if entry.key == key { return entry.time }
        }
        return nil
    }
}
