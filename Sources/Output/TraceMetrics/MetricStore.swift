package import TraceModel

/// The merged metrics of all processes. Pure: it uses no clock and does no I/O.
///
/// - What derives from the log comes by (resource, slot) and is as of an LSN. A section is accepted from any sender if
///   its LSN is not below the one held. So a worker that replays, a previous owner of a moved slot and a repeated
///   message change nothing, and no counter goes back.
/// - What does not derive from the log (`own`) is the sum over incarnations: the current one and the total of the
///   retired ones.
/// - Gauges show only while the incarnation that sent them is up.
/// - Series of processes beyond a family's limit fold into the series `other`: those that came last, and of histograms
///   those with the fewest observations. The sum over a family is the sum of all its series, and `other` never falls.
package struct MetricStore: Sendable {
    /// Slot sections by `SlotSection.owner`.
    var sections: [UInt16: SlotSection] = [:]
    var table: SeriesTable
    /// Series ids by process.
    var sources: [String: SeriesSource] = [:]
    package internal(set) var processes: [String: ProcessState] = [:]
    /// Counters and histograms of incarnations that ended, and of folded series that expired.
    var retired: [SeriesKey: MetricValue] = [:]
    /// The highest value that `other` of each family has shown. Sums of fractions that are grouped differently may
    /// differ in their last digits, and `other` must not fall.
    var othersShown: [MetricFamily: MetricValue] = [:]
    /// What the charts' last totals have counted. Not saved.
    var charts = ChartState()
    /// What the store itself lost.
    var losses: [LossKind: UInt64] = [:]
    package internal(set) var router = RouterStatus()
    /// Workers for which a restart does not help: why, and what does. Not saved.
    package var lost: [WorkerName: String] = [:] {
        didSet { if lost != oldValue { revision &+= 1 } }
    }
    /// How processes ended in the last minute, by process name. Not saved.
    package var recentEnds: [String: RecentEnds] = [:] {
        didSet { if recentEnds != oldValue { revision &+= 1 } }
    }
    /// Grows with every change of what is exposed.
    package internal(set) var revision: UInt64 = 0

    package init(limits: SeriesLimits = SeriesLimits()) { table = SeriesTable(limits: limits) }

    /// Applies one process's report.
    /// - Throws: `TraceError(.invalidArgument)` for a process that is neither router, aggregator nor worker.
    package mutating func apply(_ snapshot: MetricSnapshot) throws(TraceError) {
        guard
            WorkerName(snapshot.process) != nil
                || MetricSnapshot.singletons.contains(snapshot.process)
        else {
            throw TraceError(.invalidArgument, "no such process: \(snapshot.process)")
        }
        revision &+= 1
        applyProcess(snapshot)
    }

    /// Records a heartbeat: a process that `declareDown` marked as down is up again.
    package mutating func heard(_ process: String, incarnation: UInt64) {
        guard let state = processes[process], state.incarnation == incarnation, !state.isUp else {
            return
        }
        processes[process]?.isUp = true
        revision &+= 1
    }

    /// Marks a process as down: its gauges and its `up` go, its counters stay. Returns true if it was up.
    @discardableResult package mutating func declareDown(_ process: String) -> Bool {
        guard processes[process]?.isUp == true else { return false }
        processes[process]?.isUp = false
        revision &+= 1
        return true
    }

    /// Counts a loss on behalf of the store's owner.
    package mutating func count(_ loss: LossKind, _ amount: UInt64 = 1) {
        losses[loss, default: 0] += amount
        revision &+= 1
    }

    // MARK: Series

    /// Exposes the histograms with the most observations and folds others for them. Returns false if nothing changed.
    /// The decision depends only on what the store holds. O(rows) where any histogram is folded.
    package mutating func chooseHistograms() -> Bool {
        guard table.chooseHistograms() else { return false }
        revision &+= 1
        return true
    }

    /// Applies a worker's series. Returns false where the sender has to report all of them anew: a message with ids was
    /// lost, or this store is not the one that it reported to.
    /// - Throws: `TraceError(.corrupt)` where the bytes are damaged; what precedes the damage is applied.
    package mutating func apply(_ series: MetricSeries) throws(TraceError) -> Bool {
        guard let worker = WorkerName(series.process) else {
            throw TraceError(.invalidArgument, "no such worker: \(series.process)")
        }
        let known = sources[series.process]?.incarnation
        if let known, known > series.incarnation { return true }
        guard series.begins || known == series.incarnation else { return false }
        revision &+= 1
        if series.begins, series.renewedLSN > 0 { retirePreviousReports(of: series) }
        // The source is taken out of the dictionary, so that there is one copy, which is changed in place.
        var source = sources.removeValue(forKey: series.process)
        if series.begins { source = nil }
        var intake = SeriesIntake(
            resource: worker.resource,
            sender: .init(process: series.process, incarnation: series.incarnation),
            renewedLSN: series.renewedLSN,
            table: table,
            sections: sections,
            source: source ?? SeriesSource(incarnation: series.incarnation)
        )
        source = nil
        table = SeriesTable(limits: table.limits)
        sections = [:]
        defer { take(intake, of: series.process) }
        let isKnown = try SeriesDecoder.decode(series.sections, into: &intake)
        intake.releaseUnnamed()
        return isKnown && !intake.needsAll
    }

    private mutating func take(_ intake: SeriesIntake, of process: String) {
        table = intake.table
        sections = intake.sections
        sources[process] = intake.source
        for (loss, count) in intake.losses { losses[loss, default: 0] += count }
        for (family, value) in intake.kept { retire(.overflow(of: family), value) }
        for (key, value) in intake.retired { retire(key, value) }
        guard intake.hasReleased || !intake.outlived.isEmpty else { return }
        let known = retired.keys.filter { $0.family.outlivesSlots && !$0.isOverflow }
        // The first label is the host. No row has the name of a host that has gone.
        for key in known where table.texts.number(of: key.labels[0]) == nil { retired[key] = nil }
        for (key, value) in intake.outlived where table.texts.number(of: key.labels[0]) != nil {
            let hasRoom = retired[key] != nil || known.count < table.limits.perFamily
            retire(hasRoom ? key : .overflow(of: key.family), value)
        }
    }

    /// Retires what earlier incarnations reported. The worker began without state behind `renewedLSN`, so nobody will
    /// report those values again, and they stay as they are. O(rows), once for each incarnation that has not reported
    /// anything newer.
    private mutating func retirePreviousReports(of series: MetricSeries) {
        let now = SlotSection.Source(process: series.process, incarnation: series.incarnation)
        let previous = sections.filter {
            $1.source.process == series.process && $1.source != now && $1.lsn <= series.renewedLSN
        }
        guard !previous.isEmpty else { return }
        for (number, row) in table.rows.enumerated()
        where row.state.contains(.isAlive) && previous[row.owner] != nil {
            for (key, value) in table.retire(UInt32(number)) { retire(key, value) }
        }
        for owner in previous.keys {
            sections[owner]?.source = now
            sections[owner]?.isComplete = true
        }
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
        if snapshot.process == MetricSnapshot.router, let status = snapshot.router { take(status) }
    }

    private mutating func takeOwn(_ samples: [MetricSample], into state: inout ProcessState) {
        var next = state.own.filter { $0.value.kind != .gauge }
        for sample in samples {
            let key = SeriesKey(sample)
            guard sample.isWellFormed, next.count < Limits.ownSeriesMax || next[key] != nil else {
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
        // A worker that is neither expected nor up has been retired: its totals are kept without it.
        let expected = Set(status.workers.map { "\($0.worker)" })
        for (name, state) in processes where !state.isUp && !state.isRetired {
            guard WorkerName(name) != nil, !expected.contains(name) else { continue }
            var state = state
            retireOwn(of: &state)
            state.isRetired = true
            processes[name] = state
            sources[name] = nil
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

/// The number of series of processes that the aggregator exposes and holds.
package struct SeriesLimits: Sendable, Equatable {
    /// Label sets of one family that are exposed; further series fold into `other`.
    package var perFamily: Int
    /// Rows held in all, including those of folded series.
    package var held: Int

    package init(perFamily: Int = Limits.seriesPerMetricMax, held: Int = Limits.seriesHeldMax) {
        self.perFamily = perFamily
        self.held = held
    }

    /// Label sets of a histogram that are exposed. Fewer, because each makes one line a bucket.
    package var perHistogram: Int { max(1, perFamily / Limits.histogramSeriesDivisor) }

    /// Returns the limit of a family by catalog position.
    func exposed(of family: UInt8) -> Int {
        MetricCatalog.kinds[Int(family)] == .histogram ? perHistogram : perFamily
    }
}

extension MetricStore {
    /// Adopts other limits. Series beyond a lower limit are folded together with what they have counted, and such
    /// gauges are no longer shown. Folded series stay folded under a higher limit. O(rows).
    package mutating func adopt(_ limits: SeriesLimits) {
        guard limits != table.limits else { return }
        table.limits = limits
        revision &+= 1
        var hidden: Set<UInt32> = []
        // Fold the last rows: the rows that came first tend to have low numbers.
        for number in table.rows.indices.reversed() {
            let row = table.rows[number]
            guard row.state.contains(.isAlive), !row.state.contains(.isFolded),
                MetricCatalog.areLimited[Int(row.family)],
                table.exposed[Int(row.family)] > limits.exposed(of: row.family)
            else { continue }
            if MetricCatalog.kinds[Int(row.family)] == .gauge {
                hidden.insert(UInt32(number))
                table.release(UInt32(number))
            } else {
                table.fold(UInt32(number))
            }
            losses[.seriesOverflow, default: 0] += 1
        }
        forget(hidden)
    }

    /// Turns ids of released rows into ids of hidden gauges.
    private mutating func forget(_ hidden: Set<UInt32>) {
        guard !hidden.isEmpty else { return }
        for (process, source) in sources {
            var source = source
            for id in source.rows.indices where hidden.contains(source.rows[id]) {
                let row = table.rows[Int(source.rows[id])]
                source.rows[id] = SeriesSource.refused | UInt32(row.family)
            }
            sources[process] = source
        }
    }
}

/// What the store knows of one slot of one resource, apart from its series.
struct SlotSection: Sendable {
    /// The incarnation of the worker that reported the slot last.
    struct Source: Hashable, Sendable {
        let process: String
        let incarnation: UInt64
    }

    var lsn: LSN
    var source: Source
    /// False after a section that was not complete. Until a full section comes, only the same source can continue.
    var isComplete: Bool

    /// Returns the slot's number among those of all resources, which a series row holds as its owner.
    static func owner(_ resource: Resource, _ slot: UInt8) -> UInt16 {
        UInt16(resource.rawValue) << 8 | UInt16(slot)
    }
}
