import SystemIO
import TraceModel

/// Calls of a process that sends only some of its entries and exits. A call counts as proved if an entry and an exit
/// agree in thread, cookie and count of calls, and nothing contradicts. Everything else is shown as instants.
///
/// An entry waits until its exit comes, or can no longer come: because an exit around it came, because its function
/// has been entered again since (exits carry the count of calls so far), because too many entries wait, or because
/// the window ends. A row that follows a waiting one, at the same time of the same thread, waits with it, so that
/// viewers nest them correctly.
///
/// One kind of pair is ambiguous: if a function calls itself and the inner exit is missing, the outer exit carries
/// the count of the inner call, so the pair is taken for the inner call, with the end of the outer one.
///
/// Times of a thread may go back if a batch comes late or a clock is set. Calls are proved nevertheless; one that
/// would overlap another in the trace without nesting is shown as instants.
///
/// A pure value: events go in, and rows that can be written are left in `ready`.
struct SampledCalls: ~Copyable {
    /// An entry or exit, waiting or ready to be written.
    struct Record: BitwiseCopyable {
        /// What the record represents.
        enum Kind: UInt8 {
            /// An entry whose exit may still come.
            case open = 0
            /// The entry of a proved call.
            case begin = 1
            /// The exit of a proved call.
            case end = 2
            /// A single entry or exit.
            case instant = 3
        }

        let cookie: Int64
        /// The count of calls as sent.
        let callCount: UInt64
        let averageMicroseconds: UInt64
        let time: EpochNanoseconds
        /// For an entry the time taken so far by calls inside it, for an exit the duration of the call.
        var nanoseconds: Int64 = 0
        /// The position in the process's functions.
        var function: UInt32
        let tid: UInt32
        let eventType: Int32
        var kind: Kind
        /// Whether the call may be shown as a slice.
        var isSlice = true
        /// Whether an earlier window shows the entry as an instant.
        var isShown = false
        /// Whether the call has been reported as stuck.
        var isReportedStuck = false
    }

    /// A call that has been proved.
    struct Call {
        let began: EpochNanoseconds
        let nanoseconds: Int64
        /// The duration without proved calls inside.
        let selfNanoseconds: Int64
    }

    /// The records that wait of one thread.
    private struct Thread {
        let tid: UInt32
        var records: [Record] = []
        /// Whether the thread had no event since the last of `records`, which is an entry.
        var endsWithEntry = false
        /// The end of the last slice shown. Slices that begin or end before it could not nest with it.
        var shownUntil = EpochNanoseconds.min
        /// The stamp of the last batch with events of the thread.
        var lastUsed: StateSweep.Stamp

        init(tid: UInt32, lastUsed: StateSweep.Stamp) {
            self.tid = tid
            self.lastUsed = lastUsed
        }

        var stateBytes: Int { SampledCalls.threadBytes + records.count * SampledCalls.recordBytes }
    }

    private static var threadBytes: Int { MemoryLayout<Thread>.stride + StateCost.index + 64 }
    /// Twice the size, as arrays of records are half empty at worst.
    private static var recordBytes: Int { 2 * MemoryLayout<Record>.stride }

    /// The most entries of a thread that wait, with the rows behind them; beyond it the older half is given up.
    private static var waitingPerThreadMax: Int { Limits.openSlicesPerThreadMax }

    private var threads: [Thread] = []
    private var index = IndexTable()
    private var last = -1
    /// The newest count of calls by function.
    private var counts = RawArray<UInt64>(capacity: 4)
    /// The rows that can be written, in order. Emptied by `removeReady`.
    private(set) var ready = RawArray<Record>(capacity: 4)
    /// For how long threads had a call open, as far as it is settled and not taken yet.
    private var settledNanoseconds: UInt64 = 0
    /// The number of entries that wait.
    private(set) var openCount = 0
    /// The number of rows that wait: entries that no window shows yet, and rows behind entries.
    private(set) var waitingCount = 0

    init() {}

    mutating func removeReady() { ready.removeAll() }

    mutating func takeSettled() -> UInt64 {
        defer { settledNanoseconds = 0 }
        return settledNanoseconds
    }

    // MARK: Events

