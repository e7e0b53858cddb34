import AnomalyRules
import SystemIO
import TraceMetrics
import TraceModel

/// Counts of a slot as a whole.
struct SlotTotals: BitwiseCopyable {
    var events: UInt64 = 0
    var timestampsInvalid: UInt64 = 0
    /// The bytes of its budget that its processes take.
    var stateBytes = 0
    /// Whether anything changed since the last collection.
    var isDirty = false
    /// Whether the next collection has to be a full one, because series have ended.
    var isFullNeeded = false
    /// Whether findings of the current process were suppressed.
    var hasSuppressed = false
    // The fields that every event needs come first, in one cache line.
    var namesCut: UInt64 = 0
    var utf8Replaced: UInt64 = 0
    var framesCut: UInt64 = 0
    var processesEvicted: UInt64 = 0
    var threadsEvicted: UInt64 = 0
    var openCallsEvicted: UInt64 = 0
    var functionsEvicted: UInt64 = 0
    var allocationsEvicted: UInt64 = 0
    var connectionsEvicted: UInt64 = 0
    /// Evictions of all kinds caused by the worker's total budget; not part of the counts above.
    var evictedByWorker: UInt64 = 0
    /// Evicted hosts, each counted in the first slot that had processes of it.
    var hostsEvicted: UInt64 = 0
    var invalid = InvalidValues()
    /// Open calls that a window's trace does not repeat, counted once per window.
    var callsNotRepeated: UInt64 = 0
    /// Agents' findings that are not recorded as findings of this server.
    var findingsUnrecorded: UInt64 = 0
    /// Calls whose paths in the call tree end in `(other)`.
    var callPathsCut: UInt64 = 0
    var repetition = RepetitionBudget()
    var processes: UInt32 = 0
    /// The arrival of the tick at which the slot was last scanned for quiet processes.
    var quietCheck = EpochNanoseconds.min

    func encode(into buffer: inout RawBuffer) {
        for count in [
            events, timestampsInvalid, namesCut, utf8Replaced, framesCut, processesEvicted,
            openCallsEvicted,
            functionsEvicted, allocationsEvicted, connectionsEvicted,
        ] { buffer.append(integer: count) }
        buffer.append(integer: quietCheck)
        invalid.encode(into: &buffer)
        buffer.append(integer: threadsEvicted)
        buffer.append(integer: evictedByWorker)
        buffer.append(integer: callsNotRepeated)
        buffer.append(integer: findingsUnrecorded)
        repetition.encode(into: &buffer)
        buffer.append(integer: hostsEvicted)
        buffer.append(integer: callPathsCut)
    }

    /// Reclassifies the evictions since `before` as caused by the worker's total budget.
    mutating func bookEvictions(since before: SlotTotals) {
        let gone =
            (processesEvicted &- before.processesEvicted)
            &+ (threadsEvicted &- before.threadsEvicted)
            &+ (openCallsEvicted &- before.openCallsEvicted)
            &+ (functionsEvicted &- before.functionsEvicted)
            &+ (allocationsEvicted &- before.allocationsEvicted)
            &+ (connectionsEvicted &- before.connectionsEvicted)
        processesEvicted = before.processesEvicted
        threadsEvicted = before.threadsEvicted
        openCallsEvicted = before.openCallsEvicted
        functionsEvicted = before.functionsEvicted
        allocationsEvicted = before.allocationsEvicted
        connectionsEvicted = before.connectionsEvicted
        evictedByWorker &+= gone
    }

    init() {}

    init(decoding reader: inout StateReader) throws(TraceError) {
        events = try reader.integer(UInt64.self)
        timestampsInvalid = try reader.integer(UInt64.self)
        namesCut = try reader.integer(UInt64.self)
        utf8Replaced = try reader.integer(UInt64.self)
        framesCut = try reader.integer(UInt64.self)
        processesEvicted = try reader.integer(UInt64.self)
        openCallsEvicted = try reader.integer(UInt64.self)
        functionsEvicted = try reader.integer(UInt64.self)
        allocationsEvicted = try reader.integer(UInt64.self)
        connectionsEvicted = try reader.integer(UInt64.self)
        if reader.version <= StateVersion.beforeHosts {
            // Findings by rule, which say nothing of their hosts.
            for _ in 0..<RuleID.count { _ = try reader.integer(UInt64.self) }
        }
        quietCheck = try reader.integer(Int64.self)
        if reader.version > StateVersion.beforeDialects {
            invalid = try InvalidValues(decoding: &reader)
            threadsEvicted = try reader.integer(UInt64.self)
            evictedByWorker = try reader.integer(UInt64.self)
            callsNotRepeated = try reader.integer(UInt64.self)
            findingsUnrecorded = try reader.integer(UInt64.self)
            repetition = try RepetitionBudget(decoding: &reader)
            hostsEvicted = try reader.integer(UInt64.self)
            callPathsCut = try reader.integer(UInt64.self)
        }
        isDirty = events > 0
        isFullNeeded = isDirty
    }

    /// An upper bound of the series that `collect` adds.
    static let seriesMax = 60

    /// Adds one group of series.
    func collect(_ series: inout SeriesWriter, of resource: Resource) {
        series.add(.eventsTotal, Double(events), [resource.name])
        series.add(.timestampsInvalidTotal, Double(timestampsInvalid), if: timestampsInvalid > 0)
        invalid.collect(&series, of: resource)
        add(.nameCut, namesCut, &series)
        add(.invalidUTF8Replaced, utf8Replaced, &series)
        add(.stackFramesCut, framesCut, &series)
        add(.processEvicted, processesEvicted, &series)
        add(.hostEvicted, hostsEvicted, &series)
        add(.threadEvicted, threadsEvicted, &series)
        add(.openCallEvicted, openCallsEvicted, &series)
        add(.functionEvicted, functionsEvicted, &series)
        add(.allocationEvicted, allocationsEvicted, &series)
        add(.connectionEvicted, connectionsEvicted, &series)
        add(.stateOverflow, evictedByWorker, &series)
        add(.openCallNotRepeated, callsNotRepeated, &series)
        add(.anomaliesCut, findingsUnrecorded, &series)
        add(.callPathCut, callPathsCut, &series)
    }

    private func add(_ loss: LossKind, _ count: UInt64, _ series: inout SeriesWriter) {
        series.add(.errorsTotal, Double(count), if: count > 0, [loss.rawValue])
    }
}
