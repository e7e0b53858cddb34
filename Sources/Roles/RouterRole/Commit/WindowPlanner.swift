import IngestLog
import TraceModel

/// Decides when a window ends. A pure state machine over logged batches and the clock.
struct WindowPlanner {
    private var wireBytes = InlineArray<6, Int>(repeating: 0)
    /// Estimated output, by resource.
    private var jsonBytes = InlineArray<6, Int>(repeating: 0)
    private var hasEvents = false
    private var openedAt: Int64 = 0
    /// When `is_last_batch` last closed a window, or would have.
    private var lastBatchAt: Int64?
    /// When `is_last_batch` closes the open window, if that was requested too soon after the last time; nil otherwise.
    private var lastBatchDueAt: Int64?
    /// Output of the open window as reported by its workers, by resource.
    private var reportedBytes = InlineArray<6, Int>(repeating: 0)
    private var requested: BarrierPayload.Reason?
    /// Factor for the bounds in `Limits`, by resource: the number of its workers.
    private var growth = InlineArray<6, Int>(repeating: 1)

    /// Minimum time between two windows closed by `is_last_batch`.
    private static let lastBatchNanoseconds: Int64 = 10_000_000_000

    /// Continues `window`, which an earlier router has left open for `age` nanoseconds, or starts a new one. The
    /// window's workers are those of `slotMap`.
    init(
        _ slotMap: SlotMap,
        continuing window: OpenWindow = OpenWindow(),
        age: Int64 = 0,
        now: Int64 = 0
    ) {
        take(slotMap)
        for resource in Resource.allCases {
            let index = Int(resource.rawValue)
            guard window.events[index] > 0 else { continue }
            logged(
                resource,
                events: window.events[index],
                bytes: window.wireBytes[index],
                now: now - max(age, 0)
            )
        }
        // The time at which the last one closed a window is not known any more.
        if window.lastBatchSeen { lastBatch(now: now) }
    }

    /// Counts what a record added to the open window, in bytes as received; `now` is monotonic nanoseconds.
    mutating func logged(_ resource: Resource, events: Int, bytes: Int, now: Int64) {
        if !hasEvents {
            hasEvents = true
            openedAt = now
        }
        let index = Int(resource.rawValue)
        wireBytes[index] += bytes
        jsonBytes[index] += bytes + events * Limits.jsonBytesPerEvent(resource)
    }

    /// Handles a batch that is marked as its client's last: the window ends now, or 10 s after the last window that
    /// ended so. If it ends earlier for another reason, it contains the batch too.
    mutating func lastBatch(now: Int64) {
        if let lastBatchAt, now - lastBatchAt < Self.lastBatchNanoseconds {
            lastBatchDueAt = lastBatchAt + Self.lastBatchNanoseconds
            return
        }
        lastBatchDueAt = now
    }

    /// Sets the open window's output as reported by the workers, by resource.
    mutating func reported(_ bytes: InlineArray<6, Int>) { reportedBytes = bytes }

    /// Ends the window at the next opportunity, even an empty one.
    mutating func request(_ reason: BarrierPayload.Reason) { requested = requested ?? reason }

    /// Returns the reason to end the window now; nil to keep it open.
    func due(now: Int64) -> BarrierPayload.Reason? {
        if let requested { return requested }
        if let lastBatchDueAt, now >= lastBatchDueAt { return .lastBatch }
        guard hasEvents else { return nil }
        for index in wireBytes.indices
        where wireBytes[index] >= Limits.windowWireBytesMax * growth[index]
            || jsonBytes[index] >= Limits.windowJSONBytesMax * growth[index]
            || reportedBytes[index] >= Limits.windowOutputBytesMax * growth[index]
        { return .size }
        return now - openedAt >= Int64(Limits.windowSecondsMax) * 1_000_000_000 ? .age : nil
    }

    /// Notes that a barrier is in the log since `now`: a new window begins, whose workers are those of `slotMap`.
    mutating func closed(next slotMap: SlotMap, now: Int64) {
        if let lastBatchDueAt, now >= lastBatchDueAt { lastBatchAt = now }
        lastBatchDueAt = nil
        reportedBytes = InlineArray(repeating: 0)
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
