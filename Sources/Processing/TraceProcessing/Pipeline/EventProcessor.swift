import AnomalyRules
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceTime
import TraceWire

/// The pipeline that all six processors share; a resource's `ProcessModel` supplies what is specific to it.
final class EventProcessor<Model: ProcessModel & ~Copyable>: TraceProcessor {
    let resource: Resource
    let files: TraceFileManager

    @exclusivity(unchecked) private var table = ProcessTable<Model>()
    @exclusivity(unchecked) private var buffer = EventBuffer<Model.Event>()
    @exclusivity(unchecked) private var parser: TimestampParser
    private let texts: EventTexts
    private let totals = UnsafeMutablePointer<SlotTotals>.allocate(capacity: Slot.count)
    /// The processes that changed since their last collection, by slot.
    @exclusivity(unchecked) private var dirty = [[ProcessTable<Model>.Entry]](
        repeating: [],
        count: Slot.count
    )
    /// The series that describe slots as a whole, as last reported.
    private var slotSeries = [SeriesSet](repeating: SeriesSet(), count: Slot.count)
    /// The processes that ticks visit, by slot.
    @exclusivity(unchecked) private var ticking = [[ProcessTable<Model>.Entry]](
        repeating: [],
        count: Slot.count
    )
    /// The bounds of the state, in bytes.
    private let budget: StateBudget
    /// The bytes that the state of all slots takes.
    @exclusivity(unchecked) private(set) var stateBytes = 0
    var rules = RuleSet() {
        didSet { for entry in table.entries { entry.pointee.rules = thresholds(of: entry) } }
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
        parser = TimestampParser(zone: zone)
        texts = EventTexts.allocate(zone: zone)
        totals.initialize(repeating: SlotTotals(), count: Slot.count)
    }

    deinit {
        totals.deallocate()
        texts.deallocate()
    }

