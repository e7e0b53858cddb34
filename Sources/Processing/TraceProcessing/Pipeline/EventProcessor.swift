import AnomalyRules
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceTime
import TraceWire

/// The pipeline that all six processors share; a resource's `ProcessModel` supplies what is specific to it.
@safe
final class EventProcessor<Model: ProcessModel & ~Copyable>: TraceProcessor {
    let resource: Resource
    let files: TraceFileManager

    @exclusivity(unchecked) private var table = ProcessTable<Model>()
    @exclusivity(unchecked) private var buffer = EventBuffer<Model.Event>()
    @exclusivity(unchecked) private var parser: TimestampParser
    private let texts: EventTexts
    private let totals = UnsafeMutablePointer<SlotTotals>.allocate(capacity: Slot.count)
    /// The processes that changed since their last collection, by slot.
    @exclusivity(unchecked) private var dirty = unsafe [[ProcessTable<Model>.Entry]](
        repeating: [],
        count: Slot.count
    )
    /// The series that describe slots as a whole, as last reported.
    private var slotSeries = [SeriesSet](repeating: SeriesSet(), count: Slot.count)
    /// The processes that ticks visit, by slot.
    @exclusivity(unchecked) private var ticking = unsafe [[ProcessTable<Model>.Entry]](
        repeating: [],
        count: Slot.count
    )
    /// The bounds of the state, in bytes.
    private let budget: StateBudget
    /// The bytes that the state of all slots takes.
    @safe @exclusivity(unchecked) private(set) var stateBytes = 0
    var rules = RuleSet() {
        didSet {
            for unsafeentry in unsafe table.entries {
                unsafe entry.pointee.rules = unsafe thresholds(of: entry)
            }
        }
    }
    /// What evicted processes did in the open window, by slot.
    private var evicted: [UInt8: WindowSummary] = [:]
    private var timing = BatchTiming()
    /// Weak, as the observer usually owns this processor.
    weak var observer: (any BatchObserver)?
    private(set) var processesGone = 0

    init(files: TraceFileManager, zone: TimeZoneRules, budget: StateBudget) {
        resource = Model.Event.resource
        self.budget = budget
        self.files = files
        unsafe parser = TimestampParser(zone: zone)
        texts = EventTexts.allocate(zone: zone)
        unsafe totals.initialize(repeating: SlotTotals(), count: Slot.count)
    }

    deinit {
        unsafe totals.deallocate()
        texts.deallocate()
    }

    var totalTraces: UInt64 { (0..<Slot.count).reduce(0) { unsafe $0 + totals[$1].events } }

    // MARK: Batches

    // It is called through a protocol, so without these the compiler would emit one generic body for all models.
    @_specialize(where Model == FunctionModel) @_specialize(where Model == CPUModel)
    @_specialize(where Model == MemoryModel) @_specialize(where Model == NetworkModel)
    @_specialize(where Model == IOModel) @_specialize(where Model == GPUModel) func processTraces(
        _ traces: TraceBatchView,
        isLastBatch: Bool
    ) throws -> Int {
        let started = WallClock.monotonic()
        if files.hasEvictedHosts { forgetHosts() }
        let hasNames = unsafe buffer.decode(traces.bytes, arrival: traces.arrival, parser: &parser)
        if hasNames { takeNames(of: traces) }
        let count = unsafe buffer.count
        defer { unsafe buffer.shrink() }
        try applyAll(of: traces)
        timing.record(events: count, nanoseconds: WallClock.monotonic() - started)
        return count
    }

    /// Applies the decoded events in order.
    @inline(__always) private func applyAll(of traces: TraceBatchView) throws {
        guard unsafe buffer.count > 0 else { return }
        let first = unsafe buffer[0]
        var context = unsafe context(
            of: entry(of: first.pid, time: first.time, traces: traces),
            tid: first.pid,
            stamp: first.time,
            arrival: traces.arrival,
            semantics: traces.semantics
        )
        var ahead = Prefetcher<Model>(host: traces.host, processesGone: processesGone)
        for place in unsafe -Prefetcher<Model>.lead..<buffer.count {
            if Model.looks > 0 {
                unsafe ahead.step(
                    to: place,
                    in: buffer,
                    table,
                    totals,
                    processesGone: processesGone
                )
            }
            guard place >= 0 else { continue }
            let rank = unsafe buffer[place]
            unsafe apply(buffer.event(rank), rank, found: ahead.result(place), of: traces, &context)
            if files.needsFlush { try writeRows() }
            if place % Limits.progressEvents == Limits.progressEvents - 1 { observer?.advanced() }
        }
    }

