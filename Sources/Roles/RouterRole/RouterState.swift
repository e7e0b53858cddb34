import IngestLog
import SystemIO
import TraceModel

/// The router's state that follows from the log alone. It is rebuilt by a replay, and stored in the head of each log
/// file so that trimming loses nothing.
struct RouterState {
    /// The open window, counted from 0.
    private(set) var window: UInt64 = 0
    /// Start of the open window: the end of the last barrier.
    private(set) var windowBegin: LSN = 0
    private(set) var slotMap: SlotMap
    /// Durable batches; the ingest queue also knows those that are not durable yet.
    var dedup = DedupWindow()
    /// Verdicts on batches that are still in the log.
    var verdicts = Verdicts()
    /// Events in damaged ranges that may or may not have been applied before.
    private(set) var uncertainEvents: UInt64 = 0
    private var lastSecond = ""
    private var lastOrdinal = 0

    /// Creates the state of a new data directory, with the slot map of its first workers.
    init(slotMap: SlotMap) { self.slotMap = slotMap }

    /// The history of windows and maps, starting with the current ones.
    var history: SlotMapHistory {
        SlotMapHistory(slotMap, window: window, windowBegin: windowBegin, stem: lastStem)
    }

    /// Stem of the last barrier.
    private var lastStem: String { lastOrdinal > 1 ? "\(lastSecond)_\(lastOrdinal)" : lastSecond }

    /// Returns the name that a barrier at this second (`YYYYmmdd_HHMMSS`) gives to its files: unique in the log. Names
    /// never go back, even if the clock does, because files could then replace older ones.
    func stem(second: String) -> String {
        second > lastSecond ? second : "\(lastSecond)_\(lastOrdinal + 1)"
    }

    /// Notes a barrier that was logged, or read from the log.
    mutating func passed(_ barrier: BarrierPayload, end: LSN) {
        window = barrier.window + 1
        windowBegin = end
        slotMap = barrier.slotMap
        let parts = barrier.stem.split(separator: "_")
        let second = parts.prefix(2).joined(separator: "_")
        // A stem without an ordinal is the first of its second.
        lastOrdinal = parts.count > 2 ? Int(parts[2]) ?? 1 : 1
        lastSecond = second
    }

    /// Skips window numbers that were assigned by barriers which are lost, along with the state noted of them.
    mutating func crossBarriers(to window: UInt64) { self.window = max(self.window, window) }

    /// Notes a damage record that was logged, or read from the log.
    mutating func note(_ damage: DamagePayload) {
        uncertainEvents = damage.settles ? 0 : uncertainEvents + damage.uncertain
    }

    /// Encodes the body of a log file's head: the windows (`encodeEnd`), the de-duplication window, the verdicts, the
    /// starts of the ranges of the de-duplication window, the uncertain events u64. Heads of earlier versions end
    /// before one of these.
    func encodeHead(into buffer: inout RawBuffer) {
        encodeEnd(into: &buffer)
        dedup.encode(into: &buffer)
        verdicts.encode(into: &buffer)
        dedup.encodeBegins(into: &buffer)
        buffer.append(integer: uncertainEvents)
    }

    /// Encodes the part that is also noted beside the log (`LogEnd`): a `LastWindow`.
    func encodeEnd(into buffer: inout RawBuffer) {
        let closed = BarrierPayload(
            window: window &- 1,
            reason: .command,
            stem: lastStem,
            slotMap: slotMap
        )
        LastWindow(closed: window > 0 ? closed : nil, slotMap: slotMap, begin: windowBegin)
            .encode(into: &buffer)
    }

    /// Reads the body of a log file's head.
    /// - Throws: `TraceError(.corrupt)` if the head is malformed.
    mutating func restoreHead(_ body: UnsafeRawBufferPointer) throws(TraceError) {
        var reader = unsafe StateReader(body)
        let last = try LastWindow(from: &reader)
        if let closed = last.closed {
            passed(closed, end: last.begin)
        } else {
            slotMap = last.slotMap
        }
        try dedup.restore(from: &reader)
        // Heads of versions without verdicts end here.
        if !reader.isAtEnd { try verdicts.restore(from: &reader) }
        // Heads of versions without ranges end here.
        if !reader.isAtEnd { try dedup.restoreBegins(from: &reader) }
        // Heads of versions that did not count uncertain events end here.
        if !reader.isAtEnd { uncertainEvents = try reader.integer(UInt64.self) }
    }
}
