internal import TraceModel

/// Chooses which connections give way where nearly all places are taken.
enum IdleConnections {
    struct Candidate: Equatable {
        let descriptor: Int32
        /// The client's address without its port.
        let host: String
        /// Monotonic ns.
        let lastActive: Int64
        let hasCalls: Bool
    }

    private static let second: Int64 = 1_000_000_000
    /// A connection without calls counts as idle then.
    static let idleNanoseconds = second
    /// One whose calls bring nothing, and get nothing.
    static let silentNanoseconds = 30 * second

    /// Up to `count` of those idle at `now`. First those of an address that has more than `hostMax` idle
    /// ones, from the address with the most, so that one client's do not cost the others theirs; then
    /// those of all addresses that have been idle for longest.
    static func choose(
        _ count: Int,
        of candidates: [Candidate],
        hostMax: Int,
        now: Int64
    ) -> [Int32] {
        let idle = candidates.filter { candidate in
            let least = candidate.hasCalls ? silentNanoseconds : idleNanoseconds
            return now - candidate.lastActive >= least
        }
        var surplus = Dictionary(grouping: idle, by: \.host).mapValues { $0.count - hostMax }
        let oldestFirst = idle.sorted { $0.lastActive < $1.lastActive }
        var chosen: [Int32] = []
        let crowded = surplus.filter { $0.value > 0 }.sorted {
            ($1.value, $0.key) < ($0.value, $1.key)
        }
        for (host, _) in crowded {
            for candidate in oldestFirst where candidate.host == host {
                guard chosen.count < count, surplus[host, default: 0] > 0 else { break }
                surplus[host, default: 0] -= 1
                chosen.append(candidate.descriptor)
            }
        }
        let taken = Set(chosen)
        for candidate in oldestFirst where !taken.contains(candidate.descriptor) {
            guard chosen.count < count else { break }
            chosen.append(candidate.descriptor)
        }
        return chosen
    }
}
