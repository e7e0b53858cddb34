import AnomalyRules
import SystemIO
import TraceMetrics
import TraceModel

/// What is counted for a slot as a whole.
struct SlotTotals: BitwiseCopyable {
    var events: UInt64 = 0
    var timestampsInvalid: UInt64 = 0
    /// What its processes take of its budget, in bytes.
    var stateBytes = 0
    /// Whether anything changed since the last collection.
    var isDirty = false
    /// Whether the next collection has to name everything, as series went.
    var isFullNeeded = false
    /// Whether findings of the process at hand were suppressed.
    var hasSuppressed = false
    // What every event needs stands above, in one cache line.
    /// By rule.
    var findings = InlineArray<25, UInt64>(repeating: 0)
    var namesCut: UInt64 = 0
    var utf8Replaced: UInt64 = 0
    var framesCut: UInt64 = 0
    var processesEvicted: UInt64 = 0
    var threadsEvicted: UInt64 = 0
    var openCallsEvicted: UInt64 = 0
    var functionsEvicted: UInt64 = 0
    var allocationsEvicted: UInt64 = 0
    var connectionsEvicted: UInt64 = 0
    /// Entries of all kinds that gave way as all slots of the worker took too much together; not in the counts above.
    var evictedByWorker: UInt64 = 0
    /// Hosts that gave way, in the first slot that had processes of theirs.
    var hostsEvicted: UInt64 = 0
    var invalid = InvalidValues()
    /// Open calls that a window's trace does not repeat, once a window.
    var callsNotRepeated: UInt64 = 0
    /// Agents' findings that are not recorded as ours.
    var findingsUnrecorded: UInt64 = 0
    var repetition = RepetitionBudget()
    var processes: UInt32 = 0
    /// When the slot was last looked through for quiet processes: a tick's arrival.
    var quietCheck = EpochNanoseconds.min

    func encode(into buffer: inout RawBuffer) {
        for count in [
            events, timestampsInvalid, namesCut, utf8Replaced, framesCut, processesEvicted,
            openCallsEvicted,
            functionsEvicted, allocationsEvicted, connectionsEvicted,
        ] { buffer.append(integer: count) }
        for index in findings.indices { buffer.append(integer: findings[index]) }
        buffer.append(integer: quietCheck)
        invalid.encode(into: &buffer)
        buffer.append(integer: threadsEvicted)
        buffer.append(integer: evictedByWorker)
        buffer.append(integer: callsNotRepeated)
        buffer.append(integer: findingsUnrecorded)
        repetition.encode(into: &buffer)
        buffer.append(integer: hostsEvicted)
    }

    /// Entries that have given way since other counts were noted are counted as the worker's from here on.
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
        for index in findings.indices { findings[index] = try reader.integer(UInt64.self) }
        quietCheck = try reader.integer(Int64.self)
        if reader.version > StateVersion.beforeDialects {
            invalid = try InvalidValues(decoding: &reader)
            threadsEvicted = try reader.integer(UInt64.self)
            evictedByWorker = try reader.integer(UInt64.self)
            callsNotRepeated = try reader.integer(UInt64.self)
            findingsUnrecorded = try reader.integer(UInt64.self)
            repetition = try RepetitionBudget(decoding: &reader)
            hostsEvicted = try reader.integer(UInt64.self)
        }
        isDirty = events > 0
        isFullNeeded = isDirty
    }

    /// More series than `collect` adds.
    static let seriesMax = 59

    /// A group of series.
    func collect(_ series: inout SeriesWriter, of resource: Resource) {
        series.add(.eventsTotal, Double(events), [resource.name])
        series.add(.timestampsInvalidTotal, Double(timestampsInvalid), if: timestampsInvalid > 0)
        for rule in RuleID.allCases {
            let count = findings[Int(rule.rawValue)]
            series.add(
                .anomaliesTotal,
                Double(count),
                if: count > 0,
                [resource.name, "\(rule.name)"]
            )
        }
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
    }

    private func add(_ loss: LossKind, _ count: UInt64, _ series: inout SeriesWriter) {
        series.add(.errorsTotal, Double(count), if: count > 0, [loss.rawValue])
    }
}
