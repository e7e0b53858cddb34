import SystemIO
import TraceFiles
import TraceModel
import TraceTime

/// Applies batches to the processes: decodes a batch, sorts it by time, and passes each event to its process. The hot
/// path, so that nothing here allocates per event or counts references.
struct BatchPipeline<Model: ProcessModel & ~Copyable>: ~Copyable {
    private typealias Entry = ProcessTable<Model>.Entry

    private var buffer = EventBuffer<Model.Event>()
    private var parser: TimestampParser

    init(zone: TimeZoneRules) { parser = TimestampParser(zone: zone) }

    /// Applies a batch to `processes`, and returns the number of its events.
    @inline(__always) mutating func apply(
        _ traces: TraceBatchView,
        to processes: inout ProcessLifecycle<Model>,
        observer: (any BatchObserver)?
    ) throws -> Int {
        if processes.files.hasEvictedHosts { processes.forgetHosts() }
        let hasNames = buffer.decode(traces.bytes, arrival: traces.arrival, parser: &parser)
        if hasNames { processes.takeNames(of: traces) }
        let count = buffer.count
        defer { buffer.shrink() }
        try applyAll(of: traces, to: &processes, observer)
        return count
    }

    /// Applies the decoded events in order.
    @inline(__always) private func applyAll(
        of traces: TraceBatchView,
        to processes: inout ProcessLifecycle<Model>,
        _ observer: (any BatchObserver)?
    ) throws {
        guard buffer.count > 0 else { return }
        let first = buffer[0]
        var context = processes.context(
            of: processes.entry(of: first.pid, time: first.time, traces: traces),
            tid: first.pid,
            stamp: first.time,
            arrival: traces.arrival,
            semantics: traces.semantics
        )
        let totals = processes.totals
        let window = processes.files.window
        var ahead = Prefetcher<Model>(host: traces.host, processesGone: processes.processesGone)
        for place in -Prefetcher<Model>.lead..<buffer.count {
            if Model.looks > 0 {
                let gone = processes.processesGone
                ahead.step(to: place, in: buffer, processes.table, totals, processesGone: gone)
            }
            guard place >= 0 else { continue }
            let rank = buffer[place]
            let event = buffer.event(rank)
            let found = ahead.result(place)
            Self.apply(event, rank, found, of: traces, in: window, to: &processes, &context)
            if processes.files.needsFlush { try Self.writeRows(of: processes.files, observer) }
            if place % Limits.progressEvents == Limits.progressEvents - 1 { observer?.advanced() }
        }
    }

    /// Writes buffered rows. If that fails, no further event is applied until it succeeds, so that rows in memory
    /// stay bounded.
    @inline(never) private static func writeRows(
        of files: TraceFileManager,
        _ observer: (any BatchObserver)?
    ) throws {
        do throws(SystemError) { try files.flush(.full) } catch {
            guard let observer else { throw error }
            try observer.writeRows(after: error)
        }
    }

    /// Applies one event. `found` is its prefetch result.
    @inline(__always) private static func apply(
        _ event: UnsafePointer<Model.Event>,
        _ rank: EventBuffer<Model.Event>.Rank,
        _ found: Int,
        of traces: TraceBatchView,
        in window: UInt64,
        to processes: inout ProcessLifecycle<Model>,
        _ context: inout EventContext
    ) {
        let time = rank.time
        let entry = processes.entry(of: rank.pid, time: time, traces: traces)
        move(
            &context,
            to: entry,
            tid: event.pointee.threadID,
            stamp: time,
            totals: processes.totals,
            found: found
        )
        context.totals.pointee.events += 1
        context.totals.pointee.isDirty = true
        if rank.isTimeInvalid { context.totals.pointee.timestampsInvalid += 1 }
        let isFirstInWindow = entry.pointee.namedWindow != window
        entry.pointee.activity.pointee.note(time)
        if isFirstInWindow { entry.pointee.model.windowBegins(&context) }
        entry.pointee.model.apply(event, &context)
        if context.isRenamed { processes.takeName(entry, context) }
        if isFirstInWindow || context.isRenamed { processes.name(entry, context) }
        entry.pointee.threads.note(
            context,
            window: window,
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
        if !entry.pointee.isDirty { processes.beginChanges(entry) }
        if entry.pointee.model.needsTicks, !entry.pointee.isTicking {
            processes.beginTicking(entry)
        }
        if context.totals.pointee.hasSuppressed { processes.awaitCooldowns(entry) }
        // Depends on the process's own events, so that it is independent of what else the worker has.
        let events = entry.pointee.activity.pointee.events
        if events < Limits.chargedEvents || events % Limits.chargedEvents == 0 {
            processes.charge(entry, at: traces.arrival)
        }
    }

    /// Changes the context of one event into that of another event of the same batch.
    @inline(__always) private static func move(
        _ context: inout EventContext,
        to entry: Entry,
        tid: UInt32,
        stamp: EpochNanoseconds,
        totals: UnsafeMutablePointer<SlotTotals>,
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
}