    /// Writes buffered rows. If that fails, no further event is applied until it succeeds, so that rows in memory
    /// stay bounded.
    @inline(never) private func writeRows() throws {
        do throws(SystemError) { try files.flush(.full) } catch {
            guard let observer else { throw error }
            try observer.writeRows(after: error)
        }
    }

    @inline(__always) private func apply(
        _ event: UnsafePointer<Model.Event>,
        _ rank: EventBuffer<Model.Event>.Rank,
        found: Int,
        of traces: TraceBatchView,
        _ context: inout EventContext
    ) {
        let time = rank.time
        let entry = unsafe entry(of: rank.pid, time: time, traces: traces)
        unsafe move(&context, to: entry, tid: event.pointee.threadID, stamp: time, found: found)
        unsafe context.totals.pointee.events += 1
        unsafe context.totals.pointee.isDirty = true
        if rank.isTimeInvalid { unsafe context.totals.pointee.timestampsInvalid += 1 }
        let isFirstInWindow = unsafe entry.pointee.namedWindow != files.window
        unsafe entry.pointee.activity.pointee.note(time)
        if isFirstInWindow { unsafe entry.pointee.model.windowBegins(&context) }
        unsafe entry.pointee.model.apply(event, &context)
        if context.isRenamed { unsafe takeName(entry, context) }
        if isFirstInWindow || context.isRenamed { unsafe name(entry, context) }
        unsafe entry.pointee.threads.note(
            context,
            window: files.window,
            name: entry.pointee.name,
            given: entry.pointee.given
        )
        unsafe entry.pointee.lastHeard = traces.arrival
        // The clock of the process must not exceed the arrival.
        let clock = min(context.time, traces.arrival)
        if unsafe clock >= entry.pointee.lastTime {
            unsafe entry.pointee.lastTime = clock
            unsafe entry.pointee.lastArrival = traces.arrival
        }
        if unsafe !entry.pointee.isDirty { unsafe beginChanges(entry) }
        if unsafe entry.pointee.model.needsTicks, unsafe !entry.pointee.isTicking {
            unsafe beginTicking(entry)
        }
        if unsafe context.totals.pointee.hasSuppressed { unsafe awaitCooldowns(entry) }
        // Depends on the process's own events, so that it is independent of what else the worker has.
        let events = unsafe entry.pointee.activity.pointee.events
        if events < Limits.chargedEvents || events % Limits.chargedEvents == 0 {
            unsafe charge(entry, at: traces.arrival)
        }
    }

    /// Makes ticks visit the process until its suppressed findings are raised.
    @inline(never) private func awaitCooldowns(_ entry: ProcessTable<Model>.Entry) {
        unsafe totals[Int(entry.pointee.slot)].hasSuppressed = false
        if unsafe entry.pointee.needsTicks, unsafe !entry.pointee.isTicking {
            unsafe beginTicking(entry)
        }
    }

