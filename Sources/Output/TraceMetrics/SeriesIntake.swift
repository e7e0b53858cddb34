import TraceModel

/// Maps the series ids of one worker's incarnation to rows.
struct SeriesSource: Sendable {
    /// The id is not defined.
    static let unknown = UInt32.max
    /// Values from here on (below `unknown`) mean that the series has no row: it is a hidden gauge, or there was no
    /// room for it. The lowest byte is the family's catalog position.
    static let refused: UInt32 = 0xFFFF_FF00

    let incarnation: UInt64
    /// Rows by id.
    var rows: [UInt32] = []

    init(incarnation: UInt64) { self.incarnation = incarnation }

    @inline(__always) subscript(_ id: UInt32) -> UInt32 {
        Int(id) < rows.count ? rows[Int(id)] : Self.unknown
    }

    /// Maps an id to a row. The array grows up to the id, which `Limits.seriesIDsMax` bounds.
    mutating func set(_ id: UInt32, _ row: UInt32) {
        if Int(id) >= rows.count {
            rows.append(contentsOf: repeatElement(Self.unknown, count: Int(id) + 1 - rows.count))
        }
        rows[Int(id)] = row
    }
}

/// Applies one worker's message to the table. A section's values are taken if its LSN is not below the one held.
/// Definitions are always taken, because later values refer to them.
struct SeriesIntake: SeriesReceiver {
    let resource: Resource
    let sender: SlotSection.Source
    /// As in the sender's message.
    let renewedLSN: LSN
    var table: SeriesTable
    var sections: [UInt16: SlotSection]
    var source: SeriesSource
    var losses: [LossKind: UInt64] = [:]
    /// What `other` keeps counting of series that were released or started anew.
    private(set) var kept: [(family: MetricFamily, value: MetricValue)] = []
    /// What the previous owner of a slot has counted, of which the sender has no state.
    private(set) var retired: [(key: SeriesKey, value: MetricValue)] = []
    /// What slots have counted that no longer report a series that other slots may go on with.
    private(set) var outlived: [(key: SeriesKey, value: MetricValue)] = []
    /// Whether series have ended.
    private(set) var hasReleased = false
    /// True where the sender has to report everything anew, because its message can't be joined to what is held.
    private(set) var needsAll = false

    private var owner: UInt16 = 0
    private var isTaken = false
    private var isFull = false
    private var wasComplete = true
    /// Slots for which a full section has come, and whether it was taken.
    private var full: [UInt16: Bool] = [:]
    /// Processes of full sections that are quiet although their states are kept.
    private var quiet: Set<Process> = []

    /// A process of a slot, by the numbers of its label texts.
    private struct Process: Hashable {
        let owner: UInt16
        let host: UInt32
        let pid: UInt32
    }

    init(
        resource: Resource,
        sender: SlotSection.Source,
        renewedLSN: LSN,
        table: SeriesTable,
        sections: [UInt16: SlotSection],
        source: SeriesSource
    ) {
        self.resource = resource
        self.sender = sender
        self.renewedLSN = renewedLSN
        self.table = table
        self.sections = sections
        self.source = source
    }

    // MARK: Sections

    mutating func begin(_ section: SeriesSection) {
        owner = SlotSection.owner(resource, section.slot)
        isFull = section.isFull
        let held = sections[owner]
        wasComplete = held?.isComplete ?? true
        isTaken = section.lsn >= held?.lsn ?? 0
        // After an incomplete section, another sender has to report everything.
        if isTaken, !isFull, section.isComplete, !wasComplete, held?.source != sender {
            isTaken = false
            needsAll = true
        }
        guard isTaken else { return }
        if let held, held.source.process != sender.process, held.lsn <= renewedLSN { retireHeld() }
        sections[owner] = SlotSection(lsn: section.lsn, source: sender, isComplete: false)
    }

    /// Retires what another worker has reported of the slot: the sender got the slot without its state, so it counts from
    /// zero. O(rows), once for each such slot.
    private mutating func retireHeld() {
        var gone: Set<UInt32> = []
        for number in table.rows.indices {
            let row = table.rows[number]
            guard row.owner == owner, row.state.contains(.isAlive) else { continue }
            retired += table.retire(UInt32(number))
            gone.insert(UInt32(number))
        }
        // An earlier section, which was not taken, may have given ids to these rows.
        if source.rows.contains(where: { gone.contains($0) }) { needsAll = true }
    }

    mutating func end(_ section: SeriesSection) {
        if isTaken { sections[owner]?.isComplete = section.isComplete && (isFull || wasComplete) }
        if isFull { full[owner] = isTaken }
    }

