import Synchronization
import SystemIO
import TraceModel

/// Passes durable groups to the fabric's thread, and that thread's results back to the committer. Bounded: if the
/// fabric lags, groups are dropped here, and it reads them from the log.
final class FabricInbox: Sendable {
    /// A durable group, and how to give it back after use.
    struct Delivery: Sendable {
        let group: CommitGroup
        let recycle: @Sendable (CommitGroup) -> Void
    }

    /// The groups not yet taken, and their size; protected by a mutex.
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

    /// Passes on a durable group. Groups with barriers or verdicts are never dropped, because they change what workers
    /// are sent.
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

    /// Bytes of the groups passed on since the last `takeSpans`.
    var byteCount: Int { state.withLock { $0.bytes } }

    /// Returns the groups passed on since the last call, in runs that can be sent together: the groups of a run are
    /// adjacent in the log, only the last one may change what workers are sent, and together they fit into a message.
    func takeSpans() -> [ArraySlice<Delivery>] {
        let deliveries = state.withLock { state in
            defer { state = State() }
            return state.deliveries
        }
        var spans: [ArraySlice<Delivery>] = []
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
            spans.append(deliveries[start..<next])
            start = next
            bytes = 0
        }
        return spans
    }

    /// All records below this LSN are on the disk.
    var durableLSN: LSN { durable.load(ordering: .acquiring) }

    /// The end of the records that workers have to process. Only ticks follow, which do not count as lag.
    var workLSN: LSN { work.load(ordering: .acquiring) }

    /// All records below this LSN are in every worker's checkpoint.
    var trimmableLSN: LSN {
        get { trimmable.load(ordering: .relaxed) }
        set { trimmable.store(newValue, ordering: .relaxed) }
    }
}
