package import TraceModel

/// The merged state of all processes' metrics. Pure: no clock, no I/O.
///
/// - What derives from the log comes by (resource, slot) and is as of an LSN. A section is taken
///   from whoever sends it when its LSN is not below the one held, so a worker that replays, an old
///   owner of a moved slot and a message that comes twice change nothing, and no counter goes back.
/// - What does not derive from the log (`own`) sums over incarnations: the living one's and the
///   retired total.
/// - Gauges show only while the incarnation that sent them is up.
/// - Series of processes beyond a family's limit fold into the labels `other`: those that came last, of histograms
///   those with the fewest observations. The sum over a family is that of all its series, and `other` never falls.
package struct MetricStore: Sendable {
    /// By `SlotSection.owner`.
    var sections: [UInt16: SlotSection] = [:]
    var table: SeriesTable
    /// By process.
    var sources: [String: SeriesSource] = [:]
    package internal(set) var processes: [String: ProcessState] = [:]
    /// Counters and histograms of incarnations that ended, and of folded series that expired.
    var retired: [SeriesKey: MetricValue] = [:]
    /// What `other` of each family has shown: sums of fractions that are grouped anew may come out lower in their
    /// last digits.
    var othersShown: [MetricFamily: MetricValue] = [:]
    /// What the store itself gave up.
    var losses: [LossKind: UInt64] = [:]
    package internal(set) var router = RouterStatus()
    /// Workers that can't be started again as they are: why, and what helps. Not saved.
    package var lost: [WorkerName: String] = [:] { didSet { if lost != oldValue { revision &+= 1 } } }
    /// How processes have ended lately, by name. Not saved.
    package var recentEnds: [String: RecentEnds] = [:] { didSet { if recentEnds != oldValue { revision &+= 1 } } }
    /// Grows with every change of what would be exposed.
    package internal(set) var revision: UInt64 = 0

    package init(limits: SeriesLimits = SeriesLimits()) { table = SeriesTable(limits: limits) }

    /// Takes one message in. A process that is neither router, aggregator nor a worker is refused.
    package mutating func apply(_ snapshot: MetricSnapshot) throws(TraceError) {
        guard WorkerName(snapshot.process) != nil || MetricSnapshot.singletons.contains(snapshot.process) else {
            throw TraceError(.invalidArgument, "no such process: \(snapshot.process)")
        }
        revision &+= 1
        applyProcess(snapshot)
    }

    /// A sign of life that says nothing else: brings back what `declareDown` took.
    package mutating func heard(_ process: String, incarnation: UInt64) {
        guard let state = processes[process], state.incarnation == incarnation, !state.isUp else { return }
        processes[process]?.isUp = true
        revision &+= 1
    }

    /// Its gauges and its `up` go; its counters stay. True where it was up.
    @discardableResult package mutating func declareDown(_ process: String) -> Bool {
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

    // MARK: Series

    /// Exposes the histograms that have counted most, in the place of others; false where all stay. What it
    /// decides follows from what the store holds. O(rows) where any histogram is folded.
    package mutating func chooseHistograms() -> Bool {
        guard table.chooseHistograms() else { return false }
        revision &+= 1
        return true
    }

    /// Takes a worker's series in. False where the sender has to tell all of them anew: ids were lost on the way,
    /// or this store is not the one that it told them.
    /// - Throws: `TraceError(.corrupt)` where the bytes are damaged; what stood before is taken.
    package mutating func apply(_ series: MetricSeries) throws(TraceError) -> Bool {
        guard let worker = WorkerName(series.process) else {
            throw TraceError(.invalidArgument, "no such worker: \(series.process)")
        }
        let known = sources[series.process]?.incarnation
        if let known, known > series.incarnation { return true }
        guard series.begins || known == series.incarnation else { return false }
        revision &+= 1
        if series.begins, series.renewedLSN > 0 { retireFormerLife(of: series) }
        // Out of the dictionary, so that there is one copy, which is changed in place.
        var source = sources.removeValue(forKey: series.process)
        if series.begins { source = nil }
        var intake = SeriesIntake(
            resource: worker.resource, sender: .init(process: series.process, incarnation: series.incarnation),
            table: table, sections: sections, source: source ?? SeriesSource(incarnation: series.incarnation))
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
    }

    /// The worker has begun without state behind `renewedLSN`: what it told of its slots before is not going to be
    /// told again, and stays as it is. O(rows), once for each incarnation that has not told anything newer yet.
    private mutating func retireFormerLife(of series: MetricSeries) {
        let now = SlotSection.Source(process: series.process, incarnation: series.incarnation)
        let former = sections.filter {
            $1.source.process == series.process && $1.source != now && $1.lsn <= series.renewedLSN
        }
        guard !former.isEmpty else { return }
        for (number, row) in table.rows.enumerated() where row.state.contains(.isAlive) && former[row.owner] != nil {
            let number = UInt32(number)
            if let value = table.otherValue(of: number) {
                retire(.overflow(of: MetricCatalog.families[Int(row.family)]), value)
            }
            if row.state.contains(.isValued), !row.state.contains(.isFolded),
                MetricCatalog.kinds[Int(row.family)] != .gauge
            {
                retire(key(of: row), table.shownValue(of: number))
            }
            table.release(number)
        }
        for owner in former.keys {
            sections[owner]?.source = now
            sections[owner]?.isWhole = true
        }
    }

    private func key(of row: SeriesTable.Row) -> SeriesKey {
        let descriptor = MetricCatalog.all[Int(row.family)]
        let labels = descriptor.labels.indices.map { table.texts.texts[Int(row.labels[$0])] }
        return SeriesKey(family: descriptor.family, labels: labels)
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
        // A worker that is neither expected nor alive has been retired: its totals stay without it.
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

/// How many series of processes the aggregator exposes and holds.
package struct SeriesLimits: Sendable, Equatable {
    /// Label sets of one family that are exposed; those of further series fold into `other`.
    package var perFamily: Int
    /// Rows that are held in all, those of folded series included.
    package var held: Int

    package init(perFamily: Int = Limits.seriesPerMetricMax, held: Int = Limits.seriesHeldMax) {
        self.perFamily = perFamily
        self.held = held
    }

    /// Label sets of a histogram that are exposed: fewer, as each makes a line a bucket.
    package var perHistogram: Int { max(1, perFamily / Limits.histogramSeriesDivisor) }

    /// By the family's place in the catalog.
    func exposed(of family: UInt8) -> Int { MetricCatalog.kinds[Int(family)] == .histogram ? perHistogram : perFamily }
}

extension MetricStore {
    /// Goes by other limits from here on. Series for which a lower one has no room are folded, with what they have
    /// counted; gauges are not shown any more. What is folded stays so under a higher one. O(rows).
    package mutating func adopt(_ limits: SeriesLimits) {
        guard limits != table.limits else { return }
        table.limits = limits
        revision &+= 1
        var hidden: Set<UInt32> = []
        // The last ones go: those that came first tend to stand first.
        for number in table.rows.indices.reversed() {
            let row = table.rows[number]
            guard row.state.contains(.isAlive), !row.state.contains(.isFolded),
                MetricCatalog.areOfProcesses[Int(row.family)],
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

    /// Ids of rows that are gone mean hidden gauges from here on.
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

/// What the store knows of one slot of one resource, beside its series.
struct SlotSection: Sendable {
    /// Who told it last.
    struct Source: Hashable, Sendable {
        let process: String
        let incarnation: UInt64
    }

    var lsn: LSN
    var source: Source
    /// False after a section that was not complete: until a full one, only its source can go on.
    var isWhole: Bool

    /// The slot's number among those of all resources: what a series' row holds as its owner.
    static func owner(_ resource: Resource, _ slot: UInt8) -> UInt16 { UInt16(resource.rawValue) << 8 | UInt16(slot) }
}