    var totalTraces: UInt64 { (0..<Slot.count).reduce(0) { $0 + totals[$1].events } }

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
        let hasNames = buffer.decode(traces.bytes, arrival: traces.arrival, parser: &parser)
        if hasNames { takeNames(of: traces) }
        let count = buffer.count
        defer { buffer.shrink() }
        try applyAll(of: traces)
        timing.record(events: count, nanoseconds: WallClock.monotonic() - started)
        return count
    }

    /// Applies the decoded events in order.
    @inline(__always) private func applyAll(of traces: TraceBatchView) throws {
        guard buffer.count > 0 else { return }
        let first = buffer[0]
        var context = context(
            of: entry(of: first.pid, time: first.time, traces: traces),
            tid: first.pid,
            stamp: first.time,
            arrival: traces.arrival,
            semantics: traces.semantics
        )
        var ahead = Prefetcher<Model>(host: traces.host, processesGone: processesGone)
        for place in -Prefetcher<Model>.lead..<buffer.count {
            if Model.looks > 0 {
                ahead.step(to: place, in: buffer, table, totals, processesGone: processesGone)
            }
            guard place >= 0 else { continue }
            let rank = buffer[place]
            apply(buffer.event(rank), rank, found: ahead.result(place), of: traces, &context)
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
        let entry = entry(of: rank.pid, time: time, traces: traces)
        move(&context, to: entry, tid: event.pointee.threadID, stamp: time, found: found)
        context.totals.pointee.events += 1
        context.totals.pointee.isDirty = true
        if rank.isTimeInvalid { context.totals.pointee.timestampsInvalid += 1 }
        let isFirstInWindow = entry.pointee.namedWindow != files.window
        entry.pointee.activity.pointee.note(time)
        if isFirstInWindow { entry.pointee.model.windowBegins(&context) }
        entry.pointee.model.apply(event, &context)
        if context.isRenamed { takeName(entry, context) }
        if isFirstInWindow || context.isRenamed { name(entry, context) }
        entry.pointee.threads.note(
            context,
            window: files.window,
            name: entry.pointee.name,
            given: entry.pointee.given
        )
        entry.pointee.lastHeard = traces.arrival
        // The clock of the process must not exceed the arrival.
        let clock = min(context.time, traces.arrival)
        if clock >= entry.pointee.lastTime {
            entry.pointee.lastTime = clock
            entry.pointee.lastArrival = traces.arrival
        }
        if !entry.pointee.isDirty { beginChanges(entry) }
        if entry.pointee.model.needsTicks, !entry.pointee.isTicking { beginTicking(entry) }
        if context.totals.pointee.hasSuppressed { awaitCooldowns(entry) }
        // Depends on the process's own events, so that it is independent of what else the worker has.
        let events = entry.pointee.activity.pointee.events
        if events < Limits.chargedEvents || events % Limits.chargedEvents == 0 {
            charge(entry, at: traces.arrival)
        }
    }

    /// Makes ticks visit the process until its suppressed findings are raised.
    @inline(never) private func awaitCooldowns(_ entry: ProcessTable<Model>.Entry) {
        totals[Int(entry.pointee.slot)].hasSuppressed = false
        if entry.pointee.needsTicks, !entry.pointee.isTicking { beginTicking(entry) }
    }

    private func context(
        of entry: ProcessTable<Model>.Entry,
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

    /// Changes the context of one event into that of another event of the same batch.
    @inline(__always) private func move(
        _ context: inout EventContext,
        to entry: ProcessTable<Model>.Entry,
        tid: UInt32,
        stamp: EpochNanoseconds,
        found: Int
    ) {
        context.move(
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
        entry.pointee.isDirty = true
        dirty[Int(entry.pointee.slot)].append(entry)
        guard entry.pointee.isExpired else { return }
        entry.pointee.isExpired = false
        entry.pointee.isShown = false
    }

    /// Applies a new name of the process: the series shown under the old one end.
    private func takeName(_ entry: ProcessTable<Model>.Entry, _ context: EventContext) {
        entry.pointee.rules = context.rules
        guard entry.pointee.isShown else { return }
        entry.pointee.isShown = false
        totals[Int(entry.pointee.slot)].isFullNeeded = true
    }

    @inline(__always) private func entry(
        of pid: UInt32,
        time: EpochNanoseconds,
        traces: TraceBatchView
    ) -> ProcessTable<Model>.Entry {
        if let known = table.find(host: traces.host, pid: pid) { return known }
        return newEntry(of: pid, time: time, traces: traces)
    }

    private func newEntry(
        of pid: UInt32,
        time: EpochNanoseconds,
        traces: TraceBatchView
    ) -> ProcessTable<Model>.Entry {
        let slot = Slot.of(hostHash: traces.hostHash, processID: pid)
        totals[Int(slot)].processes += 1
        let entry = ProcessEntry.initialize(
            in: table.takeMemory(),
            host: traces.host,
            pid: pid,
            slot: slot,
            rules: rules.thresholds(comm: .empty, host: files.hostName(traces.host), pid: pid),
            model: Model(),
            time: time,
            arrival: traces.arrival
        )
        table.insert(entry)
        return entry
    }

    // MARK: Bounds

    /// Charges the process's slot with the process's current size. If that exceeds a bound, entries are evicted, but
    /// never the process itself. This has to be the last step of an event.
    @inline(__always) private func charge(
        _ entry: ProcessTable<Model>.Entry,
        at arrival: EpochNanoseconds
    ) {
        let bytes = entry.pointee.stateBytes
        let growth = bytes &- entry.pointee.chargedBytes
        guard growth != 0 else { return }
        entry.pointee.chargedBytes = bytes
        let slot = entry.pointee.slot
        totals[Int(slot)].stateBytes &+= growth
        stateBytes &+= growth
        if totals[Int(slot)].stateBytes > budget.slotBytesMax || stateBytes > budget.bytesMax {
            relieve(slot, sparing: entry, at: arrival)
        }
    }

    /// Evicts entries of the slot if it exceeds its bound, then of the largest slots if their sum exceeds its bound.
    @inline(never) private func relieve(
        _ slot: UInt8,
        sparing entry: ProcessTable<Model>.Entry,
        at arrival: EpochNanoseconds
    ) {
        if totals[Int(slot)].stateBytes > budget.slotBytesMax {
            let bytes = StateBudget.given(upOf: budget.slotBytesMax)
            sweep(slot, freeing: bytes, sparing: entry, at: arrival)
        }
        while stateBytes > budget.bytesMax {
            let largest = (0..<Slot.count).max { totals[$0].stateBytes < totals[$1].stateBytes }
            guard let largest, totals[largest].stateBytes > budget.slotBytesMin else { return }
            let before = totals[largest]
            sweep(
                UInt8(largest),
                freeing: StateBudget.given(upOf: before.stateBytes),
                sparing: entry,
                at: arrival
            )
            totals[largest].bookEvictions(since: before)
            guard totals[largest].stateBytes < before.stateBytes else { return }
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
        let before = totals[Int(slot)].stateBytes
        sweepOnce(slot, freeing: bytes, sparing: current, at: arrival)
        guard before - totals[Int(slot)].stateBytes < bytes / 4 else { return }
        sweepOnce(slot, freeing: .max, sparing: current, at: arrival)
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
        let all = table.entries(of: slot)
        let largest = all.first { $0.pointee.chargedBytes > totals[Int(slot)].stateBytes / 2 }
        let entries = largest.map { [$0] } ?? all
        var sweep = StateSweep(at: arrival)
        for place in entries.indices {
            let entry = entries[place]
            Self.prefetchEntry(of: entries, place + 8, isWhole: Model.givesWay)
            if largest == nil, entry != current {
                sweep.note(
                    StateSweep.stamp(entry.pointee.lastHeard),
                    bytes: Model.givesWay ? entry.pointee.ownBytes : entry.pointee.chargedBytes
                )
            }
            if Model.givesWay { entry.pointee.model.noteEntries(&sweep) }
        }
        sweep.decide(freeing: bytes)
        for entry in entries {
            if largest == nil, entry != current,
                sweep.takes(
                    StateSweep.stamp(entry.pointee.lastHeard),
                    bytes: entry.pointee.chargedBytes
                )
            {
                entry.pointee.isGone = true
            } else if Model.givesWay {
                giveUp(entry, &sweep, arrival)
            }
        }
        totals[Int(slot)].processesEvicted += forgetGone(of: slot)
        totals[Int(slot)].isFullNeeded = true
        totals[Int(slot)].isDirty = true
    }

    /// Prefetches what sweeps and summaries read of a process that is visited soon. The position may be out of range.
    @inline(__always) private static func prefetchEntry(
        of entries: some RandomAccessCollection<ProcessTable<Model>.Entry>,
        _ place: Int,
        isWhole: Bool = true
    ) {
        guard place < entries.count else { return }
        let entry = entries[entries.index(entries.startIndex, offsetBy: place)]
        prefetch(entry, byteCount: isWhole ? ProcessEntry<Model>.memoryBytes : 1)
    }

    private func giveUp(
        _ entry: ProcessTable<Model>.Entry,
        _ sweep: inout StateSweep,
        _ arrival: EpochNanoseconds
    ) {
        let owner = StateOwner(
            totals: totals + Int(entry.pointee.slot),
            activity: entry.pointee.activity,
            suppressed: entry.pointee.suppressed
        )
        entry.pointee.model.giveUp(&sweep, owner) {
            context(
                of: entry,
                tid: entry.pointee.pid,
                stamp: entry.pointee.lastTime,
                arrival: arrival
            )
        }
        let bytes = entry.pointee.stateBytes
        let growth = bytes - entry.pointee.chargedBytes
        entry.pointee.chargedBytes = bytes
        totals[Int(entry.pointee.slot)].stateBytes += growth
        stateBytes += growth
        if growth < 0, !entry.pointee.isDirty { beginChanges(entry) }
    }

    private var noneEvicted: WindowSummary {
        var summary = WindowSummary(resource)
        summary.hold(overallWithin: Limits.summaryEvictedBytesMax)
        return summary
    }

    /// Removes the processes of a slot that are marked as gone, and their series. Returns their number. O(processes
    /// of the slot).
    private func forgetGone(of slot: UInt8) -> UInt64 {
        let gone = table.entries(of: slot).filter { $0.pointee.isGone }
        guard !gone.isEmpty else { return 0 }
        for (place, entry) in gone.enumerated() {
            Self.prefetchEntry(of: gone, place + 8)
            writeWaiting(entry)
            let host = files.hostName(entry.pointee.host)
            SummaryBuilder.count(entry, host: host, in: &evicted[slot, default: noneEvicted])
            totals[Int(slot)].stateBytes -= entry.pointee.chargedBytes
            stateBytes -= entry.pointee.chargedBytes
            totals[Int(slot)].processes -= 1
        }
        totals[Int(slot)].isFullNeeded = true
        totals[Int(slot)].isDirty = true
        dirty[Int(slot)].removeAll { $0.pointee.isGone }
        ticking[Int(slot)].removeAll { $0.pointee.isGone }
        table.remove(gone, of: slot)
        processesGone += gone.count
        return UInt64(gone.count)
    }

    /// Evicts the processes of evicted hosts. O(processes).
    @inline(never) private func forgetHosts() {
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
    }

    private func name(_ entry: ProcessTable<Model>.Entry, _ context: EventContext) {
        entry.pointee.namedWindow = files.window
        if entry.pointee.given.sortIndex != 0 {
            files.sortProcess(
                host: context.host,
                pid: context.pid,
                index: entry.pointee.given.sortIndex
            )
        }
        let name = entry.pointee.name
        guard name.isEmpty else {
            return files.nameProcess(host: context.host, pid: context.pid, name: name)
        }
        var text = "pid-\(context.pid)"
        text.withUTF8 {
            files.nameProcess(
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
        var names = NameFields(in: traces.bytes)
        while let (_, name) = names.next() {
            let entry =
                table.find(host: traces.host, pid: name.processID)
                ?? newEntry(of: name.processID, time: .min, traces: traces)
            entry.pointee.lastHeard = traces.arrival
            let kept = GivenNames.kept(name.name)
            if kept.count < name.name.count {
                totals[Int(entry.pointee.slot)].namesCut += 1
                totals[Int(entry.pointee.slot)].isDirty = true
            }
            if name.threadID == 0 {
                rename(entry, to: kept, sortIndex: name.sortIndex)
            } else {
                rename(thread: name.threadID, of: entry, to: kept)
            }
            charge(entry, at: traces.arrival)
        }
    }

    private func rename(thread tid: UInt32, of entry: ProcessTable<Model>.Entry, to name: ByteView)
    {
        entry.pointee.given.name(thread: tid, name)
        guard entry.pointee.threads.isNamed(tid, window: files.window) else { return }
        files.nameThread(host: entry.pointee.host, pid: entry.pointee.pid, tid: tid, name: name)
    }

    private func rename(_ entry: ProcessTable<Model>.Entry, to name: ByteView, sortIndex: Int32) {
        guard entry.pointee.given.name(process: name, sortIndex: sortIndex) else { return }
        entry.pointee.rules = thresholds(of: entry)
        guard entry.pointee.model.processName().isEmpty else { return }
        if entry.pointee.namedWindow == files.window {
            files.nameProcess(
                host: entry.pointee.host,
                pid: entry.pointee.pid,
                name: entry.pointee.name
            )
        }
        guard entry.pointee.isShown else { return }
        entry.pointee.isShown = false
        totals[Int(entry.pointee.slot)].isFullNeeded = true
        totals[Int(entry.pointee.slot)].isDirty = true
    }

    // MARK: Time and windows

    func tick(arrival: EpochNanoseconds) throws {
        for slot in ticking.indices where !ticking[slot].isEmpty {
            for entry in ticking[slot] { tick(entry, arrival: arrival) }
            ticking[slot].removeAll {
                $0.pointee.isTicking = $0.pointee.needsTicks
                return !$0.pointee.isTicking
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
        where totals[slot].processes > 0 && totals[slot].quietCheck <= arrival &- interval {
            totals[slot].quietCheck = arrival
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

    private func expire(_ entry: ProcessTable<Model>.Entry) {
        guard !entry.pointee.isExpired else { return }
        entry.pointee.isExpired = true
        let slot = totals + Int(entry.pointee.slot)
        slot.pointee.isFullNeeded = true
        slot.pointee.isDirty = true
    }

    private func beginTicking(_ entry: ProcessTable<Model>.Entry) {
        entry.pointee.isTicking = true
        ticking[Int(entry.pointee.slot)].append(entry)
    }

    /// Advances the process's clock. It continues from the newest event's time by the time passed since that event's
    /// arrival, so that replayed or old data does not look like a process that has stood still.
    private func tick(
        _ entry: ProcessTable<Model>.Entry,
        arrival: EpochNanoseconds,
        isLast: Bool = false
    ) {
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

    private func thresholds(of entry: ProcessTable<Model>.Entry) -> UnsafePointer<Thresholds> {
        rules.thresholds(
            comm: entry.pointee.name,
            host: files.hostName(entry.pointee.host),
            pid: entry.pointee.pid
        )
    }

    func finalize(stem: String, nextWindow: UInt64) throws -> [ClosedFile] {
        for entry in table.entries { writeWaiting(entry) }
        return try files.closeWindow(stem: stem, nextWindow: nextWindow)
    }

    /// Writes deferred rows, which otherwise wait for further events of the process.
    private func writeWaiting(_ entry: ProcessTable<Model>.Entry) {
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

    func takeSummary() -> [UInt8] {
        var summary = WindowSummary(resource)
        for slot in evicted.keys.sorted() { evicted[slot].map { summary.merge($0) } }
        evicted.removeAll()
        let entries = table.entries
        for place in entries.indices {
            Self.prefetchEntry(of: entries, place + 4)
            let entry = entries[place]
            guard !entry.pointee.activity.pointee.isEmpty else { continue }
            SummaryBuilder.add(entry, host: files.hostName(entry.pointee.host), to: &summary)
        }
        guard !summary.isEmpty else { return [] }
        if Model.hasStanding {
            for entry in table.entries {
                let host = files.hostName(entry.pointee.host)
                SummaryBuilder.addStanding(entry, host: host, to: &summary)
            }
        }
        summary.keepTop()
        return summary.encoded
    }

    // MARK: Statistics

    func slotsToCollect(all: Bool) -> [UInt8] {
        (0..<Slot.count).filter { slot in totals[slot].isDirty || (all && totals[slot].events > 0) }
            .map { UInt8($0) }
    }

    func collectStats(slot: UInt8, isFull: Bool, lsn: LSN, into series: inout SeriesWriter) -> Bool
    {
        let own = totals + Int(slot)
        let isFull = isFull || own.pointee.isFullNeeded
        series.beginSection(slot: slot, lsn: lsn, isFull: isFull)
        series.begin(slotSeries[Int(slot)], count: SlotTotals.seriesMax, isOfSlot: true)
        own.pointee.collect(&series, of: resource)
        slotSeries[Int(slot)] = series.end()
        for entry in isFull ? table.entries(of: slot) : dirty[Int(slot)]
        where entry.pointee.hasEvents {
            if entry.pointee.isExpired {
                series.markQuiet(host: files.hostName(entry.pointee.host), pid: entry.pointee.pid)
            } else {
                collect(entry, isFull: isFull, into: &series)
            }
        }
        for entry in dirty[Int(slot)] { entry.pointee.isDirty = false }
        dirty[Int(slot)].removeAll(keepingCapacity: true)
        let isComplete = series.endSection()
        own.pointee.isFullNeeded = !isComplete
        own.pointee.isDirty = !isComplete
        return isComplete
    }

    private func collect(
        _ entry: ProcessTable<Model>.Entry,
        isFull: Bool,
        into series: inout SeriesWriter
    ) {
        let isNew = !entry.pointee.isShown
        series.use(
            host: files.hostName(entry.pointee.host),
            pid: entry.pointee.pid,
            name: entry.pointee.name,
            isNew: isNew
        )
        series.begin(entry.pointee.definedSeries, count: Model.seriesMax)
        entry.pointee.model.collect(&series)
        entry.pointee.definedSeries = series.end()
        entry.pointee.model.collectParts(&series, all: isFull || isNew)
        entry.pointee.isShown = true
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
        totals[Int(slot)].encode(into: &buffer)
        (evicted[slot] ?? WindowSummary(resource)).encode(into: &buffer)
        let entries = table.entries(of: slot)
        buffer.append(integer: UInt32(entries.count))
        for entry in entries {
            let host = files.hostName(entry.pointee.host)
            buffer.append(integer: UInt16(host.utf8.count))
            buffer.append(host)
            buffer.append(byte: files.isThisMachine(entry.pointee.host) ? 1 : 0)
            buffer.append(integer: entry.pointee.pid)
            buffer.append(integer: entry.pointee.lastTime)
            buffer.append(integer: entry.pointee.lastArrival)
            buffer.append(integer: entry.pointee.lastHeard)
            buffer.append(integer: entry.pointee.namedWindow)
            entry.pointee.threads.encode(into: &buffer)
            entry.pointee.given.encode(into: &buffer)
            entry.pointee.activity.pointee.encode(into: &buffer)
            entry.pointee.suppressed.pointee.encode(into: &buffer)
            buffer.append(integer: UInt64(entry.pointee.chargedBytes))
            entry.pointee.model.encode(into: &buffer)
        }
    }

    func loadState(slot: UInt8, from reader: inout StateReader) throws {
        dropState(slot: slot)
        totals[Int(slot)] = try SlotTotals(decoding: &reader)
        var lost = try WindowSummary(decoding: &reader)
        lost.hold(overallWithin: Limits.summaryEvictedBytesMax)
        if !lost.isEmpty { evicted[slot] = lost }
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let length = Int(try reader.integer(UInt16.self))
            let name = ByteView(try reader.bytes(length))
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
            let entry = ProcessEntry.initialize(
                in: table.takeMemory(),
                host: host,
                pid: pid,
                slot: slot,
                rules: rules.thresholds(comm: .empty, host: "", pid: pid),
                model: model,
                time: time,
                arrival: arrival
            )
            table.insert(entry)
            entry.pointee.given = given
            entry.pointee.rules = thresholds(of: entry)
            entry.pointee.suppressed.pointee = suppressed
            if entry.pointee.needsTicks { beginTicking(entry) }
            entry.pointee.lastHeard = heard
            entry.pointee.namedWindow = namedWindow
            entry.pointee.threads = threads
            entry.pointee.activity.pointee = activity
            totals[Int(slot)].processes += 1
            entry.pointee.chargedBytes = charged ?? entry.pointee.stateBytes
            totals[Int(slot)].stateBytes += entry.pointee.chargedBytes
            stateBytes += entry.pointee.chargedBytes
        }
        if files.hasEvictedHosts { forgetHosts() }
    }

    func dropState(slot: UInt8) {
        dirty[Int(slot)].removeAll()
        ticking[Int(slot)].removeAll()
        stateBytes -= totals[Int(slot)].stateBytes
        let entries = table.entries(of: slot)
        for entry in entries { entry.pointee.isGone = true }
        table.remove(entries, of: slot)
        evicted[slot] = nil
        totals[Int(slot)] = SlotTotals()
        slotSeries[Int(slot)] = SeriesSet()
    }
}
