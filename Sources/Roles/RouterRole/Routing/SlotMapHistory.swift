import IngestLog
import TraceModel

/// Which slot map and which window were in force at which part of the log, for as much of the log as may
/// be read again.
struct SlotMapHistory {
    struct Place {
        /// From here on, up to the next place.
        let windowBegin: LSN
        let window: UInt64
        let map: SlotMap
    }

    /// Ascending by LSN, one a window; the first holds from the log's begin.
    private var places: [Place]
    /// From where on each slot has had its owner, by resource and slot; the history's begin where it had it
    /// before.
    private var since: [[LSN]]

    init(_ map: SlotMap, window: UInt64, windowBegin: LSN) {
        places = [Place(windowBegin: windowBegin, window: window, map: map)]
        let row = [LSN](repeating: windowBegin, count: Slot.count)
        since = [[LSN]](repeating: row, count: Resource.count)
    }

    /// A barrier whose record ends at `end` opened the next window.
    mutating func append(_ barrier: BarrierPayload, end: LSN) {
        precondition(places[places.count - 1].windowBegin <= end)
        for resource in Resource.allCases {
            let owners = zip(current.owners(of: resource), barrier.slotMap.owners(of: resource))
            for (slot, (before, after)) in owners.enumerated() where before != after {
                since[Int(resource.rawValue)][slot] = end
            }
        }
        places.append(Place(windowBegin: end, window: barrier.window + 1, map: barrier.slotMap))
    }

    /// What holds for a record that begins at `lsn`.
    func place(at lsn: LSN) -> Place { places.last { $0.windowBegin <= lsn } ?? places[0] }

    /// Where a window begins; nil where it is still to come, or lies before the history.
    func begin(of window: UInt64) -> LSN? { places.first { $0.window == window }?.windowBegin }

    var current: SlotMap { places[places.count - 1].map }

    /// Where a worker that has applied nothing begins: where it first owned a slot, nil where it never did. Also
    /// what it has lost again since is its to apply and to hand over, as nobody else has.
    func firstOwned(by worker: WorkerName) -> LSN? {
        places.first { !$0.map.slots(of: worker).isEmpty }?.windowBegin
    }

    /// Whether the worker owned slots where the history begins.
    func ownedFirst(by worker: WorkerName) -> Bool { !places[0].map.slots(of: worker).isEmpty }

    /// Below which LSN no worker needs the log any more, by how far each has come in a checkpoint; nil where
    /// one that counts is unknown.
    func trimmable(_ checkpoint: (WorkerName) -> LSN?) -> LSN? {
        func least(_ workers: some Sequence<WorkerName>) -> LSN? {
            var least: LSN?
            for worker in workers {
                guard let lsn = checkpoint(worker) else { return nil }
                least = min(least ?? lsn, lsn)
            }
            return least
        }
        guard let below = least(current.allWorkers) else { return nil }
        // Until all have gone on behind the last change of owners, somebody may not have reached it yet who
        // owns nothing any more.
        let isHandedOver = zip(places, places.dropFirst()).allSatisfy {
            $0.map == $1.map || $1.windowBegin < below
        }
        return isHandedOver ? below : least(Set(places.flatMap(\.map.allWorkers)))
    }

    /// Who holds which slots now, and since when.
    var holdings: [SlotHolding] {
        current.allWorkers.flatMap { worker in
            let row = since[Int(worker.resource.rawValue)]
            return Dictionary(grouping: current.slots(of: worker)) { row[Int($0)] }.sorted {
                $0.key < $1.key
            }.map {
                since,
                slots in
                SlotHolding(worker: worker, slots: SlotHolding.ranges(of: slots), since: since)
            }
        }
    }

    /// Forgets places that only trimmed records needed.
    mutating func trim(below lsn: LSN) {
        let kept = places.lastIndex { $0.windowBegin <= lsn } ?? 0
        places.removeFirst(kept)
    }
}
