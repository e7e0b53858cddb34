package import TraceModel

extension MetricStore {
    /// Names the format and its version. A change of a family's labels or bounds needs a new one.
    private static let magic = Array("TRACEMS1".utf8)

    /// The whole store as bytes, for a later run of the aggregator. Without a checksum: the file
    /// around it has one.
    package func encoded() -> [UInt8] {
        var writer = StateWriter()
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
        writer.write(sections.count)
        for (key, section) in sections { write(key, section, to: &writer) }
        return writer.finish(magic: Self.magic)
    }

    /// The store that `encoded` saved. All processes count as down until they are heard.
    package init(
        decoding bytes: [UInt8],
        seriesPerFamilyMax: Int = Limits.seriesPerMetricMax,
        seriesHeldMax: Int = Limits.seriesHeldMax
    ) throws(TraceError) {
        self.init(seriesPerFamilyMax: seriesPerFamilyMax, seriesHeldMax: seriesHeldMax)
        var reader = try StateReader(bytes, magic: Self.magic)
        revision = try reader.readNumber()
        for _ in 0..<(try reader.readCount()) {
            let name = try reader.readText()
            let count = try reader.readNumber()
            guard let kind = LossKind(rawValue: name) else {
                throw StateReader.damaged("there is no loss \(name)")
            }
            losses[kind] = count
        }
        retired = try reader.readValues()
        router = try Self.readRouter(from: &reader)
        for _ in 0..<(try reader.readCount()) {
            let name = try reader.readText()
            processes[name] = try Self.readProcess(from: &reader)
        }
        for _ in 0..<(try reader.readCount()) { try readSection(from: &reader) }
        try reader.expectEnd()
    }

    // MARK: Sections

    private func write(
        _ key: SlotSection.Key,
        _ section: SlotSection,
        to writer: inout StateWriter
    ) {
        writer.write(UInt64(key.resource.rawValue))
        writer.write(UInt64(key.slot))
        writer.write(section.lsn)
        writer.write(section.source.process)
        writer.write(section.source.incarnation)
        writer.write(section.values.count)
        for (number, value) in section.values {
            writer.write(table.isFolded(number))
            writer.write(table.key(of: number))
            writer.write(value)
        }
    }

    private mutating func readSection(from reader: inout StateReader) throws(TraceError) {
        let rawResource = try reader.readNumber()
        let rawSlot = try reader.readNumber()
        guard let resource = UInt8(exactly: rawResource).flatMap(Resource.init(rawValue:)),
            let slot = UInt8(exactly: rawSlot)
        else { throw StateReader.damaged("there is no slot \(rawSlot) of \(rawResource)") }
        let lsn = try reader.readNumber()
        let source = SlotSection.Source(
            process: try reader.readText(),
            incarnation: try reader.readNumber()
        )
        var section = SlotSection(lsn: lsn, source: source, values: [:])
        for _ in 0..<(try reader.readCount()) {
            let folded = try reader.readBool()
            let (key, value) = try reader.readSample()
            guard let (number, _) = table.hold(key, folded: folded),
                section.values.updateValue(value, forKey: number) == nil
            else { throw StateReader.damaged("a series stands twice") }
        }
        sections[SlotSection.Key(resource: resource, slot: slot)] = section
    }

    // MARK: Processes

    private func write(_ state: ProcessState, to writer: inout StateWriter) {
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
        from reader: inout StateReader
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

    private func write(_ status: RouterStatus, to writer: inout StateWriter) {
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

    /// Connections and readiness are not saved: they are the router's to tell anew.
    private static func readRouter(
        from reader: inout StateReader
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
                throw StateReader.damaged("there is no worker \(name)")
            }
            let lag = try reader.readNumber()
            status.workers.append(WorkerLink(worker: worker, connected: false, lagBytes: lag))
        }
        return status
    }
}
