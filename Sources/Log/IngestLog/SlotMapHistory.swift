import SystemIO
package import TraceModel

/// Records which slot map and window were in force where in the log, for the part of the log that may be read again.
package struct SlotMapHistory {
    /// The window and slot map of a part of the log.
    package struct Place {
        /// The start of the part, which extends to the next place.
        package let windowBegin: LSN
        package let window: UInt64
        package let map: SlotMap
        /// Stem of the barrier that ended the window before.
        package let stem: String
    }

    /// Ascending by LSN, one for each window; the first one is in force from the log's start.
    private var places: [Place]
    /// The LSN since which each slot has its owner, by resource and slot; the history's start if it had it before.
    private var since: [[LSN]]

    /// `stem` is that of the barrier before `windowBegin`.
    package init(_ map: SlotMap, window: UInt64, windowBegin: LSN, stem: String = "") {
        places = [Place(windowBegin: windowBegin, window: window, map: map, stem: stem)]
        let row = [LSN](repeating: windowBegin, count: Slot.count)
        since = [[LSN]](repeating: row, count: Resource.count)
    }

    /// Adds the window opened by a barrier whose record ends at `end`.
    package mutating func append(_ barrier: BarrierPayload, end: LSN) {
        precondition(places[places.count - 1].windowBegin <= end)
        for resource in Resource.allCases {
            let owners = zip(current.owners(of: resource), barrier.slotMap.owners(of: resource))
            for (slot, (before, after)) in owners.enumerated() where before != after {
                since[Int(resource.rawValue)][slot] = end
            }
        }
        places.append(
            Place(
                windowBegin: end,
                window: barrier.window + 1,
                map: barrier.slotMap,
                stem: barrier.stem
            )
        )
    }

    /// Returns the barriers whose records ended in a part of the log, each with that LSN, ascending. For a part that is
    /// lost these are the ones known from elsewhere.
    package func barriers(endingIn range: ClosedRange<LSN>) -> [(barrier: BarrierPayload, end: LSN)]
    {
        places.filter { $0.window > 0 && range.contains($0.windowBegin) }.map { place in
            let barrier = BarrierPayload(
                window: place.window - 1,
                reason: .command,
                stem: place.stem,
                slotMap: place.map
            )
            return (barrier, place.windowBegin)
        }
    }

    /// Returns the place of a record that begins at `lsn`.
    package func place(at lsn: LSN) -> Place { places.last { $0.windowBegin <= lsn } ?? places[0] }

    /// Returns the start of a window; nil if it has not begun, or is before the history.
    package func begin(of window: UInt64) -> LSN? {
        places.first { $0.window == window }?.windowBegin
    }

    package var current: SlotMap { places[places.count - 1].map }

    /// Returns where a worker that has applied nothing begins: where it first owned a slot; nil if it never did. Slots
    /// that it has lost since are included: it has to apply and hand over their events, because no other worker has.
    package func firstOwned(by worker: WorkerName) -> LSN? {
        places.first { !$0.map.slots(of: worker).isEmpty }?.windowBegin
    }

    /// Returns whether the worker owned slots at the history's start.
    package func ownedFirst(by worker: WorkerName) -> Bool {
        !places[0].map.slots(of: worker).isEmpty
    }

    /// Returns the LSN below which no worker needs the log any more. It follows from the checkpoint of each; nil if that
    /// of a worker that matters is unknown.
    package func trimmable(_ checkpoint: (WorkerName) -> LSN?) -> LSN? {
        func least(_ workers: some Sequence<WorkerName>) -> LSN? {
            var least: LSN?
            for worker in workers {
                guard let lsn = checkpoint(worker) else { return nil }
                least = min(least ?? lsn, lsn)
            }
            return least
        }
        guard let below = least(current.allWorkers) else { return nil }
        // Until all workers have passed the last change of owners, workers without slots count too: one of them may not
        // have reached that change yet.
        let isHandedOver = zip(places, places.dropFirst()).allSatisfy {
            $0.map == $1.map || $1.windowBegin < below
        }
        return isHandedOver ? below : least(Set(places.flatMap(\.map.allWorkers)))
    }

    /// Finds from where on workers need records before the log's start `begin`, with the evidence in words. Nil if none
    /// does. The oldest files are removed only once no worker needs them. `accepted` are ranges that workers skip.
    /// `checkpoints` has nil for one that cannot be read, which concerns only its worker.
    package func neededBelow(
        _ begin: LSN,
        accepted: [Range<LSN>],
        checkpoints: [WorkerName: LSN?]
    ) -> (from: LSN, reason: String)? {
        func needed(by worker: WorkerName) -> LSN {
            let saved = (checkpoints[worker] ?? 0) ?? begin
            // A worker that joined later begins where it first owned a slot, whatever checkpoint an earlier worker of
            // that name left.
            guard !ownedFirst(by: worker), let first = firstOwned(by: worker) else { return saved }
            return max(saved, first)
        }
        guard let from = trimmable(needed), from < begin,
            !accepted.contains(where: { $0.upperBound == begin && $0.lowerBound <= from })
        else { return nil }
        let behind = checkpoints.keys.filter { needed(by: $0) == from }.min { "\($0)" < "\($1)" }
        let reason =
            behind.map { "the checkpoint of \($0) stands at \(from)" } ?? "workers have none of it"
        return (from, reason)
    }

    /// The current owner of each slot, and since when.
    package var holdings: [SlotHolding] {
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

    /// Removes places that are needed only for trimmed records.
    package mutating func trim(below lsn: LSN) {
        let kept = places.lastIndex { $0.windowBegin <= lsn } ?? 0
        places.removeFirst(kept)
    }
}
