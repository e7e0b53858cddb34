import TraceModel

/// Takes one worker's message into the table. A section's values are taken where its LSN is not below the one
/// held; definitions always are, as later values go by them.
struct SeriesIntake: SeriesReceiver {
    let resource: Resource
    let sender: SlotSection.Source
    var table: SeriesTable
    var sections: [UInt16: SlotSection]
    var source: SeriesSource
    var losses: [LossKind: UInt64] = [:]
    /// Series of the table that went, with their last values.
    private(set) var gone: [(family: MetricFamily, value: MetricValue, isFolded: Bool)] = []
    /// The sender has to tell everything anew: what it sends can't be joined to what is held.
    private(set) var needsAll = false

    private var owner: UInt16 = 0
    private var isTaken = false
    private var isFull = false
    private var wasWhole = true
    /// Slots of which a full section has come, and whether it was taken.
    private var full: [UInt16: Bool] = [:]

    init(
        resource: Resource,
        sender: SlotSection.Source,
        table: SeriesTable,
        sections: [UInt16: SlotSection],
        source: SeriesSource
    ) {
        self.resource = resource
        self.sender = sender
        self.table = table
        self.sections = sections
        self.source = source
    }

    // MARK: Sections

    mutating func begin(_ section: SeriesSection) {
        owner = SlotSection.owner(resource, section.slot)
        isFull = section.isFull
        let held = sections[owner]
        wasWhole = held?.isWhole ?? true
        isTaken = section.lsn >= held?.lsn ?? 0
        if isTaken, !isFull, !wasWhole, held?.source != sender {
            isTaken = false
            needsAll = true
        }
        guard isTaken else { return }
        sections[owner] = SlotSection(lsn: section.lsn, source: sender, isWhole: false)
    }

    mutating func end(_ section: SeriesSection) {
        if isTaken { sections[owner]?.isWhole = section.isComplete && (isFull || wasWhole) }
        if isFull { full[owner] = isTaken }
    }

    /// What a full section no longer names has gone without a word. O(rows), once a message.
    mutating func releaseUnnamed() {
        guard !full.isEmpty else { return }
        var fullness = [UInt8](repeating: 0, count: 1 << 12)
        for (owner, isTaken) in full { fullness[Int(owner)] = isTaken ? 2 : 1 }
        for number in table.rows.indices {
            let row = table.rows[number]
            guard row.state.contains(.isAlive), fullness[Int(row.owner)] > 0 else { continue }
            if row.state.contains(.isNamed) {
                table.unmark(UInt32(number))
            } else if fullness[Int(row.owner)] == 2 || !row.state.contains(.isValued) {
                release(UInt32(number), row)
            }
        }
    }

    private mutating func release(_ number: UInt32, _ row: SeriesTable.Row) {
        if row.state.contains(.isValued) {
            let family = MetricCatalog.all[Int(row.family)].family
            gone.append((family, table.value(of: number), row.state.contains(.isFolded)))
        }
        table.release(number)
    }

    // MARK: Series

    mutating func define(_ id: UInt32, _ family: MetricFamily, _ labels: [String]) {
        let place = MetricCatalog.places[Int(family.rawValue)]
        guard let (row, wasFolded) = table.row(place, labels, owner: owner) else {
            losses[.sampleRefused, default: 0] += 1
            return source.set(id, SeriesSource.refused | UInt32(place))
        }
        if wasFolded { losses[.seriesOverflow, default: 0] += 1 }
        source.set(id, row)
    }

    @inline(__always)
    func family(of id: UInt32) -> MetricFamily? {
        let row = source[id]
        if row < SeriesSource.refused {
            return MetricCatalog.families[Int(table.rows[Int(row)].family)]
        }
        if row == SeriesSource.unknown { return nil }
        return MetricCatalog.families[Int(row & 0xFF)]
    }

    @inline(__always)
    mutating func take(_ id: UInt32, _ value: Double) {
        let row = source[id]
        guard canTake(row) else { return }
        if isCounter(row), !(value >= 0 && value < 0x1p64) { return refuse() }
        table.set(row, value)
    }

    @inline(__always)
    mutating func take(_ id: UInt32, _ buckets: UnsafeBufferPointer<UInt64>, sum: Double) {
        let row = source[id]
        guard canTake(row) else { return }
        guard sum.isFinite else { return refuse() }
        table.set(row, buckets, sum: sum)
    }

    @inline(__always)
    private mutating func canTake(_ row: UInt32) -> Bool {
        guard row < SeriesSource.refused else { return false }
        // An id of the sender's whose series is gone, or is another slot's: a mistake of the sender's.
        guard table.rows[Int(row)].owner == owner else {
            refuse()
            return false
        }
        if isFull { table.mark(row) }
        return isTaken
    }

    @inline(__always)
    private func isCounter(_ row: UInt32) -> Bool {
        MetricCatalog.kinds[Int(table.rows[Int(row)].family)] == .counter
    }

    private mutating func refuse() { losses[.sampleRefused, default: 0] += 1 }
}
