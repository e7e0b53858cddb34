package import TraceModel

extension MetricStore {
    /// The format's name and version. A change of a family's labels or bounds needs a new version.
    private static let magic = Array("TRACEMS4".utf8)
    /// The previous format, in which anomalies have no host.
    private static let magicWithoutHosts = Array("TRACEMS3".utf8)
    /// The format before, which has neither limits nor what `other` counts of exposed series.
    private static let magicWithoutLimits = Array("TRACEMS2".utf8)
    /// The limits of stores in the oldest format.
    private static let limitsBefore = SeriesLimits(perFamily: 50_000)

    /// Encodes the store, appended to `head`, for a later run of the aggregator. It has no checksum of its own: the
    /// file that contains it has one.
    package func encoded(behind head: [UInt8] = []) -> [UInt8] {
        var writer = SavedMetricsWriter(head + Self.magic)
        writer.write(table.limits.perFamily)
        writer.write(table.limits.held)
        writer.write(revision)
        writer.write(losses.count)
        for (kind, count) in losses.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            writer.write(kind.rawValue)
            writer.write(count)
        }
        writer.write(retired)
        write(router, to: &writer)
        writer.write(processes.count)
        for (name, state) in processes.sorted(by: { $0.key < $1.key }) {
            writer.write(name)
            write(state, to: &writer)
        }
        write(sectionsTo: &writer)
        let saved = write(rowsTo: &writer)
        write(sources: saved, to: &writer)
        write(basesOf: saved, to: &writer)
        writer.write(Dictionary(uniqueKeysWithValues: othersShown.map { (.overflow(of: $0), $1) }))
        return writer.bytes
    }

    /// Restores a store that `encoded` saved, with its limits. All processes count as down until they report.
    /// - Throws: `TraceError(.corrupt)` where the bytes are damaged.
    package init(decoding bytes: [UInt8]) throws(TraceError) {
        let hasLimits = !bytes.starts(with: Self.magicWithoutLimits)
        let magics = [Self.magic, Self.magicWithoutHosts, Self.magicWithoutLimits]
        var reader = try SavedMetricsReader(
            bytes,
            magic: magics.first { bytes.starts(with: $0) } ?? Self.magic
        )
        reader.hasHostsOfAnomalies = bytes.starts(with: Self.magic)
        self.init(limits: hasLimits ? try Self.readLimits(from: &reader) : Self.limitsBefore)
        revision = try reader.readNumber()
        for _ in 0..<(try reader.readCount()) {
            let name = try reader.readText()
            let count = try reader.readNumber()
            guard let kind = LossKind(rawValue: name) else {
                throw SavedMetricsReader.damaged("there is no loss \(name)")
            }
            losses[kind] = count
        }
        retired = try reader.readValues()
        router = try Self.readRouter(from: &reader)
        for _ in 0..<(try reader.readCount()) {
            let name = try reader.readText()
            processes[name] = try Self.readProcess(from: &reader)
        }
        try readSections(from: &reader)
        let rows = try readRows(from: &reader)
        try readSources(of: rows, from: &reader)
        if hasLimits {
            try readBases(of: rows, from: &reader)
            for (key, value) in try reader.readValues() { othersShown[key.family] = value }
        }
        try reader.expectEnd()
    }

    private static func readLimits(
        from reader: inout SavedMetricsReader
    ) throws(TraceError) -> SeriesLimits {
        let (perFamily, held) = (try reader.readNumber(), try reader.readNumber())
        guard perFamily <= UInt64(UInt32.max), held <= UInt64(UInt32.max) else {
            throw SavedMetricsReader.damaged("its limits")
        }
        return SeriesLimits(perFamily: Int(perFamily), held: Int(held))
    }

    // MARK: Series

    private func write(sectionsTo writer: inout SavedMetricsWriter) {
        writer.write(sections.count)
        for (owner, section) in sections.sorted(by: { $0.key < $1.key }) {
            writer.write(UInt64(owner))
            writer.write(section.lsn)
            writer.write(section.source.process)
            writer.write(section.source.incarnation)
            writer.write(section.isComplete)
        }
    }

    private mutating func readSections(from reader: inout SavedMetricsReader) throws(TraceError) {
        for _ in 0..<(try reader.readCount()) {
            let raw = try reader.readNumber()
            guard let owner = UInt16(exactly: raw), Resource(rawValue: UInt8(owner >> 8)) != nil
            else {
                throw SavedMetricsReader.damaged("there is no slot \(raw)")
            }
            let lsn = try reader.readNumber()
            let source = SlotSection.Source(
                process: try reader.readText(),
                incarnation: try reader.readNumber()
            )
            sections[owner] = SlotSection(
                lsn: lsn,
                source: source,
                isComplete: try reader.readBool()
            )
        }
    }

    /// Writes all live rows. Returns each row's position among those written.
    private func write(rowsTo writer: inout SavedMetricsWriter) -> [UInt32] {
        var saved = [UInt32](repeating: SeriesSource.unknown, count: table.rows.count)
        var next: UInt32 = 0
        let texts = table.texts.texts
        var textNumbers = [Int?](repeating: nil, count: texts.count)
        writer.write(table.count)
        for (number, row) in table.rows.enumerated() where row.state.contains(.isAlive) {
            saved[number] = next
            next += 1
            let family = MetricCatalog.all[Int(row.family)]
            writer.write(UInt64(family.family.rawValue))
            writer.write(UInt64(row.owner))
            writer.write(UInt64(row.state.intersection([.isFolded, .isValued]).rawValue))
            for position in family.labels.indices {
                let text = Int(row.labels[position])
                if let number = textNumbers[text] {
                    writer.write(number)
                } else {
                    textNumbers[text] = writer.write(texts[text])
                }
            }
            writer.write(numbers: table.numbers(of: row))
        }
        return saved
    }

    /// Returns the rows in the order in which they were saved. A gauge that is no longer exposed has a
    /// `SeriesSource.refused` marker instead of a row.
    private mutating func readRows(
        from reader: inout SavedMetricsReader
    ) throws(TraceError) -> [UInt32] {
        var rows: [UInt32] = []
        for _ in 0..<(try reader.readCount()) {
            let family = try reader.readFamily()
            let raw = try reader.readNumber()
            guard let owner = UInt16(exactly: raw), Resource(rawValue: UInt8(owner >> 8)) != nil
            else {
                throw SavedMetricsReader.damaged("there is no slot \(raw)")
            }
            let state = SeriesTable.State(
                rawValue: UInt8(truncatingIfNeeded: try reader.readNumber())
            )
            let (labels, value) = try reader.readLabelsAndValue(of: family)
            let position = MetricCatalog.positions[Int(family.rawValue)]
            let count = table.count
            let isFolded = state.contains(.isFolded)
            switch table.findOrAdd(position, labels, owner: owner, isFolded: isFolded) {
            case .row(let row, _):
                guard table.count > count else {
                    throw SavedMetricsReader.damaged("a series appears twice")
                }
                if state.contains(.isValued) { table.set(row, value) }
                rows.append(row)
            case .hidden: rows.append(SeriesSource.refused | UInt32(position))
            case .none: throw SavedMetricsReader.damaged("more series than there may be")
            }
        }
        return rows
    }

    private func write(sources saved: [UInt32], to writer: inout SavedMetricsWriter) {
        writer.write(sources.count)
        for (process, source) in sources.sorted(by: { $0.key < $1.key }) {
            writer.write(process)
            writer.write(source.incarnation)
            writer.write(source.rows.count)
            for row in source.rows {
                let isRow = row < SeriesSource.refused
                // `SeriesSource.unknown` becomes 0.
                writer.write(UInt64((isRow ? saved[Int(row)] : row) &+ 1))
            }
        }
    }

    private mutating func readSources(
        of rows: [UInt32],
        from reader: inout SavedMetricsReader
    ) throws(TraceError) {
        for _ in 0..<(try reader.readCount()) {
            let process = try reader.readText()
            var source = SeriesSource(incarnation: try reader.readNumber())
            let count = try reader.readCount()
            source.rows.reserveCapacity(count)
            for _ in 0..<count {
                let raw = try reader.readNumber()
                guard raw <= UInt64(UInt32.max) else { throw SavedMetricsReader.damaged("an id") }
                let id = UInt32(raw) &- 1
                guard id >= SeriesSource.refused || Int(id) < rows.count,
                    id == SeriesSource.unknown || id < SeriesSource.refused
                        || Int(id & 0xFF) < MetricCatalog.all.count
                else { throw SavedMetricsReader.damaged("an id") }
                source.rows.append(id < SeriesSource.refused ? rows[Int(id)] : id)
            }
            sources[process] = source
        }
    }

    private func write(basesOf saved: [UInt32], to writer: inout SavedMetricsWriter) {
        writer.write(table.bases.count)
        for (number, base) in table.bases.sorted(by: { $0.key < $1.key }) {
            writer.write(UInt64(saved[Int(number)]))
            writer.write(numbers: base[...])
        }
    }

    private mutating func readBases(
        of rows: [UInt32],
        from reader: inout SavedMetricsReader
    ) throws(TraceError) {
        for _ in 0..<(try reader.readCount()) {
            let saved = try reader.readNumber()
            guard saved < UInt64(rows.count), rows[Int(saved)] < SeriesSource.refused else {
                throw SavedMetricsReader.damaged("there is no series \(saved)")
            }
            let number = rows[Int(saved)]
            let row = table.rows[Int(number)]
            let base = try reader.readNumbers(Int(MetricCatalog.widths[Int(row.family)]))
            guard row.state.contains(.isValued), Double(bitPattern: base[base.count - 1]).isFinite,
                table.value(of: number).isAtLeast(
                    MetricValue(MetricCatalog.kinds[Int(row.family)], base[...])
                )
            else { throw SavedMetricsReader.damaged("what other counts of a series") }
            guard !row.state.contains(.isFolded) else {
                throw SavedMetricsReader.damaged("a folded series")
            }
            table.setBase(base, of: number)
        }
    }

    // MARK: Processes

    private func write(_ state: ProcessState, to writer: inout SavedMetricsWriter) {
        writer.write(state.incarnation)
        writer.write(UInt64(state.pid))
        writer.write(state.appliedLSN)
        writer.write(state.checkpointLSN)
        writer.write(state.headLSN)
        writer.write(state.restarts)
        writer.write(state.isRetired)
        writer.write(state.own)
    }

    private static func readProcess(
        from reader: inout SavedMetricsReader
    ) throws(TraceError) -> ProcessState {
        let incarnation = try reader.readNumber()
        let pid = UInt32(truncatingIfNeeded: try reader.readNumber())
        var state = ProcessState(incarnation: incarnation, pid: pid)
        state.appliedLSN = try reader.readNumber()
        state.checkpointLSN = try reader.readNumber()
        state.headLSN = try reader.readNumber()
        state.restarts = try reader.readNumber()
        state.isRetired = try reader.readBool()
        state.own = try reader.readValues()
        state.isUp = false
        return state
    }

    // MARK: The router's status

    private func write(_ status: RouterStatus, to writer: inout SavedMetricsWriter) {
        writer.write(status.headLSN)
        writer.write(status.receivedEvents)
        writer.write(status.deduplicatedEvents)
        writer.write(status.rejectedEvents)
        writer.write(status.deadLetteredEvents)
        writer.write(status.window)
        writer.write(status.workers.count)
        for link in status.workers {
            writer.write("\(link.worker)")
            writer.write(link.lagBytes)
        }
    }

    /// Connections and readiness are not saved: the router reports them anew.
    private static func readRouter(
        from reader: inout SavedMetricsReader
    ) throws(TraceError) -> RouterStatus {
        var status = RouterStatus()
        status.headLSN = try reader.readNumber()
        status.receivedEvents = try reader.readNumber()
        status.deduplicatedEvents = try reader.readNumber()
        status.rejectedEvents = try reader.readNumber()
        status.deadLetteredEvents = try reader.readNumber()
        status.window = try reader.readNumber()
        for _ in 0..<(try reader.readCount()) {
            let name = try reader.readText()
            guard let worker = WorkerName(name) else {
                throw SavedMetricsReader.damaged("there is no worker \(name)")
            }
            let lag = try reader.readNumber()
            status.workers.append(WorkerLink(worker: worker, connected: false, lagBytes: lag))
        }
        return status
    }
}
