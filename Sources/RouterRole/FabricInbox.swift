import Synchronization
import SystemIO
import TraceModel

/// How durable groups reach the fabric's thread, and what that thread lets the committer know. Bounded:
/// where the fabric lags behind, groups are dropped here and it reads the log instead.
final class FabricInbox: Sendable {
    struct Delivery: Sendable {
        let group: CommitGroup
        let recycle: @Sendable (CommitGroup) -> Void
    }

    private struct State: Sendable {
        var deliveries: [Delivery] = []
        var bytes = 0
    }

    let wakeup: Wakeup
    private let state = Mutex(State())
    private let trimmable = Atomic<UInt64>(0)
    private let durable: Atomic<UInt64>

    init(durable: LSN) throws(SystemError) {
        wakeup = try Wakeup()
        self.durable = Atomic(durable)
    }

    /// Hands over a durable group; barriers always arrive, as they change the slot map.
    func publish(_ group: CommitGroup, recycle: @escaping @Sendable (CommitGroup) -> Void) {
        durable.store(group.end, ordering: .releasing)
        let (fits, wasEmpty) = state.withLock { state in
            let wasEmpty = state.deliveries.isEmpty
            guard !group.barriers.isEmpty || state.bytes < Limits.fabricInboxBytesMax else {
                return (false, wasEmpty)
            }
            state.deliveries.append(Delivery(group: group, recycle: recycle))
            state.bytes += group.byteCount
            return (true, wasEmpty)
        }
        if !fits { recycle(group) }
        if wasEmpty { wakeup.signal() }
    }

    /// Everything handed over since the last call.
    func take() -> [Delivery] {
        state.withLock { state in
            defer { state = State() }
            return state.deliveries
        }
    }

    /// Everything below is on the disk.
    var durableLSN: LSN { durable.load(ordering: .acquiring) }

    /// Everything below is in every worker's checkpoint.
    var trimmableLSN: LSN {
        get { trimmable.load(ordering: .relaxed) }
        set { trimmable.store(newValue, ordering: .relaxed) }
    }
}