    /// Adds an entry; `record` is of the kind `open`. `used`: the stamp of its batch.
    mutating func enter(
        _ record: Record,
        used: StateSweep.Stamp,
        _ totals: UnsafeMutablePointer<SlotTotals>
    ) {
        note(record)
        let thread = find(record.tid) ?? add(record.tid, used)
        threads[thread].lastUsed = used
        while let innermost = threads[thread].records.last, innermost.kind == .open,
            isPast(innermost)
        {
            giveUp(threads[thread].records.count - 1, of: thread)
        }
        if threads[thread].records.count >= Self.waitingPerThreadMax {
            giveUpOlderHalf(of: thread, totals)
        }
        var record = record
        record.isSlice = record.isSlice && record.time >= threads[thread].shownUntil
        if record.isSlice { hideEntries(after: record.time, of: thread) }
        threads[thread].records.append(record)
        threads[thread].endsWithEntry = true
        openCount += 1
        waitingCount += 1
    }

    /// Marks waiting entries that are later than an entry inside them: they cannot be slices.
    private mutating func hideEntries(after time: EpochNanoseconds, of thread: Int) {
        for position in threads[thread].records.indices.reversed()
        where threads[thread].records[position].kind == .open
            && threads[thread].records[position].isSlice
        {
            guard threads[thread].records[position].time > time else { return }
            threads[thread].records[position].isSlice = false
        }
    }

    /// Adds an exit; `record` is of the kind `instant`. Returns the call that it ends, or nil if none is proved.
    /// `isPossible`: returns whether a call that began then can end with it; if not, both are shown as instants.
    mutating func exit(
        _ record: Record,
        used: StateSweep.Stamp,
        isPossible: (EpochNanoseconds) -> Bool
    ) -> Call? {
        note(record)
        guard let thread = find(record.tid) else {
            ready.append(record)
            return nil
        }
        threads[thread].endsWithEntry = false
        threads[thread].lastUsed = used
        guard
            let position = threads[thread].records.lastIndex(where: {
                $0.kind == .open && $0.function == record.function && $0.cookie == record.cookie
                    && $0.callCount == record.callCount
            })
        else {
            ready.append(record)
            return nil
        }
        // Calls that are open inside it can no longer end.
        for inner in stride(from: threads[thread].records.count - 1, to: position, by: -1)
        where threads[thread].records[inner].kind == .open { giveUp(inner, of: thread) }
        let entry = threads[thread].records[position]
        var call: Call?
        if isPossible(entry.time) {
            call = end(position, of: thread, record)
        } else {
            giveUp(position, of: thread)
            ready.append(record)
        }
        release(from: position, of: thread)
        return call
    }

    private mutating func end(_ position: Int, of thread: Int, _ record: Record) -> Call {
        let entry = threads[thread].records[position]
        let nanoseconds = max(record.time &- entry.time, 0)
        let call = Call(
            began: entry.time,
            nanoseconds: nanoseconds,
            selfNanoseconds: max(nanoseconds &- entry.nanoseconds, 0)
        )
        guard entry.isSlice, record.isSlice,
            record.time >= max(entry.time, threads[thread].shownUntil)
        else {
            // The time of calls inside it is part of its own duration.
            threads[thread].records[position].nanoseconds = nanoseconds
            giveUp(position, of: thread)
            ready.append(record)
            return call
        }
        threads[thread].records[position].kind = .begin
        openCount -= 1
        if entry.isShown { waitingCount += 1 }
        passOn(nanoseconds, from: position, of: thread)
        var record = record
        record.kind = .end
        record.nanoseconds = nanoseconds
        threads[thread].records.append(record)
        threads[thread].shownUntil = record.time
        waitingCount += 1
        return call
    }

    /// Adds a call's time to the waiting entry around it; if there is none, the time is settled.
    private mutating func passOn(_ nanoseconds: Int64, from position: Int, of thread: Int) {
        guard nanoseconds > 0 else { return }
        let around = threads[thread].records[..<position].lastIndex { $0.kind == .open }
        if let around {
            threads[thread].records[around].nanoseconds &+= nanoseconds
        } else {
            settledNanoseconds &+= UInt64(nanoseconds)
        }
    }

    /// Gives up an entry whose exit will not come.
    private mutating func giveUp(_ position: Int, of thread: Int) {
        var record = threads[thread].records.remove(at: position)
        passOn(record.nanoseconds, from: position, of: thread)
        openCount -= 1
        guard !record.isShown else { return }
        waitingCount -= 1
        record.kind = .instant
        ready.append(record)
    }

    private mutating func giveUpOlderHalf(
        of thread: Int,
        _ totals: UnsafeMutablePointer<SlotTotals>
    ) {
        let half = threads[thread].records.count / 2
        for position in (0..<half).reversed() where threads[thread].records[position].kind == .open
        {
            giveUp(position, of: thread)
            totals.pointee.openCallsEvicted += 1
        }
        release(from: 0, of: thread)
    }

