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

    init(_ map: SlotMap, window: UInt64, windowBegin: LSN) {
        places = [Place(windowBegin: windowBegin, window: window, map: map)]
    }

    /// A barrier whose record ends at `end` opened the next window.
    mutating func append(_ barrier: BarrierPayload, end: LSN) {
        precondition(places[places.count - 1].windowBegin <= end)
        places.append(
            Place(windowBegin: end, window: barrier.window + 1, map: barrier.slotMap)
        )
    }

    /// What holds for a record that begins at `lsn`.
    func place(at lsn: LSN) -> Place { places.last { $0.windowBegin <= lsn } ?? places[0] }

    var current: SlotMap { places[places.count - 1].map }

    /// From where on a worker has owned slots without a break up to now, nil where it owns none.
    func firstOwned(by worker: WorkerName) -> LSN? {
        let owned = places.reversed().prefix { !$0.map.slots(of: worker).isEmpty }
        return owned.last?.windowBegin
    }

    /// Forgets places that only trimmed records needed.
    mutating func trim(below lsn: LSN) {
        let kept = places.lastIndex { $0.windowBegin <= lsn } ?? 0
        places.removeFirst(kept)
    }
}
