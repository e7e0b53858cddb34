package import SystemIO
package import TraceModel

/// The process whose parts are added to a summary.
@safe
package struct SummaryOwner {
    package let host: [UInt8]
    package let pid: UInt32
    private let ownName: [UInt8]
    private let name: ByteView

    package init(host: [UInt8], pid: UInt32, process: [UInt8]) {
        self.host = host
        self.pid = pid
        ownName = process
        name = .empty
    }

    /// Refers to the name in its owner's memory, as `SummaryPart` does: it is only read if there is a row.
    package init(host: [UInt8], pid: UInt32, name: ByteView) {
        self.host = host
        self.pid = pid
        ownName = []
        self.name = name
    }

    /// The process's last known name.
    package var process: [UInt8] { name.isEmpty ? ownName : unsafe Array(name.buffer) }
}

/// The contribution of one process, or of one of its items, to a summary. It refers to its owner's memory, because
/// there are many parts and few become rows. Valid only while it is being added.
@safe
package struct SummaryPart {
    /// Empty where the part is the process itself.
    package let item: ByteView
    package let values: SummaryValues
    package let sketch: UnsafePointer<QuantileSketch>

    package init(item: ByteView, values: SummaryValues, sketch: UnsafePointer<QuantileSketch>) {
        self.item = item
        self.values = values
        unsafe self.sketch = unsafe sketch
    }

    /// Whether the part's row comes before the row of a key.
    func precedes(_ key: SummaryRow.Key, of owner: SummaryOwner) -> Bool {
        let order = unsafe owner.host.withUnsafeBytes { host in
            unsafe key.host.withUnsafeBytes { unsafe SummaryRow.Key.order(host, $0) }
        }
        if order != 0 { return order < 0 }
        if owner.pid != key.pid { return owner.pid < key.pid }
        return unsafe key.item.withUnsafeBytes { unsafe SummaryRow.Key.order(item.buffer, $0) < 0 }
    }

    func row(of owner: SummaryOwner) -> SummaryRow {
        unsafe SummaryRow(
            key: SummaryRow.Key(host: owner.host, pid: owner.pid, item: Array(item.buffer)),
            process: owner.process,
            values: values,
            sketch: sketch.pointee
        )
    }
}

// Encoding, little-endian: u8 version, u8 resource, u64 events, u64 processes, i64 first and i64 last time, u8 number
// of tables, then that many tables in the schema's order. Version 2, which 0.1.0 wrote, has no number of tables
// (`SummarySchema.fixedTableCount`) and another encoding of rows' numbers (`SummaryValues`).

