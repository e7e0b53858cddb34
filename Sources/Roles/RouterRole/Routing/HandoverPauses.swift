import TraceModel

/// How long slots that change owner stand still: from the barrier that moves them to the first record
/// that their new owner has applied behind it, or, where there is none for it, to the moment when it
/// could have. A pure state machine; times are monotonic nanoseconds.
struct HandoverPauses {
    private struct Receiver {
        /// The end of the barrier.
        let lsn: LSN
        let began: Int64
        let slots: Int
    }

    /// The pauses of one change of the map, one for each slot, once all of them are over.
    struct Report: Equatable {
        var slots: Int
        var median: Int64
        var worst: Int64
    }

    private var receivers: [WorkerName: Receiver] = [:]
    private var finished: [(pause: Int64, slots: Int)] = []

    /// A new map holds from `lsn` on. A worker that still waits for slots of an earlier change waits for
    /// these too.
    mutating func begin(from old: SlotMap, to new: SlotMap, at lsn: LSN, now: Int64) {
        for worker in new.allWorkers {
            let before = old.owners(of: worker.resource)
            let gained = new.slots(of: worker).count { Int(before[Int($0)]) != worker.index }
            guard gained > 0 else { continue }
            receivers[worker] = Receiver(
                lsn: lsn,
                began: receivers[worker]?.began ?? now,
                slots: gained + (receivers[worker]?.slots ?? 0)
            )
        }
    }

    /// Who still waits, and from where on it reads.
    var waiting: [(worker: WorkerName, lsn: LSN)] { receivers.map { ($0.key, $0.value.lsn) } }

    /// The worker has gone on behind the barrier, or could have. Returns each slot's pause, where it has
    /// waited.
    mutating func end(_ worker: WorkerName, now: Int64) -> [Int64] {
        guard let receiver = receivers.removeValue(forKey: worker) else { return [] }
        let pause = now - receiver.began
        finished.append((pause, receiver.slots))
        return [Int64](repeating: pause, count: receiver.slots)
    }

    /// What has been measured since the last report; nil while somebody waits, or where nobody has.
    mutating func report() -> Report? {
        guard receivers.isEmpty, !finished.isEmpty else { return nil }
        defer { finished = [] }
        let ordered = finished.sorted { $0.pause < $1.pause }
        let slots = ordered.reduce(0) { $0 + $1.slots }
        var below = 0
        let median = ordered.first { entry in
            below += entry.slots
            return 2 * below >= slots
        }
        return Report(slots: slots, median: median?.pause ?? 0, worst: ordered.last?.pause ?? 0)
    }
}
