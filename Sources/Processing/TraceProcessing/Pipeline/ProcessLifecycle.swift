import AnomalyRules
import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries
import TraceTime

/// The traced processes of a worker's slots, from the first event or name of each to its end: by a budget, by its host's
/// eviction, or after it has been quiet for long. A value that its `EventProcessor` owns; nothing here reads a clock.
struct ProcessLifecycle<Model: ProcessModel & ~Copyable>: ~Copyable {
    typealias Entry = ProcessTable<Model>.Entry

    let files: TraceFileManager
    let texts: EventTexts
    /// The counts of the slots as a whole.
    let totals = UnsafeMutablePointer<SlotTotals>.allocate(capacity: Slot.count)
    /// What the slots know of hosts.
    let hosts: HostAccounts
    /// The bounds of the state, in bytes.
    let budget: StateBudget
    var table = ProcessTable<Model>()
    /// The processes that changed since their last collection, by slot.
    private(set) var dirty = [[Entry]](repeating: [], count: Slot.count)
    /// The processes that ticks visit, by slot.
    private var ticking = [[Entry]](repeating: [], count: Slot.count)
    /// The bytes that the state of all slots takes.
    var stateBytes = 0
    var rules = RuleSet() {
        didSet { for entry in table.entries { entry.pointee.rules = thresholds(of: entry) } }
    }
    /// What evicted processes did in the open window, by slot.
    var evicted: [UInt8: WindowSummary] = [:]
    /// The number of evicted processes.
    private(set) var processesGone = 0

    init(files: TraceFileManager, zone: TimeZoneRules, budget: StateBudget) {
        self.files = files
        self.budget = budget
        hosts = HostAccounts(totals)
        texts = EventTexts.allocate(zone: zone, hosts: hosts)
        totals.initialize(repeating: SlotTotals(), count: Slot.count)
    }

    deinit {
        totals.deallocate()
        texts.deallocate()
    }

    /// Makes the context of an event of the process, or of a moment at which its rows are written.
    func context(
        of entry: Entry,
        tid: UInt32,
        stamp: EpochNanoseconds,
        arrival: EpochNanoseconds,
        semantics: Semantics = .cumulative
    ) -> EventContext {
        EventContext(
            files: files,
            totals: totals + Int(entry.pointee.slot),
            host: entry.pointee.host,
            pid: entry.pointee.pid,
            tid: tid,
            stamp: stamp,
            arrival: arrival,
            semantics: semantics,
            texts: texts,
            activity: entry.pointee.activity,
            givenName: entry.pointee.given.processText,
            suppressed: entry.pointee.suppressed,
            ruleSet: rules,
            rules: entry.pointee.rules
        )
    }

    // MARK: Begin

    /// Returns the process of an event, which is created if it is not known.
    @inline(__always) mutating func entry(
        of pid: UInt32,
        time: EpochNanoseconds,
        traces: TraceBatchView
    ) -> ProcessTable<Model>.Entry {
        if let known = table.find(host: traces.host, pid: pid) { return known }
        return newEntry(of: pid, time: time, traces: traces)
    }

    /// Creates a process that the table does not have.
    mutating func newEntry(
        of pid: UInt32,
        time: EpochNanoseconds,
        traces: TraceBatchView
    ) -> ProcessTable<Model>.Entry {
        let slot = Slot.of(hostHash: traces.hostHash, processID: pid)
        totals[Int(slot)].processes += 1
        var model = Model()
        let memory = table.takeMemory(for: &model)
        let entry = ProcessEntry.initialize(
            in: memory,
            host: traces.host,
            pid: pid,
            slot: slot,
            rules: rules.thresholds(comm: .empty, host: files.hostName(traces.host), pid: pid),
            model: model,
            time: time,
            arrival: traces.arrival
        )
        table.insert(entry)
        hosts.add(traces.host, slot: slot)
        return entry
    }

    /// Adds a process whose state was decoded.
    mutating func adopt(_ entry: Entry) {
        table.insert(entry)
        hosts.add(entry.pointee.host, slot: entry.pointee.slot)
        entry.pointee.rules = thresholds(of: entry)
        if entry.pointee.needsTicks { beginTicking(entry) }
        let slot = totals + Int(entry.pointee.slot)
        slot.pointee.processes += 1
        slot.pointee.stateBytes += entry.pointee.chargedBytes
        stateBytes += entry.pointee.chargedBytes
    }