/// The summary of one resource in one window (of one worker or of all) or in several windows. It depends only on the
/// events and not on their distribution over workers: totals are sums, and the rows of a process come from one worker,
/// so the union of the workers' top lists contains the top list of all. For tables over processes see `SummaryTable`.
package struct WindowSummary: Sendable, Equatable {
    private static let version: UInt8 = 3
    private static let fixedVersion: UInt8 = 2

    package let resource: Resource
    package private(set) var events: UInt64 = 0
    /// The number of processes; for several windows, the greatest of one window.
    package private(set) var processes: UInt64 = 0
    /// First and last time of the events; meaningless without events.
    package private(set) var firstTime = EpochNanoseconds.max
    package private(set) var lastTime = EpochNanoseconds.min
    package private(set) var tables: [SummaryTable]
    /// The tables by process that tables over processes add up, one bit each.
    private let addedUp: UInt64

    package init(_ resource: Resource) {
        self.resource = resource
        let schemas = SummarySchema.tables(of: resource)
        tables = schemas.map { SummaryTable($0) }
        addedUp = Self.sources(of: schemas)
    }

    private static func sources(of schemas: [SummaryTableSchema]) -> UInt64 {
        schemas.compactMap(\.source).reduce(0) { $0 | 1 << UInt64($1) }
    }

    /// Sets the budget, in bytes, for the rows of each table over processes. It is not saved.
    package mutating func hold(overallWithin bytes: Int) {
        for position in tables.indices where tables[position].schema.source != nil {
            tables[position].overallBytesMax = bytes
        }
    }

    package var isEmpty: Bool { events == 0 }

    /// Counts a process and its events.
    package mutating func addProcess(
        events: UInt64,
        from first: EpochNanoseconds,
        to last: EpochNanoseconds
    ) {
        self.events += events
        processes += 1
        firstTime = min(firstTime, first)
        lastTime = max(lastTime, last)
    }

    /// Adds a row to a table by process, and to the tables that add such rows up. `position` is the row's last known
    /// position in the latter and is updated. `owner` is evaluated only if a row may be kept.
    package mutating func add(
        _ part: SummaryPart,
        of owner: @autoclosure () -> SummaryOwner,
        toTable table: Int,
        position rowPosition: inout UInt32
    ) {
        tables[table].add(part, of: owner)
        if isAddedUp(table) { addUp(part, of: owner(), table, &rowPosition) }
    }

    /// Adds to the totals and to the rows over processes, without keeping the process's own row. `owner` is evaluated only
    /// if a table over processes takes the part.
    package mutating func count(
        _ part: SummaryPart,
        of owner: @autoclosure () -> SummaryOwner,
        inTable table: Int
    ) {
        tables[table].count(part)
        guard isAddedUp(table) else { return }
        var rowPosition = UInt32.max
        addUp(part, of: owner(), table, &rowPosition)
    }

    private func isAddedUp(_ table: Int) -> Bool { addedUp >> UInt64(table) & 1 == 1 }

    private mutating func addUp(
        _ part: SummaryPart,
        of owner: SummaryOwner,
        _ table: Int,
        _ rowPosition: inout UInt32
    ) {
        for position in tables.indices where tables[position].schema.source == table {
            tables[position].addUp(part, of: owner, &rowPosition)
        }
    }

    /// Adds another worker's summary of the same window, or the summary of a later window.
    package mutating func merge(_ other: WindowSummary, isLater: Bool = false) {
        precondition(other.resource == resource)
        events += other.events
        processes = isLater ? max(processes, other.processes) : processes + other.processes
        firstTime = min(firstTime, other.firstTime)
        lastTime = max(lastTime, other.lastTime)
        for position in tables.indices {
            tables[position].merge(other.tables[position], isLater: isLater)
        }
    }

    /// Drops the rows that are in no top list.
    package mutating func keepTop() {
        for position in tables.indices {
            tables[position].keepTop()
            if let source = tables[position].schema.source {
                tables[position].takeTotals(of: tables[source])
            }
        }
    }

    // MARK: Encoding

    /// Appends the summary in the encoding described above.
    package func encode(into buffer: inout RawBuffer) {
        buffer.append(byte: Self.version)
        buffer.append(byte: resource.rawValue)
        buffer.append(integer: events)
        buffer.append(integer: processes)
        buffer.append(integer: firstTime)
        buffer.append(integer: lastTime)
        buffer.append(byte: UInt8(tables.count))
        for var table in tables {
            if let source = table.schema.source { table.takeTotals(of: tables[source]) }
            table.encode(into: &buffer)
        }
    }

    package var encoded: [UInt8] {
        var buffer = RawBuffer()
        encode(into: &buffer)
        return unsafe Array(buffer.bytes)
    }

    /// Decodes a summary.
    /// - Throws: `TraceError(.corrupt)` where the bytes are no summary.
    package init(decoding reader: inout StateReader) throws(TraceError) {
        let version = try reader.integer(UInt8.self)
        let isFixed = version == Self.fixedVersion
        guard isFixed || version == Self.version,
            let resource = Resource(rawValue: try reader.integer(UInt8.self))
        else { throw Self.damaged }
        self.resource = resource
        let events = try reader.integer(UInt64.self)
        let processes = try reader.integer(UInt64.self)
        let firstTime = try reader.integer(Int64.self)
        let lastTime = try reader.integer(Int64.self)
        let schemas = SummarySchema.tables(of: resource)
        let tableCount =
            isFixed
            ? SummarySchema.fixedTableCount(of: resource) : Int(try reader.integer(UInt8.self))
        guard tableCount <= schemas.count else { throw Self.damaged }
        tables = []
        for schema in schemas.prefix(tableCount) {
            tables.append(try SummaryTable(schema, decoding: &reader, isFixed: isFixed))
        }
        // Tables that the writer did not know are empty.
        tables += schemas.dropFirst(tableCount).map { SummaryTable($0) }
        addedUp = Self.sources(of: schemas)
        self.events = events
        self.processes = processes
        self.firstTime = firstTime
        self.lastTime = lastTime
    }

    /// Decodes bytes that contain exactly one summary.
    /// - Throws: `TraceError(.corrupt)` where they do not.
    package init(_ bytes: [UInt8]) throws {
        self = try unsafe bytes.withUnsafeBytes {
            var reader = unsafe StateReader($0)
            let summary = try WindowSummary(decoding: &reader)
            guard reader.remaining == 0 else { throw Self.damaged }
            return summary
        }
    }

    private static let damaged = TraceError(.corrupt, "A stored summary is damaged")
}
