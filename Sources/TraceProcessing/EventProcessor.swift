import AnomalyRules
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceTime
import TraceWire

/// The pipeline that all six processors share, around what a resource's `ProcessModel` does.
final class EventProcessor<Model: ProcessModel & ~Copyable>: TraceProcessor {
    let resource: Resource
    let files: TraceFileManager

    private let category: StaticString
    @exclusivity(unchecked) private var table = ProcessTable<Model>()
    @exclusivity(unchecked) private var buffer = EventBuffer<Model.Event>()
    @exclusivity(unchecked) private var parser: TimestampParser
    @exclusivity(unchecked) private var clock: ReadableClock
    private let readable = UnsafeMutableRawPointer.allocate(
        byteCount: ReadableClock.byteCount,
        alignment: 8
    )
    private let totals = UnsafeMutablePointer<SlotTotals>.allocate(capacity: Slot.count)
    private var dirty: [ProcessTable<Model>.Entry] = []
    /// Processes that ticks visit.
    private var ticking: [ProcessTable<Model>.Entry] = []
    var rules = RuleSet() {
        didSet {
            for entry in table.entries { entry.pointee.rules = thresholds(of: entry) }
        }
    }
    /// What processes that had to make room did in the open window, by slot.
    private var evicted: [UInt8: WindowSummary] = [:]
    private var timing = BatchTiming()

    init(files: TraceFileManager, zone: TimeZoneRules, category: StaticString) {
        resource = Model.Event.resource
        self.files = files
        self.category = category
        parser = TimestampParser(zone: zone)
        clock = ReadableClock(zone: zone)
        totals.initialize(repeating: SlotTotals(), count: Slot.count)
    }

    deinit {
        totals.deallocate()
        readable.deallocate()
    }

    var totalTraces: UInt64 {
        (0..<Slot.count).reduce(0) { $0 + totals[$1].events }
    }

    // MARK: Batches

    func processTraces(_ traces: TraceBatchView, isLastBatch: Bool) throws -> Int {
        let started = WallClock.monotonic()
        buffer.decode(traces.bytes, arrival: traces.arrival, parser: &parser)
        var failure: SystemError?
        for rank in 0..<buffer.count {
            let position = buffer.position(rank)
            apply(
                buffer.event(position),
                at: buffer.time(position),
                isTimeInvalid: buffer.isInvalid(position),
                of: traces
            )
            guard files.needsFlush else { continue }
            do throws(SystemError) {
                try files.flush(.full)
            } catch {
                // The rows stay in memory; the rest of the batch is applied all the same, so that the
                // batch is never half applied.
                failure = error
            }
        }
        let count = buffer.count
        buffer.shrink()
        timing.record(events: count, nanoseconds: WallClock.monotonic() - started)
        if let failure { throw failure }
        return count
    }

    @inline(__always)
    private func apply(
        _ event: UnsafePointer<Model.Event>,
        at time: EpochNanoseconds,
        isTimeInvalid: Bool,
        of traces: TraceBatchView
    ) {
        let pid = event.pointee.processID
        let entry = entry(of: pid, time: time, traces: traces)
        let slot = totals + Int(entry.pointee.slot)
        slot.pointee.events += 1
        slot.pointee.isDirty = true
        if isTimeInvalid { slot.pointee.timestampsInvalid += 1 }
        clock.write(time, to: readable)
        var context = EventContext(
            files: files,
            totals: slot,
            host: traces.host,
            pid: pid,
            tid: event.pointee.threadID,
            time: time,
            readable: UnsafeRawPointer(readable),
            json: files.json(traces.host),
            activity: entry.pointee.activity,
            category: category,
            ruleSet: rules,
            rules: entry.pointee.rules
        )
        let isFirstInWindow = entry.pointee.namedWindow != files.window
        entry.pointee.activity.pointee.note(time)
        if isFirstInWindow { entry.pointee.model.windowBegins(&context) }
        entry.pointee.model.apply(event.pointee, &context)
        if context.isRenamed { entry.pointee.rules = context.rules }
        if isFirstInWindow || context.isRenamed { name(entry, context) }
        entry.pointee.threads.note(
            context,
            window: files.window,
            name: entry.pointee.model.processName()
        )
        if time >= entry.pointee.lastTime {
            entry.pointee.lastTime = time
            entry.pointee.lastArrival = traces.arrival
        }
        if !entry.pointee.isDirty {
            entry.pointee.isDirty = true
            dirty.append(entry)
        }
        if entry.pointee.model.needsTicks, !entry.pointee.isTicking { beginTicking(entry) }
    }

