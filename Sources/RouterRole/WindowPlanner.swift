import IngestLog
import TraceModel

/// Decides when a window ends. A pure state machine over what is logged and the clock.
struct WindowPlanner {
    private var wireBytes = InlineArray<6, Int>(repeating: 0)
    /// As estimated.
    private var jsonBytes = InlineArray<6, Int>(repeating: 0)
    private var hasEvents = false
    private var openedAt: Int64 = 0
    private var lastBatchAt: Int64?
    private var requested: BarrierPayload.Reason?
    /// What the window may take of `Limits`, by resource: as many times as it has workers.
    private var growth = InlineArray<6, Int>(repeating: 1)

    /// Seconds between two windows that `is_last_batch` may close.
    private static let lastBatchNanoseconds: Int64 = 10_000_000_000

    /// The first window's workers are those of `slotMap`.
    init(_ slotMap: SlotMap) { take(slotMap) }

    /// Counts what a record added to the open window, in wire bytes; `now` is monotonic nanoseconds.
    mutating func logged(_ resource: Resource, events: Int, bytes: Int, now: Int64) {
        if !hasEvents {
            hasEvents = true
            openedAt = now
        }
        let index = Int(resource.rawValue)
        wireBytes[index] += bytes
        jsonBytes[index] += bytes + events * Limits.jsonBytesPerEvent(resource)
    }

    /// A batch said that it is its client's last.
    mutating func lastBatch(now: Int64) {
        if let lastBatchAt, now - lastBatchAt < Self.lastBatchNanoseconds { return }
        lastBatchAt = now
        request(.lastBatch)
    }

    /// Ends the window at the next opportunity, also an empty one.
    mutating func request(_ reason: BarrierPayload.Reason) {
        requested = requested ?? reason
    }

    /// The reason to end the window now, nil to keep it open.
    func due(now: Int64) -> BarrierPayload.Reason? {
        if let requested { return requested }
        guard hasEvents else { return nil }
        for index in wireBytes.indices
        where wireBytes[index] >= Limits.windowWireBytesMax * growth[index]
            || jsonBytes[index] >= Limits.windowJSONBytesMax * growth[index]
        {
            return .size
        }
        return now - openedAt >= Int64(Limits.windowSecondsMax) * 1_000_000_000 ? .age : nil
    }

    /// A barrier stands in the log: a new window begins, whose workers are those of `slotMap`.
    mutating func closed(next slotMap: SlotMap) {
        wireBytes = InlineArray(repeating: 0)
        jsonBytes = InlineArray(repeating: 0)
        hasEvents = false
        requested = nil
        take(slotMap)
    }

    private mutating func take(_ slotMap: SlotMap) {
        for resource in Resource.allCases {
            growth[Int(resource.rawValue)] = min(
                slotMap.workerCount(of: resource),
                Limits.windowGrowthMax
            )
        }
    }
}