    /// Releases the rows that full sections no longer name: those series are gone. O(rows), once a message.
    mutating func releaseUnnamed() {
        guard !full.isEmpty else { return }
        var fullness = [UInt8](repeating: 0, count: 1 << 12)
        for (owner, isTaken) in full { fullness[Int(owner)] = isTaken ? 2 : 1 }
        for number in table.rows.indices {
            let row = table.rows[number]
            guard row.state.contains(.isAlive), !row.state.contains(.isNamed) else { continue }
            let fullnessOfOwner = fullness[Int(row.owner)]
            guard fullnessOfOwner == 2 || fullnessOfOwner == 1 && !row.state.contains(.isValued)
            else { continue }
            release(UInt32(number), row)
        }
        // The marks are removed last, because releasing a row searches for others that are named.
        for number in table.rows.indices where table.rows[number].state.contains(.isNamed) {
            if fullness[Int(table.rows[number].owner)] > 0 { table.unmark(UInt32(number)) }
        }
    }

    private mutating func release(_ number: UInt32, _ row: SeriesTable.Row) {
        if !quiet.isEmpty, table.isInOther(number), MetricCatalog.haveHostAndPID[Int(row.family)],
            quiet.contains(Process(owner: row.owner, host: row.labels[0], pid: row.labels[1]))
        {
            if !row.state.contains(.isFolded) { table.fold(number) }
            return
        }
        if row.state.contains(.isValued) { losses[.seriesExpired, default: 0] += 1 }
        if let value = table.otherValue(of: number), !table.transferToOther(value, of: row) {
            keep(value, of: row)
        }
        if row.state.contains(.isValued) { outlive(number) }
        hasReleased = true
        table.release(number)
    }

    /// Keeps what the slot has counted of a series that outlives slots, and that `other` does not count.
    private mutating func outlive(_ number: UInt32) {
        let row = table.rows[Int(number)]
        guard MetricCatalog.families[Int(row.family)].outlivesSlots, !table.isInOther(number) else {
            return
        }
        outlived.append((table.key(of: row), table.value(of: number)))
    }

    private mutating func keep(_ value: MetricValue, of row: SeriesTable.Row) {
        kept.append((MetricCatalog.families[Int(row.family)], value))
    }

    /// Keeps what a series has counted so far that starts to count from zero.
    private mutating func startAnew(_ number: UInt32) {
        if table.isInOther(number) { keepOther(of: number) } else { outlive(number) }
    }

    /// Keeps what a series has counted so far in `other`, because the series starts anew.
    private mutating func keepOther(of number: UInt32) {
        if let value = table.otherValue(of: number) { keep(value, of: table.rows[Int(number)]) }
        table.setBase(nil, of: number)
    }

    // MARK: Series

    mutating func define(_ id: UInt32, _ family: MetricFamily, _ labels: [String]) {
        let position = MetricCatalog.positions[Int(family.rawValue)]
        switch table.findOrAdd(position, labels, owner: owner) {
        case .row(let row, let wasFolded):
            if wasFolded { losses[.seriesOverflow, default: 0] += 1 }
            source.set(id, row)
        case .hidden:
            losses[.seriesOverflow, default: 0] += 1
            source.set(id, SeriesSource.refused | UInt32(position))
        case .none:
            losses[.seriesDropped, default: 0] += 1
            source.set(id, SeriesSource.refused | UInt32(position))
        }
    }

    mutating func markQuiet(host: String, pid: String) {
        guard isTaken, let host = table.texts.number(of: host),
            let pid = table.texts.number(of: pid)
        else { return }
        quiet.insert(Process(owner: owner, host: host, pid: pid))
    }

    @inline(__always) func family(of id: UInt32) -> MetricFamily? {
        let row = source[id]
        if row < SeriesSource.refused {
            return MetricCatalog.families[Int(table.rows[Int(row)].family)]
        }
        if row == SeriesSource.unknown { return nil }
        return MetricCatalog.families[Int(row & 0xFF)]
    }

    @inline(__always) mutating func take(_ id: UInt32, _ value: Double) {
        let row = source[id]
        guard canTake(row) else { return }
        if isCounter(row) {
            guard value >= 0, value < 0x1p64 else { return refuse() }
            if value < table.number(of: row) { startAnew(row) }
        }
        table.set(row, value, isRepeated: isFull)
    }

    @inline(__always) mutating func take(
        _ id: UInt32,
        _ buckets: UnsafeBufferPointer<UInt64>,
        sum: Double
    ) {
        let row = source[id]
        guard canTake(row) else { return }
        guard sum.isFinite else { return refuse() }
        if table.isInOther(row), unsafe table.hasFallen(row, to: buckets) { keepOther(of: row) }
        unsafe table.set(row, buckets, sum: sum)
    }

    @inline(__always) private mutating func canTake(_ row: UInt32) -> Bool {
        guard row < SeriesSource.refused else { return false }
        // The id's series is gone or belongs to another slot: an error of the sender.
        guard table.rows[Int(row)].owner == owner else {
            refuse()
            return false
        }
        if isFull { table.mark(row) }
        return isTaken
    }

    @inline(__always) private func isCounter(_ row: UInt32) -> Bool {
        MetricCatalog.kinds[Int(table.rows[Int(row)].family)] == .counter
    }

    private mutating func refuse() { losses[.sampleRefused, default: 0] += 1 }
}
