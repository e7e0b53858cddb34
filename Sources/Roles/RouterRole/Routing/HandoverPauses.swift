import TraceModel

/// Measures how long slots that change their owner are paused: from the barrier that moves them to the first record
/// after it that the new owner has applied, or, if there is none for it, to the time at which it could have. A pure
/// state machine; times are monotonic nanoseconds.
struct HandoverPauses {
    /// A worker that gains slots and has not continued yet.
    private struct Receiver {
        /// The LSN after the barrier.
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

    /// Notes that a new map is in force from `lsn` on. A worker that still waits for slots of an earlier change waits
    /// for these too.
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

    /// The workers that still wait, each with the LSN from which it will read.
    var waiting: [(worker: WorkerName, lsn: LSN)] { receivers.map { ($0.key, $0.value.lsn) } }

    /// Notes that the worker has continued after the barrier, or could have. Returns the pause of each slot that it
    /// waited for.
    mutating func end(_ worker: WorkerName, now: Int64) -> [Int64] {
        guard let receiver = receivers.removeValue(forKey: worker) else { return [] }
        let pause = now - receiver.began
        finished.append((pause, receiver.slots))
        return [Int64](repeating: pause, count: receiver.slots)
    }

    /// Returns what was measured since the last report; nil while a worker waits, or if none has waited.
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