    // MARK: Changes

    /// Notes that the process has to be collected, and ends its expiry.
    mutating func beginChanges(_ entry: Entry) {
        entry.pointee.isDirty = true
        dirty[Int(entry.pointee.slot)].append(entry)
        guard entry.pointee.isExpired else { return }
        entry.pointee.isExpired = false
        entry.pointee.isShown = false
    }

    /// Notes that the slot's processes were collected.
    mutating func endChanges(of slot: UInt8) {
        for entry in dirty[Int(slot)] { entry.pointee.isDirty = false }
        dirty[Int(slot)].removeAll(keepingCapacity: true)
    }

    /// Applies a new name of the process: the series shown under the old one end.
    func takeName(_ entry: Entry, _ context: EventContext) {
        entry.pointee.rules = context.rules
        guard entry.pointee.isShown else { return }
        entry.pointee.isShown = false
        totals[Int(entry.pointee.slot)].isFullNeeded = true
    }

    /// Returns the thresholds that the rules in force set for the process under its current name.
    func thresholds(of entry: Entry) -> UnsafePointer<Thresholds> {
        rules.thresholds(
            comm: entry.pointee.name,
            host: files.hostName(entry.pointee.host),
            pid: entry.pointee.pid
        )
    }

    // MARK: Time

    /// Makes ticks visit the process.
    mutating func beginTicking(_ entry: Entry) {
        entry.pointee.isTicking = true
        ticking[Int(entry.pointee.slot)].append(entry)
    }

    /// Makes ticks visit the process until its suppressed findings are raised.
    @inline(never) mutating func awaitCooldowns(_ entry: Entry) {
        totals[Int(entry.pointee.slot)].hasSuppressed = false
        if entry.pointee.needsTicks, !entry.pointee.isTicking { beginTicking(entry) }
    }

    /// Advances the clocks of the processes whose findings can depend on time, and evicts quiet ones.
    mutating func tick(arrival: EpochNanoseconds) {
        for slot in ticking.indices where !ticking[slot].isEmpty {
            for entry in ticking[slot] { tick(entry, arrival: arrival) }
            ticking[slot].removeAll {
                $0.pointee.isTicking = $0.pointee.needsTicks
                return !$0.pointee.isTicking
            }
        }
        forgetQuiet(arrival: arrival)
    }

    /// Advances the process's clock. It continues from the newest event's time by the time passed since that event's
    /// arrival, so that replayed or old data does not look like a process that has stood still.
    private func tick(_ entry: Entry, arrival: EpochNanoseconds, isLast: Bool = false) {
        if isLast, entry.pointee.suppressed.pointee.isEmpty { return }
        let passed = max(0, arrival &- entry.pointee.lastArrival)
        let (now, overflow) = entry.pointee.lastTime.addingReportingOverflow(passed)
        guard !overflow else { return }
        var context = context(of: entry, tid: entry.pointee.pid, stamp: now, arrival: arrival)
        let process = entry.pointee.model.processName()
        let hasEnded =
            isLast
            ? context.raiseSuppressed(process: process) : context.raiseEnded(process: process)
        let hasFound = entry.pointee.model.tick(context)
        guard hasEnded || hasFound, entry.pointee.namedWindow != files.window else { return }
        entry.pointee.model.windowBegins(&context)
        name(entry, context)
    }

    /// Writes deferred rows, which otherwise wait for further events of the process.
    func writeWaiting(_ entry: Entry) {
        guard entry.pointee.model.hasRowsWaiting else { return }
        // Saved because a batch may be in progress.
        let saved = texts.saved
        defer { texts.saved = saved }
        let context = context(
            of: entry,
            tid: entry.pointee.pid,
            stamp: entry.pointee.lastTime,
            arrival: entry.pointee.lastArrival
        )
        entry.pointee.model.windowEnds(context)
    }

    // MARK: End

