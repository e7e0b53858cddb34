/// Slots that a worker has held since one and the same barrier.
package struct SlotHolding: Sendable, Equatable {
    package let worker: WorkerName
    /// Ascending, not adjoining.
    package let slots: [ClosedRange<UInt8>]
    /// The end of that barrier, or where what is known of the log begins.
    package let since: LSN

    package init(worker: WorkerName, slots: [ClosedRange<UInt8>], since: LSN) {
        self.worker = worker
        self.slots = slots
        self.since = since
    }

    /// Groups slots, ascending, into ranges.
    package static func ranges(of slots: some Sequence<UInt8>) -> [ClosedRange<UInt8>] {
        var ranges: [ClosedRange<UInt8>] = []
        for slot in slots {
            if let last = ranges.last, Int(last.upperBound) + 1 == Int(slot) {
                ranges[ranges.count - 1] = last.lowerBound...slot
            } else {
                ranges.append(slot...slot)
            }
        }
        return ranges
    }

    package var count: Int { slots.reduce(0) { $0 + $1.count } }

    /// `0-63,70`.
    package var slotText: String {
        slots.map { range in
            range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
        }.joined(separator: ",")
    }

    /// Reads `0-63,70`; nil where the text is no such list.
    package init?(worker: WorkerName, slotText: String, since: LSN) {
        var slots: [ClosedRange<UInt8>] = []
        for part in slotText.split(separator: ",", omittingEmptySubsequences: false) {
            let bounds = part.split(separator: "-", omittingEmptySubsequences: false).map {
                UInt8($0)
            }
            guard let first = bounds.first, let low = first, let last = bounds.last,
                let high = last, bounds.count <= 2, low <= high
            else { return nil }
            slots.append(low...high)
        }
        self.init(worker: worker, slots: slots, since: since)
    }
}
