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
    private let work: Atomic<UInt64>
    private let bytesMax: Int

    /// `bytesMax` is smaller than the default in tests.
    init(durable: LSN, bytesMax: Int = Limits.fabricInboxBytesMax) throws(SystemError) {
        wakeup = try Wakeup()
        self.bytesMax = bytesMax
        self.durable = Atomic(durable)
        work = Atomic(durable)
    }

    /// Hands over a durable group; barriers and verdicts always arrive, as they
    /// change what workers are sent.
    func publish(_ group: CommitGroup, recycle: @escaping @Sendable (CommitGroup) -> Void) {
        durable.store(group.end, ordering: .releasing)
        if !group.isTick { work.store(group.end, ordering: .releasing) }
        let (fits, wasEmpty) = state.withLock { state in
            let wasEmpty = state.deliveries.isEmpty
            guard group.concernsRouting || state.bytes < bytesMax else { return (false, wasEmpty) }
            state.deliveries.append(Delivery(group: group, recycle: recycle))
            state.bytes += group.byteCount
            return (true, wasEmpty)
        }
        if !fits { recycle(group) }
        if wasEmpty { wakeup.signal() }
    }

    /// What was handed over since the stretches were last taken, in bytes.
    var byteCount: Int { state.withLock { $0.bytes } }

    /// Everything handed over since the last call, in stretches that can go to the workers together: the groups of one
    /// follow one another, none but its last changes what workers are sent, and they are not too much for one message.
    func takeStretches() -> [ArraySlice<Delivery>] {
        let deliveries = state.withLock { state in
            defer { state = State() }
            return state.deliveries
        }
        var stretches: [ArraySlice<Delivery>] = []
        var start = 0
        var bytes = 0
        for index in deliveries.indices {
            let group = deliveries[index].group
            bytes += group.byteCount
            let next = index + 1
            guard
                next == deliveries.count || group.concernsRouting
                    || deliveries[next].group.begin != group.end
                    || bytes + deliveries[next].group.byteCount > Limits.shareMessageBytes
            else { continue }
            stretches.append(deliveries[start..<next])
            start = next
            bytes = 0
        }
        return stretches
    }

    /// Everything below is on the disk.
    var durableLSN: LSN { durable.load(ordering: .acquiring) }

    /// Where what workers have to do ends: behind it there are ticks only, which nobody lags behind with.
    var workLSN: LSN { work.load(ordering: .acquiring) }

    /// Everything below is in every worker's checkpoint.
    var trimmableLSN: LSN {
        get { trimmable.load(ordering: .relaxed) }
        set { trimmable.store(newValue, ordering: .relaxed) }
    }
}