    /// Evicts processes that have been quiet for long, after their suppressed findings are raised. A process with
    /// open calls is kept for their exits; only its series end. The time of the next check is part of the slots'
    /// state, so that a replay evicts at the same ticks.
    private mutating func forgetQuiet(arrival: EpochNanoseconds) {
        let interval = Limits.quietCheckSeconds * 1_000_000_000
        let limit = arrival &- Limits.processQuietSeconds * 1_000_000_000
        for slot in 0..<Slot.count
        where (totals[slot].processes > 0 || !hosts.isEmpty(slot: slot))
            && totals[slot].quietCheck <= arrival &- interval
        {
            totals[slot].quietCheck = arrival
            if hosts.endUnused(slot: slot) { endSeries(of: slot) }
            for entry in table.entries(of: UInt8(slot)) where entry.pointee.lastHeard < limit {
                if entry.pointee.model.staysWhenQuiet {
                    expire(entry)
                } else {
                    tick(entry, arrival: arrival, isLast: true)
                    entry.pointee.isGone = true
                }
            }
            _ = forgetGone(of: UInt8(slot))
        }
    }

    private func expire(_ entry: Entry) {
        guard !entry.pointee.isExpired else { return }
        entry.pointee.isExpired = true
        endSeries(of: Int(entry.pointee.slot))
    }

    private func endSeries(of slot: Int) {
        totals[slot].isFullNeeded = true
        totals[slot].isDirty = true
    }

    /// Evicts the processes of evicted hosts. O(processes).
    @inline(never) mutating func forgetHosts() {
        files.acknowledgeEvictions()
        var hosts: Set<UInt32> = []
        for slot in 0..<Slot.count where totals[slot].processes > 0 {
            for entry in table.entries(of: UInt8(slot)) where files.isEvicted(entry.pointee.host) {
                entry.pointee.isGone = true
                if hosts.insert(entry.pointee.host.index).inserted {
                    totals[slot].hostsEvicted += 1
                }
            }
            totals[slot].processesEvicted += forgetGone(of: UInt8(slot))
        }
        for slot in 0..<Slot.count where self.hosts.end(slot: slot, isEvicted: files.isEvicted) {
            endSeries(of: slot)
        }
    }

    /// Removes the processes of a slot that are marked as gone, and their series. Returns their number. O(processes
    /// of the slot).
    mutating func forgetGone(of slot: UInt8) -> UInt64 {
        let gone = table.entries(of: slot).filter { $0.pointee.isGone }
        guard !gone.isEmpty else { return 0 }
        var summary = evicted.removeValue(forKey: slot) ?? Self.noneEvicted
        for (place, entry) in gone.enumerated() {
            ProcessTable<Model>.prefetchEntry(of: gone, place + 8)
            writeWaiting(entry)
            SummaryBuilder.count(entry, files, in: &summary)
            totals[Int(slot)].stateBytes -= entry.pointee.chargedBytes
            stateBytes -= entry.pointee.chargedBytes
            totals[Int(slot)].processes -= 1
            hosts.remove(entry.pointee.host, slot: slot)
        }
        evicted[slot] = summary
        totals[Int(slot)].isFullNeeded = true
        totals[Int(slot)].isDirty = true
        dirty[Int(slot)].removeAll { $0.pointee.isGone }
        ticking[Int(slot)].removeAll { $0.pointee.isGone }
        table.remove(gone, of: slot)
        processesGone += gone.count
        return UInt64(gone.count)
    }

    private static var noneEvicted: WindowSummary {
        var summary = WindowSummary(Model.Event.resource)
        summary.hold(overallWithin: Limits.summaryEvictedBytesMax)
        return summary
    }

    /// Returns what the window's evicted processes did, in the order of their slots, and resets it.
    mutating func takeEvicted() -> [WindowSummary] {
        defer { evicted.removeAll() }
        return evicted.keys.sorted().compactMap { evicted[$0] }
    }

    /// Removes the state of a slot that another worker owns now.
    mutating func drop(slot: UInt8) {
        dirty[Int(slot)].removeAll()
        ticking[Int(slot)].removeAll()
        stateBytes -= totals[Int(slot)].stateBytes
        let entries = table.entries(of: slot)
        for entry in entries { entry.pointee.isGone = true }
        table.remove(entries, of: slot)
        hosts.drop(slot: slot)
        evicted[slot] = nil
        totals[Int(slot)] = SlotTotals()
    }
}
