import IngestLog
import SystemIO
import TraceModel

/// What the router knows from the log alone: rebuilt by replaying it, carried on in the head of each log
/// file so that trimming loses nothing.
struct RouterState {
    /// The open window, counted from 0.
    private(set) var window: UInt64 = 0
    /// Where the open window begins: behind the last barrier.
    private(set) var windowBegin: LSN = 0
    private(set) var slotMap: SlotMap
    /// Batches that are durable; those on their way are known to the ingest queue alone.
    var dedup = DedupWindow()
    /// On batches that the log still holds.
    var verdicts = Verdicts()
    /// Events in damaged ranges of which it is not known whether they were applied before.
    private(set) var uncertainEvents: UInt64 = 0
    private var lastSecond = ""
    private var lastOrdinal = 0

    /// For a new data directory: the slot map of the workers it begins with.
    init(slotMap: SlotMap) { self.slotMap = slotMap }

    /// The history of windows and maps from here on.
    var history: SlotMapHistory {
        SlotMapHistory(slotMap, window: window, windowBegin: windowBegin)
    }

    /// The name that a barrier at this second (`YYYYmmdd_HHMMSS`) gives its files: unique in the log. Names
    /// never go back, as a clock that does would make files that replace older ones.
    func stem(second: String) -> String {
        second > lastSecond ? second : "\(lastSecond)_\(lastOrdinal + 1)"
    }

    /// A barrier went into the log, or was read from it.
    mutating func passed(_ barrier: BarrierPayload, end: LSN) {
        window = barrier.window + 1
        windowBegin = end
        slotMap = barrier.slotMap
        let parts = barrier.stem.split(separator: "_")
        let second = parts.prefix(2).joined(separator: "_")
        // A stem without ordinal is the second's first.
        lastOrdinal = parts.count > 2 ? Int(parts[2]) ?? 1 : 1
        lastSecond = second
    }

    /// The barriers of all windows before this one were lost, and what was noted of them too: their numbers are given.
    mutating func crossBarriers(to window: UInt64) { self.window = max(self.window, window) }

    /// A damage record went into the log, or was read from it.
    mutating func note(_ damage: DamagePayload) {
        uncertainEvents = damage.settles ? 0 : uncertainEvents + damage.uncertain
    }

    /// The body of a log file's head: the windows (`encodeEnd`), then the de-duplication window, then the verdicts, then where
    /// the ranges of the de-duplication window begin, then the uncertain events u64. Routers of before any of them stop before it.
    func encodeHead(into buffer: inout RawBuffer) {
        encodeEnd(into: &buffer)
        dedup.encode(into: &buffer)
        verdicts.encode(into: &buffer)
        dedup.encodeBegins(into: &buffer)
        buffer.append(integer: uncertainEvents)
    }

    /// What of it is kept beside the log too (`LogEnd`): whether a window was closed u8, a barrier's layout for window, stem and
    /// slot map (of the last one closed) as counted bytes, where the window begins u64.
    func encodeEnd(into buffer: inout RawBuffer) {
        buffer.append(byte: window > 0 ? 1 : 0)
        var barrier = RawBuffer()
        BarrierPayload(
            window: window &- 1,
            reason: .command,
            stem: lastOrdinal > 1 ? "\(lastSecond)_\(lastOrdinal)" : lastSecond,
            slotMap: slotMap
        ).encode(into: &barrier)
        buffer.append(integer: UInt32(barrier.count))
        buffer.append(barrier.bytes)
        buffer.append(integer: windowBegin)
    }

    /// - Throws: `TraceError(.corrupt)` where the head is out of shape.
    mutating func restoreHead(_ body: UnsafeRawBufferPointer) throws(TraceError) {
        var reader = StateReader(body)
        let last = try Self.lastWindow(from: &reader)
        if let closed = last.closed {
            passed(closed, end: last.begin)
        } else {
            slotMap = last.slotMap
        }
        try dedup.restore(from: &reader)
        // Logs of before there were verdicts end here.
        if !reader.isAtEnd { try verdicts.restore(from: &reader) }
        // Logs of before there were ranges end here.
        if !reader.isAtEnd { try dedup.restoreBegins(from: &reader) }
        // Logs of before what is uncertain was counted end here.
        if !reader.isAtEnd { uncertainEvents = try reader.integer(UInt64.self) }
    }

    /// Reads what `encodeEnd` wrote: the last barrier, nil where no window was closed yet, and where the window begins
    /// that is open since.
    /// - Throws: `TraceError(.corrupt)` where it is out of shape.
    static func lastWindow(
        from reader: inout StateReader
    ) throws(TraceError) -> (closed: BarrierPayload?, slotMap: SlotMap, begin: LSN) {
        let closedBefore = try reader.integer(UInt8.self) == 1
        let barrier = try BarrierPayload(decoding: try reader.counted())
        let begin = try reader.integer(UInt64.self)
        return (closedBefore ? barrier : nil, barrier.slotMap, begin)
    }
}
