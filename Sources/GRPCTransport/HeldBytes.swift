internal import Synchronization

/// Bytes of messages that the handler has got and not yet answered.
final class HeldBytes: Sendable {
    private let count = Atomic<Int>(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var isBelowLimit: Bool { count.load(ordering: .acquiring) < limit }

    var current: Int { count.load(ordering: .relaxed) }

    func take(_ bytes: Int) { count.add(bytes, ordering: .acquiringAndReleasing) }

    /// True where this made room: somebody may be waiting for it.
    func giveBack(_ bytes: Int) -> Bool {
        let (old, new) = count.subtract(bytes, ordering: .acquiringAndReleasing)
        assert(new >= 0)
        return old >= limit && new < limit
    }
}