    @inline(__always)
    private func entry(
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
        if totals[Int(slot)].processes >= UInt32(Limits.processesPerSlotMax) { evict(slot) }
        totals[Int(slot)].processes += 1
        return table.insert(
            ProcessEntry(
                host: traces.host,
                pid: pid,
                slot: slot,
                rules: rules.thresholds(
                    comm: .empty,
                    host: files.hostName(traces.host),
                    pid: pid
                ),
                model: Model(),
                time: time,
                arrival: traces.arrival
            )
        )
    }

    /// Makes room in a slot: the half of its processes heard of longest ago goes. Ties go by process, so
    /// that a replay evicts the same.
    private func evict(_ slot: UInt8) {
        let ages = table.entries.filter { $0.pointee.slot == slot }
            .map { (arrival: $0.pointee.lastArrival, pid: $0.pointee.pid, entry: $0) }
            .sorted { ($0.arrival, $0.pid) < ($1.arrival, $1.pid) }
        let gone = Set(ages.prefix(ages.count / 2).map(\.entry))
        for entry in gone.sorted(by: { $0.pointee.pid < $1.pointee.pid }) {
            SummaryBuilder.count(entry, in: &evicted[slot, default: WindowSummary(resource)])
        }
        dirty.removeAll { gone.contains($0) }
        ticking.removeAll { gone.contains($0) }
        table.remove { gone.contains($0) }
        totals[Int(slot)].processes -= UInt32(gone.count)
        totals[Int(slot)].processesEvicted += UInt64(gone.count)
    }

