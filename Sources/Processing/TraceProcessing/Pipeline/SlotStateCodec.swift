import AnomalyRules
import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries

// State of a slot
// ===============
//
// In checkpoints and hand-over files, little-endian: the slot's totals, the summary of what its evicted processes did in
// the open window, the number of its processes (u32), for each process the fields in the order of `encode`, and the
// findings by host (`HostAccounts`).

/// Encodes and decodes the state of a slot's processes.
enum SlotStateCodec {
    /// Appends the state of a slot. O(processes of the slot).
    static func encode<Model: ProcessModel & ~Copyable>(
        slot: UInt8,
        of processes: borrowing ProcessLifecycle<Model>,
        into buffer: inout RawBuffer
    ) {
        processes.totals[Int(slot)].encode(into: &buffer)
        let evicted = processes.evicted[slot] ?? WindowSummary(Model.Event.resource)
        evicted.encode(into: &buffer)
        let entries = processes.table.entries(of: slot)
        buffer.append(integer: UInt32(entries.count))
        for entry in entries { encode(entry, files: processes.files, into: &buffer) }
        processes.hosts.encode(slot: slot, into: &buffer, files: processes.files)
    }

    private static func encode<Model: ProcessModel & ~Copyable>(
        _ entry: ProcessTable<Model>.Entry,
        files: TraceFileManager,
        into buffer: inout RawBuffer
    ) {
        let host = files.hostName(entry.pointee.host)
        buffer.append(integer: UInt16(host.utf8.count))
        buffer.append(host)
        buffer.append(byte: files.isThisMachine(entry.pointee.host) ? 1 : 0)
        buffer.append(integer: entry.pointee.pid)
        buffer.append(integer: entry.pointee.lastTime)
        buffer.append(integer: entry.pointee.lastArrival)
        buffer.append(integer: entry.pointee.lastHeard)
        buffer.append(integer: entry.pointee.namedWindow)
        entry.pointee.threads.encode(into: &buffer)
        entry.pointee.given.encode(into: &buffer)
        entry.pointee.activity.pointee.encode(into: &buffer)
        entry.pointee.suppressed.pointee.encode(into: &buffer)
        buffer.append(integer: UInt64(entry.pointee.chargedBytes))
        entry.pointee.model.encode(into: &buffer)
    }

    /// Decodes the state of a slot that has none. O(processes of the slot).
    /// - Throws: `TraceError(.corrupt)` if the bytes are not valid state.
    static func decode<Model: ProcessModel & ~Copyable>(
        slot: UInt8,
        of processes: inout ProcessLifecycle<Model>,
        from reader: inout StateReader
    ) throws {
        processes.totals[Int(slot)] = try SlotTotals(decoding: &reader)
        var lost = try WindowSummary(decoding: &reader)
        lost.hold(overallWithin: Limits.summaryEvictedBytesMax)
        if !lost.isEmpty { processes.evicted[slot] = lost }
        for _ in 0..<(try reader.integer(UInt32.self)) {
            try decodeProcess(slot: slot, of: &processes, from: &reader)
        }
        if reader.version > StateVersion.beforeHosts {
            try processes.hosts.decode(slot: slot, from: &reader, files: processes.files)
        }
        if processes.files.hasEvictedHosts { processes.forgetHosts() }
    }

    private static func decodeProcess<Model: ProcessModel & ~Copyable>(
        slot: UInt8,
        of processes: inout ProcessLifecycle<Model>,
        from reader: inout StateReader
    ) throws {
        let isDialect = reader.version > StateVersion.beforeDialects
        let length = Int(try reader.integer(UInt16.self))
        let name = ByteView(try reader.bytes(length))
        let isThisMachine = try reader.integer(UInt8.self) == 1
        // A host restored from a checkpoint has not sent anything now, so this is no use of it.
        let host = processes.files.registerHost(
            name,
            isThisMachine: isThisMachine,
            countsAsUse: false
        )
        let pid = try reader.integer(UInt32.self)
        let time = try reader.integer(Int64.self)
        let arrival = try reader.integer(Int64.self)
        let heard = try reader.integer(Int64.self)
        let namedWindow = try reader.integer(UInt64.self)
        let threads = try ThreadNames(decoding: &reader)
        let given = isDialect ? try GivenNames(decoding: &reader) : GivenNames()
        let activity = try WindowActivity(decoding: &reader)
        let suppressed =
            isDialect ? try SuppressedFindings(decoding: &reader) : SuppressedFindings()
        let charged = isDialect ? Int(exactly: try reader.integer(UInt64.self)) : nil
        let model = try Model(decoding: &reader)
        var unused = Model()
        let entry = ProcessEntry.initialize(
            in: processes.table.takeMemory(for: &unused),
            host: host,
            pid: pid,
            slot: slot,
            rules: processes.rules.thresholds(comm: .empty, host: "", pid: pid),
            model: model,
            time: time,
            arrival: arrival
        )
        entry.pointee.lastHeard = heard
        entry.pointee.namedWindow = namedWindow
        entry.pointee.threads = threads
        entry.pointee.given = given
        entry.pointee.suppressed.pointee = suppressed
        entry.pointee.activity.pointee = activity
        entry.pointee.chargedBytes = charged ?? entry.pointee.stateBytes
        processes.adopt(entry)
    }
}
