package import TraceModel

/// The merged state of all processes' metrics. Pure: no clock, no I/O.
///
/// - What derives from the log comes by (resource, slot) and is as of an LSN. A section is taken
///   from whoever sends it when its LSN is not below the one held, so a worker that replays, an old
///   owner of a moved slot and a message that comes twice change nothing, and no counter goes back.
/// - What does not derive from the log (`own`) sums over incarnations: the living one's and the
///   retired total.
/// - Gauges show only while the incarnation that sent them is up.
/// - Series beyond a family's limit are folded into the labels `other` for their life.
package struct MetricStore: Sendable {
    var sections: [SlotSection.Key: SlotSection] = [:]
    var table: SeriesTable
    package internal(set) var processes: [String: ProcessState] = [:]
    /// Counters and histograms of incarnations that ended, and of folded series that expired.
    var retired: [SeriesKey: MetricValue] = [:]
    /// What the store itself gave up.
    var losses: [LossKind: UInt64] = [:]
    package internal(set) var router = RouterStatus()
    /// Grows with every change of what would be exposed.
    package internal(set) var revision: UInt64 = 0

    let seriesPerFamilyMax: Int
    let seriesHeldMax: Int

    package init(
        seriesPerFamilyMax: Int = Limits.seriesPerMetricMax,
        seriesHeldMax: Int = Limits.seriesHeldMax
    ) {
        self.seriesPerFamilyMax = seriesPerFamilyMax
        self.seriesHeldMax = seriesHeldMax
        table = SeriesTable(perFamilyMax: seriesPerFamilyMax, heldMax: seriesHeldMax)
    }

    /// Takes one message in. A process that is neither router, aggregator nor a worker is refused.
    package mutating func apply(_ snapshot: MetricSnapshot) throws(TraceError) {
        let worker = WorkerName(snapshot.process)
        guard worker != nil || MetricSnapshot.singletons.contains(snapshot.process) else {
            throw TraceError(.invalidArgument, "no such process: \(snapshot.process)")
        }
        revision &+= 1
        if let worker {
            let source = SlotSection.Source(
                process: snapshot.process,
                incarnation: snapshot.incarnation
            )
            for slot in snapshot.slots { apply(slot, of: worker.resource, from: source) }
        }
        applyProcess(snapshot)
    }

    /// A sign of life that says nothing else: brings back what `declareDown` took.
    package mutating func heard(_ process: String, incarnation: UInt64) {
        guard let state = processes[process], state.incarnation == incarnation, !state.isUp else {
            return
        }
        processes[process]?.isUp = true
        revision &+= 1
    }

    /// Its gauges and its `up` go; its counters stay. True where it was up.
    @discardableResult
    package mutating func declareDown(_ process: String) -> Bool {
        guard processes[process]?.isUp == true else { return false }
        processes[process]?.isUp = false
        revision &+= 1
        return true
    }

    /// Counts something that the holder of the store lost.
    package mutating func count(_ loss: LossKind, _ amount: UInt64 = 1) {
        losses[loss, default: 0] += amount
        revision &+= 1
    }

    // MARK: Slots

    private mutating func apply(
        _ slot: SlotMetrics,
        of resource: Resource,
        from source: SlotSection.Source
    ) {
        let key = SlotSection.Key(resource: resource, slot: slot.slot)
        var section =
            sections.removeValue(forKey: key)
            ?? SlotSection(lsn: 0, source: source, values: [:])
        defer { sections[key] = section }
        guard slot.lsn >= section.lsn else { return }
        section.lsn = slot.lsn
        section.source = source
        var replaced: [Int: MetricValue] = [:]
        if slot.full { swap(&replaced, &section.values) }
        for sample in slot.samples { take(sample, into: &section, held: &replaced) }
        // What a full message no longer names has expired without a word.
        for (number, value) in replaced { letGo(number, value) }
        for sample in slot.expired {
            guard let number = table.number(of: SeriesKey(sample)),
                let value = section.values.removeValue(forKey: number)
            else { continue }
            letGo(number, value)
        }
    }

    /// `held` are the series that the slot held before a full message and that it has not named again.
    private mutating func take(
        _ sample: MetricSample,
        into section: inout SlotSection,
        held: inout [Int: MetricValue]
    ) {
        guard sample.isWellFormed else {
            losses[.sampleRefused, default: 0] &+= 1
            return
        }
        let key = SeriesKey(sample)
        if let number = table.number(of: key),
            section.values[number] != nil || held.removeValue(forKey: number) != nil
        {
            section.values[number] = sample.value
            return
        }
        guard let (number, wasFolded) = table.hold(key) else {
            losses[.sampleRefused, default: 0] &+= 1
            return
        }
        if wasFolded { losses[.seriesOverflow, default: 0] += 1 }
        section.values[number] = sample.value
    }

    private mutating func letGo(_ number: Int, _ value: MetricValue) {
        losses[.seriesExpired, default: 0] += 1
        // The series `other` outlives those folded into it, so it keeps what they counted.
        if table.isFolded(number), value.kind != .gauge {
            retire(.overflow(of: table.key(of: number).family), value)
        }
        table.release(number)
    }

    // MARK: Processes

    private mutating func applyProcess(_ snapshot: MetricSnapshot) {
        var state =
            processes.removeValue(forKey: snapshot.process)
            ?? ProcessState(incarnation: snapshot.incarnation, pid: snapshot.pid)
        defer { processes[snapshot.process] = state }
        guard snapshot.incarnation >= state.incarnation else { return }
        if snapshot.incarnation > state.incarnation {
            retireOwn(of: &state)
            state.restarts += 1
            state.incarnation = snapshot.incarnation
            state.isRetired = false
            state.appliedLSN = 0
        }
        state.pid = snapshot.pid
        state.isUp = true
        state.appliedLSN = max(state.appliedLSN, snapshot.appliedLSN)
        state.checkpointLSN = max(state.checkpointLSN, snapshot.checkpointLSN)
        state.headLSN = max(state.headLSN, snapshot.headLSN)
        if !state.isRetired { takeOwn(snapshot.own, into: &state) }
        if snapshot.process == MetricSnapshot.router, let status = snapshot.router {
            take(status)
        }
    }

    private mutating func takeOwn(_ samples: [MetricSample], into state: inout ProcessState) {
        var next = state.own.filter { $0.value.kind != .gauge }
        for sample in samples {
            let key = SeriesKey(sample)
            guard sample.isWellFormed,
                next.count < Limits.ownSeriesMax || next[key] != nil
            else {
                losses[.sampleRefused, default: 0] &+= 1
                continue
            }
            if next[key]?.advance(to: sample.value) == nil { next[key] = sample.value }
        }
        state.own = next
    }

    private mutating func take(_ status: RouterStatus) {
        let before = router
        router = status
        router.receivedEvents = max(before.receivedEvents, status.receivedEvents)
        router.deduplicatedEvents = max(before.deduplicatedEvents, status.deduplicatedEvents)
        router.rejectedEvents = max(before.rejectedEvents, status.rejectedEvents)
        router.deadLetteredEvents = max(before.deadLetteredEvents, status.deadLetteredEvents)
        // A worker that is neither expected nor alive has been retired: its totals stay without it.
        let expected = Set(status.workers.map { "\($0.worker)" })
        for (name, state) in processes where !state.isUp && !state.isRetired {
            guard WorkerName(name) != nil, !expected.contains(name) else { continue }
            var state = state
            retireOwn(of: &state)
            state.isRetired = true
            processes[name] = state
        }
    }

    private mutating func retireOwn(of state: inout ProcessState) {
        for (key, value) in state.own where value.kind != .gauge { retire(key, value) }
        state.own = [:]
    }

    private mutating func retire(_ key: SeriesKey, _ value: MetricValue) {
        if retired[key]?.add(value) == nil { retired[key] = value }
    }
}