    /// Moves to `ready` the rows that are not behind a waiting entry of the same time. All records before `position`
    /// wait already, or are of another time.
    private mutating func release(from position: Int, of thread: Int) {
        let count = threads[thread].records.count
        guard position < count else { return }
        let time = threads[thread].records[position].time
        var at = position
        while at > 0,
            threads[thread].records[at - 1].time == time || !threads[thread].records[at - 1].isSlice
        {
            at -= 1
        }
        var kept = at
        var waiting: EpochNanoseconds?
        while at < count {
            let record = threads[thread].records[at]
            at += 1
            if record.kind == .open {
                if record.isSlice { waiting = record.time }
            } else if record.time != waiting {
                ready.append(record)
                waitingCount -= 1
                continue
            }
            threads[thread].records[kept] = record
            kept += 1
        }
        threads[thread].records.removeLast(count - kept)
    }

    // MARK: Windows and time

    /// Moves everything that waits to `ready`, entries as instants. The entries are remembered, and a later window
    /// shows the call if the exit still comes.
    mutating func showAll() {
        for thread in threads.indices where !threads[thread].records.isEmpty {
            var kept: [Record] = []
            for var record in threads[thread].records {
                guard record.kind == .open else {
                    ready.append(record)
                    continue
                }
                if !record.isShown {
                    var shown = record
                    shown.kind = .instant
                    ready.append(shown)
                    record.isShown = true
                }
                kept.append(record)
            }
            threads[thread].records = kept
        }
        waitingCount = 0
    }

    /// Returns the entries until `limit` after which their threads had no event, each entry only once. O(threads).
    mutating func takeStuck(until limit: EpochNanoseconds) -> [Record] {
        guard openCount > 0 else { return [] }
        var stuck: [Record] = []
        for thread in threads.indices where threads[thread].endsWithEntry {
            let position = threads[thread].records.count - 1
            guard position >= 0 else { continue }
            let record = threads[thread].records[position]
            guard record.kind == .open, record.time <= limit, !record.isReportedStuck else {
                continue
            }
            threads[thread].records[position].isReportedStuck = true
            stuck.append(record)
        }
        return stuck
    }

    // MARK: Threads and counts

    private mutating func note(_ record: Record) {
        let function = Int(record.function)
        while counts.count <= function { counts.append(0) }
        counts[function] = RunningCount.next(after: counts[function], record.callCount)
    }

    /// Returns whether exits of its function already carry higher counts.
    private func isPast(_ entry: Record) -> Bool {
        entry.callCount != 0 && counts[Int(entry.function)] > entry.callCount
    }

    private mutating func find(_ tid: UInt32) -> Int? {
        if last >= 0, threads[last].tid == tid { return last }
        let threads = threads
        let found = index.find(NameHash.mix(UInt64(tid)), { threads[$0].tid == tid })
        last = found ?? -1
        return found
    }

    private mutating func add(_ tid: UInt32, _ used: StateSweep.Stamp) -> Int {
        append(Thread(tid: tid, lastUsed: used))
        last = threads.count - 1
        return last
    }

    private mutating func append(_ thread: Thread) {
        index.insert(NameHash.mix(UInt64(thread.tid)), position: threads.count)
        threads.append(thread)
    }

    // MARK: Bounds

    /// An upper bound, as an entry that waits counts twice.
    @inline(__always) var stateBytes: Int {
        threads.count &* Self.threadBytes &+ (openCount &+ waitingCount) &* Self.recordBytes
            &+ counts.count &* 2
            &* MemoryLayout<UInt64>.stride
    }

    borrowing func noteEntries(_ sweep: inout StateSweep) {
        for thread in threads { sweep.note(thread.lastUsed, bytes: thread.stateBytes) }
    }

    /// Evicts the threads that the sweep takes. Their waiting rows are left in `ready`, entries as instants.
    /// O(threads).
    mutating func giveUp(_ sweep: inout StateSweep, _ totals: UnsafeMutablePointer<SlotTotals>) {
        let known = threads.count
        var positions = RawArray<UInt32>(capacity: max(known, 1))
        var kept = 0
        for thread in 0..<known {
            guard sweep.takes(threads[thread].lastUsed, bytes: threads[thread].stateBytes) else {
                // Swapped rather than assigned, which would retain and release.
                if kept != thread { threads.swapAt(kept, thread) }
                positions.append(UInt32(kept))
                kept += 1
                continue
            }
            giveUpAll(of: thread, totals)
            positions.append(.max)
        }
        last = -1
        guard kept < known else { return }
        totals.pointee.threadsEvicted += UInt64(known - kept)
        threads.removeLast(known - kept)
        index.move(to: positions)
    }

