import SystemIO
import TraceModel

/// Calls of a process of whose entries and exits only some come. A call is what is proved to be one: an entry and an
/// exit of one thread, cookie and count of calls, with nothing that contradicts. All else is shown as instants.
///
/// An entry waits until its exit comes, or can't come any more: as an exit around it came, as its function has been
/// entered again since (exits carry the count of calls so far), as there are too many, or as the window ends. A row that
/// belongs behind one that waits, at the same time of the same thread, waits with it, so that viewers nest them right.
///
/// One kind of pair can't be told apart: a function that calls itself and whose inner exit did not come leaves with the
/// count of the inner call, so the pair is taken for that one, with the outer one's end.
///
/// Times of a thread may go back, as a batch comes late or a clock is set. Calls are proved all the same; one that would
/// cross another one in the trace is shown as instants.
///
/// A pure value: events go in, and what can be written is left in `ready`.
struct SampledCalls: ~Copyable {
    struct Record: BitwiseCopyable {
        enum Kind: UInt8 {
            /// An entry whose exit may come.
            case open = 0
            /// The entry of a call.
            case begin = 1
            /// The exit of a call.
            case end = 2
            /// An entry or exit by itself.
            case instant = 3
        }

        let cookie: Int64
        /// As sent.
        let callCount: UInt64
        let averageMicroseconds: UInt64
        let time: EpochNanoseconds
        /// Of an entry what calls inside it took so far, of an exit how long the call took.
        var nanoseconds: Int64 = 0
        /// Position in the process's functions.
        var function: UInt32
        let tid: UInt32
        let eventType: Int32
        var kind: Kind
        /// Whether the call may be shown as a slice.
        var isSlice = true
        /// Whether an earlier window shows the entry as an instant.
        var isShown = false
        /// Whether it was told that the call is stuck.
        var isToldStuck = false
    }

    /// A call that has been proved.
    struct Call {
        let began: EpochNanoseconds
        let nanoseconds: Int64
        /// Less what proved calls inside it took.
        let selfNanoseconds: Int64
    }

    private struct Thread {
        let tid: UInt32
        var records: [Record] = []
        /// Whether nothing has come of the thread since the last of `records`, an entry.
        var endsWithEntry = false
        /// The end of the last slice shown: none that begins or ends before it could nest with it.
        var shownUntil = EpochNanoseconds.min
        /// When a batch last had something of the thread.
        var lastUsed: StateSweep.Stamp

        init(tid: UInt32, lastUsed: StateSweep.Stamp) {
            self.tid = tid
            self.lastUsed = lastUsed
        }

        var stateBytes: Int { SampledCalls.threadBytes + records.count * SampledCalls.recordBytes }
    }

    private static var threadBytes: Int { MemoryLayout<Thread>.stride + StateCost.index + 64 }
    /// Arrays of records are half empty at worst.
    private static var recordBytes: Int { 2 * MemoryLayout<Record>.stride }

    /// Entries of one thread that wait, with rows behind them; beyond it the older half is given up.
    private static var waitingPerThreadMax: Int { Limits.openSlicesPerThreadMax }

    private var threads: [Thread] = []
    private var index = IndexTable()
    private var last = -1
    /// The newest count of calls by function.
    private var counts = RawArray<UInt64>(capacity: 4)
    /// What can be written, in its order. Emptied by `removeReady`.
    private(set) var ready = RawArray<Record>(capacity: 4)
    /// How long threads had a call open, as far as that is settled since it was last taken.
    private var settledNanoseconds: UInt64 = 0
    /// Entries that wait.
    private(set) var openCount = 0
    /// Rows that wait: entries that no window shows yet, and what stands behind entries.
    private(set) var waitingCount = 0

    init() {}

    mutating func removeReady() { ready.removeAll() }

    mutating func takeSettled() -> UInt64 {
        defer { settledNanoseconds = 0 }
        return settledNanoseconds
    }

    // MARK: Events

    /// An entry; `record` is open. `used`: when its batch came.
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

    /// Entries that wait and are later than one inside them are none of slices.
    private mutating func hideEntries(after time: EpochNanoseconds, of thread: Int) {
        for position in threads[thread].records.indices.reversed()
        where threads[thread].records[position].kind == .open
            && threads[thread].records[position].isSlice
        {
            guard threads[thread].records[position].time > time else { return }
            threads[thread].records[position].isSlice = false
        }
    }

    /// An exit; `record` is one by itself. The call that it ends; nil where none is proved. `isPossible`: whether a call
    /// that began then can have ended with it; if not, both are shown by themselves.
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
        // What is open inside it can't be ended any more.
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
            // What calls inside it took is part of what it took.
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

    /// What a call took counts for the entry around it that waits, or is settled where there is none.
    private mutating func passOn(_ nanoseconds: Int64, from position: Int, of thread: Int) {
        guard nanoseconds > 0 else { return }
        let around = threads[thread].records[..<position].lastIndex { $0.kind == .open }
        if let around {
            threads[thread].records[around].nanoseconds &+= nanoseconds
        } else {
            settledNanoseconds &+= UInt64(nanoseconds)
        }
    }

    /// An entry whose exit won't come.
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

    /// Moves to `ready` what does not stand behind an entry that waits, of the same time. All before `position` waits
    /// already, or is of another time.
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

    /// Moves all that waits to `ready`, entries as instants. These are remembered: a later window shows the call whose
    /// exit still comes.
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

    /// The entries until `limit` since which nothing has come of their threads and that were not taken so before.
    /// O(threads).
    mutating func takeStuck(until limit: EpochNanoseconds) -> [Record] {
        guard openCount > 0 else { return [] }
        var stuck: [Record] = []
        for thread in threads.indices where threads[thread].endsWithEntry {
            let position = threads[thread].records.count - 1
            guard position >= 0 else { continue }
            let record = threads[thread].records[position]
            guard record.kind == .open, record.time <= limit, !record.isToldStuck else { continue }
            threads[thread].records[position].isToldStuck = true
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

    /// Whether exits of its function carry other counts by now.
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

    /// At most, as an entry that waits counts twice.
    @inline(__always) var stateBytes: Int {
        threads.count &* Self.threadBytes &+ (openCount &+ waitingCount) &* Self.recordBytes
            &+ counts.count &* 2
            &* MemoryLayout<UInt64>.stride
    }

    borrowing func noteEntries(_ sweep: inout StateSweep) {
        for thread in threads { sweep.note(thread.lastUsed, bytes: thread.stateBytes) }
    }

    /// Gives up the threads that the sweep takes; what waited of them is left in `ready`, entries as instants.
    /// O(threads).
    mutating func giveUp(_ sweep: inout StateSweep, _ totals: UnsafeMutablePointer<SlotTotals>) {
        let known = threads.count
        var positions = RawArray<UInt32>(capacity: max(known, 1))
        var kept = 0
        for thread in 0..<known {
            guard sweep.takes(threads[thread].lastUsed, bytes: threads[thread].stateBytes) else {
                // Swapped, so that no reference is counted.
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

    /// Visits the functions of all that waits.
    borrowing func visitFunctions(_ visit: (UInt32) -> Void) {
        for thread in threads.indices where !threads[thread].records.isEmpty {
            for record in threads[thread].records { visit(record.function) }
        }
    }

    /// Functions have other positions from here on, `.max` those that are gone. Nothing may be in `ready`.
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
            byte: (record.isShown ? 1 : 0) | (record.isToldStuck ? 2 : 0) | (record.isSlice ? 4 : 0)
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
            isToldStuck: marks & 2 != 0
        )
    }

    private static let damaged = TraceError(.corrupt, "Stored state holds no call that can be")
}