    private func name(_ entry: ProcessTable<Model>.Entry, _ context: EventContext) {
        entry.pointee.namedWindow = files.window
        let name = entry.pointee.model.processName()
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

    // MARK: Time and windows

    func tick(arrival: EpochNanoseconds) throws {
        for entry in ticking { tick(entry, arrival: arrival) }
        ticking.removeAll {
            $0.pointee.isTicking = $0.pointee.model.needsTicks
            return !$0.pointee.isTicking
        }
        try files.flush(.tick)
    }

    private func beginTicking(_ entry: ProcessTable<Model>.Entry) {
        entry.pointee.isTicking = true
        ticking.append(entry)
    }

    /// What the process's clock would show now: its events' times go on from the newest one, so that what
    /// is replayed, or old, doesn't look as if it had stood still.
    private func tick(_ entry: ProcessTable<Model>.Entry, arrival: EpochNanoseconds) {
        let passed = max(0, arrival &- entry.pointee.lastArrival)
        let (now, overflow) = entry.pointee.lastTime.addingReportingOverflow(passed)
        guard !overflow else { return }
        clock.write(now, to: readable)
        let host = entry.pointee.host
        var context = EventContext(
            files: files,
            totals: totals + Int(entry.pointee.slot),
            host: host,
            pid: entry.pointee.pid,
            tid: entry.pointee.pid,
            time: now,
            readable: UnsafeRawPointer(readable),
            json: files.json(host),
            activity: entry.pointee.activity,
            category: category,
            ruleSet: rules,
            rules: entry.pointee.rules
        )
        guard entry.pointee.model.tick(context), entry.pointee.namedWindow != files.window else {
            return
        }
        entry.pointee.model.windowBegins(&context)
        name(entry, context)
    }

    private func thresholds(of entry: ProcessTable<Model>.Entry) -> UnsafePointer<Thresholds> {
        rules.thresholds(
            comm: entry.pointee.model.processName(),
            host: files.hostName(entry.pointee.host),
            pid: entry.pointee.pid
        )
    }

    func finalize(stem: String, nextWindow: UInt64) throws -> [ClosedFile] {
        try files.closeWindow(stem: stem, nextWindow: nextWindow)
    }

    func takeSummary() -> [UInt8] {
        var summary = WindowSummary(resource)
        for slot in evicted.keys.sorted() { evicted[slot].map { summary.merge($0) } }
        evicted.removeAll()
        for entry in table.entries where !entry.pointee.activity.pointee.isEmpty {
            SummaryBuilder.add(entry, host: files.hostName(entry.pointee.host), to: &summary)
            entry.pointee.activity.pointee = WindowActivity()
        }
        guard !summary.isEmpty else { return [] }
        summary.keepTop()
        return summary.encoded
    }

    // MARK: Statistics

    func collectStats(full: Bool, lsn: LSN) -> [SlotMetrics] {
        var bySlot: [UInt8: [MetricSample]] = [:]
        for entry in full ? table.entries : dirty {
            var samples = ProcessSamples(
                host: files.hostName(entry.pointee.host),
                pid: entry.pointee.pid,
                name: MetricLabel.text(of: entry.pointee.model.processName())
            )
            entry.pointee.model.collect(&samples, all: full || !entry.pointee.isShown)
            entry.pointee.isShown = true
            bySlot[entry.pointee.slot, default: []] += samples.samples
        }
        for entry in dirty { entry.pointee.isDirty = false }
        dirty.removeAll(keepingCapacity: true)
        return (0..<Slot.count).compactMap { slot in
            guard totals[slot].isDirty || (full && totals[slot].events > 0) else { return nil }
            totals[slot].isDirty = false
            let own = totals[slot].samples(of: resource)
            return SlotMetrics(
                slot: UInt8(slot),
                lsn: lsn,
                full: full,
                samples: own + (bySlot[UInt8(slot)] ?? [])
            )
        }
    }

    func ownSamples() -> [MetricSample] { timing.samples(of: resource) }

    // MARK: State

    func saveState(slot: UInt8, into buffer: inout RawBuffer) {
        totals[Int(slot)].encode(into: &buffer)
        (evicted[slot] ?? WindowSummary(resource)).encode(into: &buffer)
        let entries = table.entries.filter { $0.pointee.slot == slot }
        buffer.append(integer: UInt32(entries.count))
        for entry in entries {
            let host = files.hostName(entry.pointee.host)
            buffer.append(integer: UInt16(host.utf8.count))
            buffer.append(host)
            buffer.append(byte: files.isThisMachine(entry.pointee.host) ? 1 : 0)
            buffer.append(integer: entry.pointee.pid)
            buffer.append(integer: entry.pointee.lastTime)
            buffer.append(integer: entry.pointee.lastArrival)
            buffer.append(integer: entry.pointee.namedWindow)
            entry.pointee.threads.encode(into: &buffer)
            entry.pointee.activity.pointee.encode(into: &buffer)
            entry.pointee.model.encode(into: &buffer)
        }
    }

    func loadState(slot: UInt8, from reader: inout StateReader) throws {
        dropState(slot: slot)
        totals[Int(slot)] = try SlotTotals(decoding: &reader)
        let lost = try WindowSummary(decoding: &reader)
        if !lost.isEmpty { evicted[slot] = lost }
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let length = Int(try reader.integer(UInt16.self))
            let name = ByteView(try reader.bytes(length))
            let isThisMachine = try reader.integer(UInt8.self) == 1
            let host = try files.registerHost(name, isThisMachine: isThisMachine)
            let pid = try reader.integer(UInt32.self)
            let time = try reader.integer(Int64.self)
            let arrival = try reader.integer(Int64.self)
            let namedWindow = try reader.integer(UInt64.self)
            let threads = try ThreadNames(decoding: &reader)
            let activity = try WindowActivity(decoding: &reader)
            let entry = table.insert(
                ProcessEntry(
                    host: host,
                    pid: pid,
                    slot: slot,
                    rules: rules.thresholds(comm: .empty, host: "", pid: pid),
                    model: try Model(decoding: &reader),
                    time: time,
                    arrival: arrival
                )
            )
            entry.pointee.rules = thresholds(of: entry)
            if entry.pointee.model.needsTicks { beginTicking(entry) }
            entry.pointee.namedWindow = namedWindow
            entry.pointee.threads = threads
            entry.pointee.activity.pointee = activity
            totals[Int(slot)].processes += 1
        }
    }

    func dropState(slot: UInt8) {
        dirty.removeAll { $0.pointee.slot == slot }
        ticking.removeAll { $0.pointee.slot == slot }
        table.remove { $0.pointee.slot == slot }
        evicted[slot] = nil
        totals[Int(slot)] = SlotTotals()
    }
}