    private func context(
        of entry: ProcessTable<Model>.Entry,
        tid: UInt32,
        stamp: EpochNanoseconds,
        arrival: EpochNanoseconds,
        semantics: Semantics = .cumulative
    ) -> EventContext {
        unsafe EventContext(
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

    /// Changes the context of one event into that of another event of the same batch.
    @inline(__always) private func move(
        _ context: inout EventContext,
        to entry: ProcessTable<Model>.Entry,
        tid: UInt32,
        stamp: EpochNanoseconds,
        found: Int
    ) {
        unsafe context.move(
            to: entry.pointee.pid,
            pidText: entry.pointee.pidText,
            tid: tid,
            stamp: stamp,
            totals: totals + Int(entry.pointee.slot),
            activity: entry.pointee.activity,
            givenName: entry.pointee.given.processText,
            suppressed: entry.pointee.suppressed,
            rules: entry.pointee.rules,
            found: found
        )
    }

    private func beginChanges(_ entry: ProcessTable<Model>.Entry) {
        unsafe entry.pointee.isDirty = true
        unsafe dirty[Int(entry.pointee.slot)].append(entry)
        guard unsafe entry.pointee.isExpired else { return }
        unsafe entry.pointee.isExpired = false
        unsafe entry.pointee.isShown = false
    }

    /// Applies a new name of the process: the series shown under the old one end.
    private func takeName(_ entry: ProcessTable<Model>.Entry, _ context: EventContext) {
        unsafe entry.pointee.rules = unsafe context.rules
        guard unsafe entry.pointee.isShown else { return }
        unsafe entry.pointee.isShown = false
        unsafe totals[Int(entry.pointee.slot)].isFullNeeded = true
    }

    @inline(__always) private func entry(
        of pid: UInt32,
        time: EpochNanoseconds,
        traces: TraceBatchView
    ) -> ProcessTable<Model>.Entry {
        if let known = unsafe table.find(host: traces.host, pid: pid) { return unsafe known }
        return unsafe newEntry(of: pid, time: time, traces: traces)
    }

    private func newEntry(
        of pid: UInt32,
        time: EpochNanoseconds,
        traces: TraceBatchView
    ) -> ProcessTable<Model>.Entry {
        let slot = Slot.of(hostHash: traces.hostHash, processID: pid)
        unsafe totals[Int(slot)].processes += 1
        let entry = unsafe ProcessEntry.initialize(
            in: table.takeMemory(),
            host: traces.host,
            pid: pid,
            slot: slot,
            rules: rules.thresholds(comm: .empty, host: files.hostName(traces.host), pid: pid),
            model: Model(),
            time: time,
            arrival: traces.arrival
        )
        unsafe table.insert(entry)
        return unsafe entry
    }

    // MARK: Bounds

    /// Charges the process's slot with the process's current size. If that exceeds a bound, entries are evicted, but
    /// never the process itself. This has to be the last step of an event.
    @inline(__always) private func charge(
        _ entry: ProcessTable<Model>.Entry,
        at arrival: EpochNanoseconds
    ) {
        let bytes = unsafe entry.pointee.stateBytes
        let growth = unsafe bytes &- entry.pointee.chargedBytes
        guard growth != 0 else { return }
        unsafe entry.pointee.chargedBytes = bytes
        let slot = unsafe entry.pointee.slot
        unsafe totals[Int(slot)].stateBytes &+= growth
        stateBytes &+= growth
        if unsafe totals[Int(slot)].stateBytes > budget.slotBytesMax || stateBytes > budget.bytesMax
        {
            unsafe relieve(slot, sparing: entry, at: arrival)
        }
    }

    /// Evicts entries of the slot if it exceeds its bound, then of the largest slots if their sum exceeds its bound.
    @inline(never) private func relieve(
        _ slot: UInt8,
        sparing entry: ProcessTable<Model>.Entry,
        at arrival: EpochNanoseconds
    ) {
        if unsafe totals[Int(slot)].stateBytes > budget.slotBytesMax {
            let bytes = StateBudget.given(upOf: budget.slotBytesMax)
            unsafe sweep(slot, freeing: bytes, sparing: entry, at: arrival)
        }
        while stateBytes > budget.bytesMax {
            let largest = (0..<Slot.count).max {
                unsafe totals[$0].stateBytes < totals[$1].stateBytes
            }
            guard let largest, unsafe totals[largest].stateBytes > budget.slotBytesMin else {
                return
            }
            let before = unsafe totals[largest]
            unsafe sweep(
                UInt8(largest),
                freeing: StateBudget.given(upOf: before.stateBytes),
                sparing: entry,
                at: arrival
            )
            unsafe totals[largest].bookEvictions(since: before)
            guard unsafe totals[largest].stateBytes < before.stateBytes else { return }
        }
    }

    /// Evicts the least recently used entries until `bytes` are freed: entries of the process that takes more than
    /// half of the slot if there is one, so that no other process is affected, else of all processes. If that frees
    /// less than a quarter of it, as entries are in use, everything that can be evicted is.
    private func sweep(
        _ slot: UInt8,
        freeing bytes: Int,
        sparing current: ProcessTable<Model>.Entry,
        at arrival: EpochNanoseconds
    ) {
        let before = unsafe totals[Int(slot)].stateBytes
        unsafe sweepOnce(slot, freeing: bytes, sparing: current, at: arrival)
        guard unsafe before - totals[Int(slot)].stateBytes < bytes / 4 else { return }
        unsafe sweepOnce(slot, freeing: .max, sparing: current, at: arrival)
    }

    private func sweepOnce(
        _ slot: UInt8,
        freeing bytes: Int,
        sparing current: ProcessTable<Model>.Entry,
        at arrival: EpochNanoseconds
    ) {
        // Saved because rows of the current event are being written.
        let saved = texts.saved
        defer { texts.saved = saved }
        let all = unsafe table.entries(of: slot)
        let largest = unsafe all.first {
            unsafe $0.pointee.chargedBytes > totals[Int(slot)].stateBytes / 2
        }
        let entries = unsafe largest.map { unsafe [$0] } ?? all
        var sweep = StateSweep(at: arrival)
        for place in unsafe entries.indices {
            let entry = unsafe entries[place]
            unsafe Self.prefetchEntry(of: entries, place + 8, isWhole: Model.givesWay)
            if unsafe largest == nil, unsafe entry != current {
                unsafe sweep.note(
                    StateSweep.stamp(entry.pointee.lastHeard),
                    bytes: Model.givesWay ? entry.pointee.ownBytes : entry.pointee.chargedBytes
                )
            }
            if Model.givesWay { unsafe entry.pointee.model.noteEntries(&sweep) }
        }
        sweep.decide(freeing: bytes)
        for unsafeentry in unsafe entries {
            if unsafe largest == nil, unsafe entry != current,
                unsafe sweep.takes(
                    StateSweep.stamp(entry.pointee.lastHeard),
                    bytes: entry.pointee.chargedBytes
                )
            {
                unsafe entry.pointee.isGone = true
            } else if Model.givesWay {
                unsafe giveUp(entry, &sweep, arrival)
            }
        }
        unsafe totals[Int(slot)].processesEvicted += forgetGone(of: slot)
        unsafe totals[Int(slot)].isFullNeeded = true
        unsafe totals[Int(slot)].isDirty = true
    }

    /// Prefetches what sweeps and summaries read of a process that is visited soon. The position may be out of range.
    @inline(__always) private static func prefetchEntry(
        of entries: some RandomAccessCollection<ProcessTable<Model>.Entry>,
        _ place: Int,
        isWhole: Bool = true
    ) {
        guard place < entries.count else { return }
        let entry = unsafe entries[entries.index(entries.startIndex, offsetBy: place)]
        unsafe prefetch(entry, byteCount: isWhole ? ProcessEntry<Model>.memoryBytes : 1)
    }

    private func giveUp(
        _ entry: ProcessTable<Model>.Entry,
        _ sweep: inout StateSweep,
        _ arrival: EpochNanoseconds
    ) {
        let owner = unsafe StateOwner(
            totals: totals + Int(entry.pointee.slot),
            activity: entry.pointee.activity,
            suppressed: entry.pointee.suppressed
        )
        unsafe entry.pointee.model.giveUp(&sweep, owner) {
            unsafe context(
                of: entry,
                tid: entry.pointee.pid,
                stamp: entry.pointee.lastTime,
                arrival: arrival
            )
        }
        let bytes = unsafe entry.pointee.stateBytes
        let growth = unsafe bytes - entry.pointee.chargedBytes
        unsafe entry.pointee.chargedBytes = bytes
        unsafe totals[Int(entry.pointee.slot)].stateBytes += growth
        stateBytes += growth
        if growth < 0, unsafe !entry.pointee.isDirty { unsafe beginChanges(entry) }
    }

    private var noneEvicted: WindowSummary {
        var summary = WindowSummary(resource)
        summary.hold(overallWithin: Limits.summaryEvictedBytesMax)
        return summary
    }

    /// Removes the processes of a slot that are marked as gone, and their series. Returns their number. O(processes
    /// of the slot).
    private func forgetGone(of slot: UInt8) -> UInt64 {
        let gone = unsafe table.entries(of: slot).filter { unsafe $0.pointee.isGone }
        guard unsafe !gone.isEmpty else { return 0 }
        for unsafe(place, entry) in unsafe gone.enumerated() {
            unsafe Self.prefetchEntry(of: gone, place + 8)
            unsafe writeWaiting(entry)
            let host = unsafe files.hostName(entry.pointee.host)
            unsafe SummaryBuilder.count(entry, host: host, in: &evicted[slot, default: noneEvicted])
            unsafe totals[Int(slot)].stateBytes -= entry.pointee.chargedBytes
            unsafe stateBytes -= entry.pointee.chargedBytes
            unsafe totals[Int(slot)].processes -= 1
        }
        unsafe totals[Int(slot)].isFullNeeded = true
        unsafe totals[Int(slot)].isDirty = true
        unsafe dirty[Int(slot)].removeAll { unsafe $0.pointee.isGone }
        unsafe ticking[Int(slot)].removeAll { unsafe $0.pointee.isGone }
        unsafe table.remove(gone, of: slot)
        unsafe processesGone += gone.count
        return unsafe UInt64(gone.count)
    }

    /// Evicts the processes of evicted hosts. O(processes).
    @inline(never) private func forgetHosts() {
        files.acknowledgeEvictions()
        var hosts: Set<UInt32> = []
        for slot in 0..<Slot.count where unsafe totals[slot].processes > 0 {
            for unsafeentry in unsafe table.entries(of: UInt8(slot))
            where unsafe files.isEvicted(entry.pointee.host) {
                unsafe entry.pointee.isGone = true
                if unsafe hosts.insert(entry.pointee.host.index).inserted {
                    unsafe totals[slot].hostsEvicted += 1
                }
            }
            unsafe totals[slot].processesEvicted += forgetGone(of: UInt8(slot))
        }
    }

    private func name(_ entry: ProcessTable<Model>.Entry, _ context: EventContext) {
        unsafe entry.pointee.namedWindow = files.window
        if unsafe entry.pointee.given.sortIndex != 0 {
            unsafe files.sortProcess(
                host: context.host,
                pid: context.pid,
                index: entry.pointee.given.sortIndex
            )
        }
        let name = unsafe entry.pointee.name
        guard name.isEmpty else {
            return files.nameProcess(host: context.host, pid: context.pid, name: name)
        }
        var text = "pid-\(context.pid)"
        text.withUTF8 {
            unsafe files.nameProcess(
                host: context.host,
                pid: context.pid,
                name: ByteView(UnsafeRawBufferPointer($0))
            )
        }
    }

    // MARK: Names

    /// Applies the names that agents give processes and threads. An unknown process is created to hold its name; one
    /// that is shown already continues under the new name.
    @inline(never) private func takeNames(of traces: TraceBatchView) {
        var names = unsafe NameFields(in: traces.bytes)
        while let (_, name) = names.next() {
            let entry =
                unsafe table.find(host: traces.host, pid: name.processID)
                ?? newEntry(of: name.processID, time: .min, traces: traces)
            unsafe entry.pointee.lastHeard = traces.arrival
            let kept = GivenNames.kept(name.name)
            if kept.count < name.name.count {
                unsafe totals[Int(entry.pointee.slot)].namesCut += 1
                unsafe totals[Int(entry.pointee.slot)].isDirty = true
            }
            if name.threadID == 0 {
                unsafe rename(entry, to: kept, sortIndex: name.sortIndex)
            } else {
                unsafe rename(thread: name.threadID, of: entry, to: kept)
            }
            unsafe charge(entry, at: traces.arrival)
        }
    }

    private func rename(thread tid: UInt32, of entry: ProcessTable<Model>.Entry, to name: ByteView)
    {
        unsafe entry.pointee.given.name(thread: tid, name)
        guard unsafe entry.pointee.threads.isNamed(tid, window: files.window) else { return }
        unsafe files.nameThread(
            host: entry.pointee.host,
            pid: entry.pointee.pid,
            tid: tid,
            name: name
        )
    }

    private func rename(_ entry: ProcessTable<Model>.Entry, to name: ByteView, sortIndex: Int32) {
        guard unsafe entry.pointee.given.name(process: name, sortIndex: sortIndex) else { return }
        unsafe entry.pointee.rules = unsafe thresholds(of: entry)
        guard unsafe entry.pointee.model.processName().isEmpty else { return }
        if unsafe entry.pointee.namedWindow == files.window {
            unsafe files.nameProcess(
                host: entry.pointee.host,
                pid: entry.pointee.pid,
                name: entry.pointee.name
            )
        }
        guard unsafe entry.pointee.isShown else { return }
        unsafe entry.pointee.isShown = false
        unsafe totals[Int(entry.pointee.slot)].isFullNeeded = true
        unsafe totals[Int(entry.pointee.slot)].isDirty = true
    }

    // MARK: Time and windows

    func tick(arrival: EpochNanoseconds) throws {
        for slot in unsafe ticking.indices where unsafe !ticking[slot].isEmpty {
            for unsafeentry in unsafe ticking[slot] { unsafe tick(entry, arrival: arrival) }
            unsafe ticking[slot].removeAll {
                unsafe $0.pointee.isTicking = unsafe $0.pointee.needsTicks
                return unsafe !$0.pointee.isTicking
            }
        }
        forgetQuiet(arrival: arrival)
        try files.flush(.tick)
    }

    /// Evicts processes that have been quiet for long, after their suppressed findings are raised. A process with
    /// open calls is kept for their exits; only its series end. The time of the next check is part of the slots'
    /// state, so that a replay evicts at the same ticks.
    private func forgetQuiet(arrival: EpochNanoseconds) {
        let interval = Limits.quietCheckSeconds * 1_000_000_000
        let limit = arrival &- Limits.processQuietSeconds * 1_000_000_000
        for slot in 0..<Slot.count
        where unsafe totals[slot].processes > 0 && totals[slot].quietCheck <= arrival &- interval {
            unsafe totals[slot].quietCheck = arrival
            for unsafeentry in unsafe table.entries(of: UInt8(slot))
            where unsafe entry.pointee.lastHeard < limit {
                if unsafe entry.pointee.model.staysWhenQuiet {
                    unsafe expire(entry)
                } else {
                    unsafe tick(entry, arrival: arrival, isLast: true)
                    unsafe entry.pointee.isGone = true
                }
            }
            _ = forgetGone(of: UInt8(slot))
        }
    }

    private func expire(_ entry: ProcessTable<Model>.Entry) {
        guard unsafe !entry.pointee.isExpired else { return }
        unsafe entry.pointee.isExpired = true
        let slot = unsafe totals + Int(entry.pointee.slot)
        unsafe slot.pointee.isFullNeeded = true
        unsafe slot.pointee.isDirty = true
    }

    private func beginTicking(_ entry: ProcessTable<Model>.Entry) {
        unsafe entry.pointee.isTicking = true
        unsafe ticking[Int(entry.pointee.slot)].append(entry)
    }

    /// Advances the process's clock. It continues from the newest event's time by the time passed since that event's
    /// arrival, so that replayed or old data does not look like a process that has stood still.
    private func tick(
        _ entry: ProcessTable<Model>.Entry,
        arrival: EpochNanoseconds,
        isLast: Bool = false
    ) {
        if isLast, unsafe entry.pointee.suppressed.pointee.isEmpty { return }
        let passed = unsafe max(0, arrival &- entry.pointee.lastArrival)
        let (now, overflow) = unsafe entry.pointee.lastTime.addingReportingOverflow(passed)
        guard !overflow else { return }
        var context = unsafe context(
            of: entry,
            tid: entry.pointee.pid,
            stamp: now,
            arrival: arrival
        )
        let process = unsafe entry.pointee.model.processName()
        let hasEnded =
            isLast
            ? context.raiseSuppressed(process: process) : context.raiseEnded(process: process)
        let hasFound = unsafe entry.pointee.model.tick(context)
        guard hasEnded || hasFound, unsafe entry.pointee.namedWindow != files.window else { return }
        unsafe entry.pointee.model.windowBegins(&context)
        unsafe name(entry, context)
    }

    private func thresholds(of entry: ProcessTable<Model>.Entry) -> UnsafePointer<Thresholds> {
        unsafe rules.thresholds(
            comm: entry.pointee.name,
            host: files.hostName(entry.pointee.host),
            pid: entry.pointee.pid
        )
    }

    func finalize(stem: String, nextWindow: UInt64) throws -> [ClosedFile] {
        for unsafeentry in unsafe table.entries { unsafe writeWaiting(entry) }
        return try files.closeWindow(stem: stem, nextWindow: nextWindow)
    }

    /// Writes deferred rows, which otherwise wait for further events of the process.
    private func writeWaiting(_ entry: ProcessTable<Model>.Entry) {
        guard unsafe entry.pointee.model.hasRowsWaiting else { return }
        // Saved because a batch may be in progress.
        let saved = texts.saved
        defer { texts.saved = saved }
        let context = unsafe context(
            of: entry,
            tid: entry.pointee.pid,
            stamp: entry.pointee.lastTime,
            arrival: entry.pointee.lastArrival
        )
        unsafe entry.pointee.model.windowEnds(context)
    }

    func takeSummary() -> [UInt8] {
        var summary = WindowSummary(resource)
        for slot in evicted.keys.sorted() { evicted[slot].map { summary.merge($0) } }
        evicted.removeAll()
        let entries = unsafe table.entries
        for place in entries.indices {
            unsafe Self.prefetchEntry(of: entries, place + 4)
            let entry = unsafe entries[place]
            guard unsafe !entry.pointee.activity.pointee.isEmpty else { continue }
            unsafe SummaryBuilder.add(entry, host: files.hostName(entry.pointee.host), to: &summary)
        }
        guard !summary.isEmpty else { return [] }
        if Model.hasStanding {
            for unsafeentry in unsafe table.entries {
                let host = unsafe files.hostName(entry.pointee.host)
                unsafe SummaryBuilder.addStanding(entry, host: host, to: &summary)
            }
        }
        summary.keepTop()
        return summary.encoded
    }

    // MARK: Statistics

    func slotsToCollect(all: Bool) -> [UInt8] {
        (0..<Slot.count).filter { slot in
            unsafe totals[slot].isDirty || (all && totals[slot].events > 0)
        }
        .map { UInt8($0) }
    }

    func collectStats(slot: UInt8, isFull: Bool, lsn: LSN, into series: inout SeriesWriter) -> Bool
    {
        let own = unsafe totals + Int(slot)
        let isFull = unsafe isFull || own.pointee.isFullNeeded
        series.beginSection(slot: slot, lsn: lsn, isFull: isFull)
        series.begin(slotSeries[Int(slot)], count: SlotTotals.seriesMax, isOfSlot: true)
        unsafe own.pointee.collect(&series, of: resource)
        slotSeries[Int(slot)] = series.end()
        for unsafeentry in unsafe isFull ? table.entries(of: slot) : dirty[Int(slot)]
        where unsafe entry.pointee.hasEvents {
            if unsafe entry.pointee.isExpired {
                unsafe series.markQuiet(
                    host: files.hostName(entry.pointee.host),
                    pid: entry.pointee.pid
                )
            } else {
                unsafe collect(entry, isFull: isFull, into: &series)
            }
        }
        for unsafeentry in unsafe dirty[Int(slot)] { unsafe entry.pointee.isDirty = false }
        unsafe dirty[Int(slot)].removeAll(keepingCapacity: true)
        let isComplete = series.endSection()
        unsafe own.pointee.isFullNeeded = !isComplete
        unsafe own.pointee.isDirty = !isComplete
        return isComplete
    }

    private func collect(
        _ entry: ProcessTable<Model>.Entry,
        isFull: Bool,
        into series: inout SeriesWriter
    ) {
        let isNew = unsafe !entry.pointee.isShown
        unsafe series.use(
            host: files.hostName(entry.pointee.host),
            pid: entry.pointee.pid,
            name: entry.pointee.name,
            isNew: isNew
        )
        unsafe series.begin(entry.pointee.definedSeries, count: Model.seriesMax)
        unsafe entry.pointee.model.collect(&series)
        unsafe entry.pointee.definedSeries = series.end()
        unsafe entry.pointee.model.collectParts(&series, all: isFull || isNew)
        unsafe entry.pointee.isShown = true
    }

    func ownSamples() -> [MetricSample] {
        let samples = timing.samples(of: files.worker)
        guard files.rowsWithoutFile > 0 else { return samples }
        return samples + [
            MetricSample(
                family: .errorsTotal,
                labels: [LossKind.hostOverflow.rawValue],
                value: .counter(Double(files.rowsWithoutFile))
            )
        ]
    }

    // MARK: State

    func saveState(slot: UInt8, into buffer: inout RawBuffer) {
        unsafe totals[Int(slot)].encode(into: &buffer)
        (evicted[slot] ?? WindowSummary(resource)).encode(into: &buffer)
        let entries = unsafe table.entries(of: slot)
        unsafe buffer.append(integer: UInt32(entries.count))
        for unsafeentry in unsafe entries {
            let host = unsafe files.hostName(entry.pointee.host)
            buffer.append(integer: UInt16(host.utf8.count))
            buffer.append(host)
            unsafe buffer.append(byte: files.isThisMachine(entry.pointee.host) ? 1 : 0)
            unsafe buffer.append(integer: entry.pointee.pid)
            unsafe buffer.append(integer: entry.pointee.lastTime)
            unsafe buffer.append(integer: entry.pointee.lastArrival)
            unsafe buffer.append(integer: entry.pointee.lastHeard)
            unsafe buffer.append(integer: entry.pointee.namedWindow)
            unsafe entry.pointee.threads.encode(into: &buffer)
            unsafe entry.pointee.given.encode(into: &buffer)
            unsafe entry.pointee.activity.pointee.encode(into: &buffer)
            unsafe entry.pointee.suppressed.pointee.encode(into: &buffer)
            unsafe buffer.append(integer: UInt64(entry.pointee.chargedBytes))
            unsafe entry.pointee.model.encode(into: &buffer)
        }
    }

    func loadState(slot: UInt8, from reader: inout StateReader) throws {
        dropState(slot: slot)
        unsafe totals[Int(slot)] = try SlotTotals(decoding: &reader)
        var lost = try WindowSummary(decoding: &reader)
        lost.hold(overallWithin: Limits.summaryEvictedBytesMax)
        if !lost.isEmpty { evicted[slot] = lost }
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let length = Int(try reader.integer(UInt16.self))
            let name = unsafe ByteView(try reader.bytes(length))
            let isThisMachine = try reader.integer(UInt8.self) == 1
            // A host restored from a checkpoint has not sent anything now, so this is no use of it.
            let host = files.registerHost(name, isThisMachine: isThisMachine, countsAsUse: false)
            let pid = try reader.integer(UInt32.self)
            let time = try reader.integer(Int64.self)
            let arrival = try reader.integer(Int64.self)
            let heard = try reader.integer(Int64.self)
            let namedWindow = try reader.integer(UInt64.self)
            let threads = try ThreadNames(decoding: &reader)
            let given =
                reader.version > StateVersion.beforeDialects
                ? try GivenNames(decoding: &reader) : GivenNames()
            let activity = try WindowActivity(decoding: &reader)
            let suppressed =
                reader.version <= StateVersion.beforeDialects
                ? SuppressedFindings() : try SuppressedFindings(decoding: &reader)
            let charged =
                reader.version <= StateVersion.beforeDialects
                ? nil : Int(exactly: try reader.integer(UInt64.self))
            let model = try Model(decoding: &reader)
            let entry = unsafe ProcessEntry.initialize(
                in: table.takeMemory(),
                host: host,
                pid: pid,
                slot: slot,
                rules: rules.thresholds(comm: .empty, host: "", pid: pid),
                model: model,
                time: time,
                arrival: arrival
            )
            unsafe table.insert(entry)
            unsafe entry.pointee.given = given
            unsafe entry.pointee.rules = unsafe thresholds(of: entry)
            unsafe entry.pointee.suppressed.pointee = suppressed
            if unsafe entry.pointee.needsTicks { unsafe beginTicking(entry) }
            unsafe entry.pointee.lastHeard = heard
            unsafe entry.pointee.namedWindow = namedWindow
            unsafe entry.pointee.threads = threads
            unsafe entry.pointee.activity.pointee = activity
            unsafe totals[Int(slot)].processes += 1
            unsafe entry.pointee.chargedBytes = unsafe charged ?? entry.pointee.stateBytes
            unsafe totals[Int(slot)].stateBytes += entry.pointee.chargedBytes
            unsafe stateBytes += entry.pointee.chargedBytes
        }
        if files.hasEvictedHosts { forgetHosts() }
    }

    func dropState(slot: UInt8) {
        unsafe dirty[Int(slot)].removeAll()
        unsafe ticking[Int(slot)].removeAll()
        unsafe stateBytes -= totals[Int(slot)].stateBytes
        let entries = unsafe table.entries(of: slot)
        for unsafeentry in unsafe entries { unsafe entry.pointee.isGone = true }
        unsafe table.remove(entries, of: slot)
        evicted[slot] = nil
        unsafe totals[Int(slot)] = SlotTotals()
        slotSeries[Int(slot)] = SeriesSet()
    }
}