    private mutating func giveUpAll(of thread: Int, _ totals: UnsafeMutablePointer<SlotTotals>) {
        guard !threads[thread].records.isEmpty else { return }
        for position in threads[thread].records.indices.reversed()
        where threads[thread].records[position].kind == .open {
            giveUp(position, of: thread)
            totals.pointee.openCallsEvicted += 1
        }
        for record in threads[thread].records { ready.append(record) }
        waitingCount -= threads[thread].records.count
        threads[thread].records = []
    }

    /// Visits the functions of all waiting records.
    borrowing func visitFunctions(_ visit: (UInt32) -> Void) {
        for thread in threads.indices where !threads[thread].records.isEmpty {
            for record in threads[thread].records { visit(record.function) }
        }
    }

    /// Updates the positions of functions, `.max` for evicted ones. `ready` must be empty.
    mutating func moveFunctions(_ positions: borrowing RawArray<UInt32>, count: Int) {
        precondition(ready.count == 0, "rows that are ready name functions")
        for thread in threads.indices {
            for record in threads[thread].records.indices {
                let function = threads[thread].records[record].function
                threads[thread].records[record].function = positions[Int(function)]
            }
        }
        guard counts.count > 0 else { return }
        var moved = RawArray<UInt64>(capacity: max(count, 4))
        for _ in 0..<min(count, counts.count) { moved.append(0) }
        for old in 0..<counts.count where positions[old] != .max && positions[old] < moved.count {
            moved[Int(positions[old])] = counts[old]
        }
        counts = moved
    }

    // MARK: State

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(counts.count))
        for count in counts.elements { buffer.append(varint: count) }
        buffer.append(varint: settledNanoseconds)
        buffer.append(integer: UInt32(threads.count))
        for thread in threads {
            buffer.append(integer: thread.tid)
            buffer.append(byte: thread.endsWithEntry ? 1 : 0)
            buffer.append(integer: thread.shownUntil)
            buffer.append(integer: thread.lastUsed)
            buffer.append(integer: UInt32(thread.records.count))
            for record in thread.records { Self.encode(record, into: &buffer) }
        }
    }

    private static func encode(_ record: Record, into buffer: inout RawBuffer) {
        buffer.append(integer: record.cookie)
        buffer.append(varint: record.callCount)
        buffer.append(varint: record.averageMicroseconds)
        buffer.append(integer: record.time)
        buffer.append(integer: record.nanoseconds)
        buffer.append(integer: record.function)
        buffer.append(integer: record.eventType)
        buffer.append(byte: record.kind.rawValue)
        buffer.append(
            byte: (record.isShown ? 1 : 0) | (record.isReportedStuck ? 2 : 0)
                | (record.isSlice ? 4 : 0)
        )
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt32.self)) { counts.append(try reader.varint()) }
        settledNanoseconds = try reader.varint()
        for _ in 0..<(try reader.integer(UInt32.self)) {
            var thread = Thread(tid: try reader.integer(UInt32.self), lastUsed: 0)
            thread.endsWithEntry = try reader.integer(UInt8.self) == 1
            thread.shownUntil = try reader.integer(Int64.self)
            thread.lastUsed = try reader.integer(UInt32.self)
            for _ in 0..<(try reader.integer(UInt32.self)) {
                let record = try Self.record(of: thread.tid, decoding: &reader)
                guard Int(record.function) < counts.count else { throw Self.damaged }
                thread.records.append(record)
                if record.kind == .open { openCount += 1 }
                if record.kind != .open || !record.isShown { waitingCount += 1 }
            }
            append(thread)
        }
    }

    private static func record(
        of tid: UInt32,
        decoding reader: inout StateReader
    ) throws(TraceError) -> Record {
        let cookie = try reader.integer(Int64.self)
        let callCount = try reader.varint()
        let average = try reader.varint()
        let time = try reader.integer(Int64.self)
        let nanoseconds = try reader.integer(Int64.self)
        let function = try reader.integer(UInt32.self)
        let eventType = try reader.integer(Int32.self)
        guard let kind = Record.Kind(rawValue: try reader.integer(UInt8.self)) else {
            throw damaged
        }
        let marks = try reader.integer(UInt8.self)
        return Record(
            cookie: cookie,
            callCount: callCount,
            averageMicroseconds: average,
            time: time,
            nanoseconds: nanoseconds,
            function: function,
            tid: tid,
            eventType: eventType,
            kind: kind,
            isSlice: marks & 4 != 0,
            isShown: marks & 1 != 0,
            isReportedStuck: marks & 2 != 0
        )
    }

    private static let damaged = TraceError(.corrupt, "Stored state holds no call that can be")
}
