import SystemIO
import TraceModel

/// The open calls of each thread of a process, innermost last.
///
/// Viewers support at most `Limits.openSlicesPerThreadMax` nested slices and know only what the file says: a call
/// that is given up here stays open there. So calls that are nested too deeply for viewers are shown as instants.
/// They are measured like all others.
struct OpenCalls: ~Copyable {
    /// A call whose exit has not arrived.
    struct Call: BitwiseCopyable {
        let cookie: Int64
        /// The position in the process's functions.
        fileprivate(set) var function: UInt32
        /// Its node in the call tree.
        fileprivate(set) var node = CallTree.root
        let began: EpochNanoseconds
        /// The time taken so far by calls inside it.
        var insideNanoseconds: Int64 = 0
        /// Whether entry and exit are shown as instants.
        var isInstant = false
        /// Whether the trace of an earlier window or of the open one has its entry as the beginning of a slice.
        var isSliceSomewhere = false
        /// Whether the call has been reported as stuck.
        var isReportedStuck = false
    }

    /// A call that has ended.
    struct Ended {
        let call: Call
        let nanoseconds: Int64
        /// The duration without calls inside.
        let selfNanoseconds: Int64

        /// The begin of the call, if only an earlier window's trace has it.
        @inline(__always) var beganElsewhere: EpochNanoseconds? {
            call.isInstant && call.isSliceSomewhere ? call.began : nil
        }
    }

    /// The open calls of one thread.
    private struct Thread {
        let tid: UInt32
        var calls: [Call] = []
        /// Whether the thread had no event since the innermost call began.
        var endsWithEntry = false
        /// The time up to which the open calls are charged with their time in the call tree. It does not go back while
        /// a call is open, so that no time is charged twice.
        var chargedUntil = EpochNanoseconds.min
        /// The number of open calls that are slices.
        var slices = 0
        /// The number of calls given up in this window that are still open slices in its trace.
        var abandoned = 0
        /// The stamp of the last batch with events of the thread.
        var lastUsed: StateSweep.Stamp

        init(tid: UInt32, lastUsed: StateSweep.Stamp) {
            self.tid = tid
            self.lastUsed = lastUsed
        }

        var stateBytes: Int { OpenCalls.threadBytes + calls.count * OpenCalls.callBytes }

        /// Whether one more slice would be nested too deeply.
        var isFull: Bool { slices + abandoned >= Limits.openSlicesPerThreadMax }
    }

    private static var threadBytes: Int { MemoryLayout<Thread>.stride + StateCost.index + 64 }
    /// Twice the size, as arrays of calls are half empty at worst.
    private static var callBytes: Int { 2 * MemoryLayout<Call>.stride }

    private var threads: [Thread] = []
    private var index = IndexTable()
    private var last = -1
    /// A lower bound of the begins of calls that have not been reported as stuck.
    private var unreportedSince = EpochNanoseconds.max
    private(set) var openCount = 0

    init() {}

    @inline(__always) private mutating func find(_ tid: UInt32) -> Int? {
        if last >= 0, threads[last].tid == tid { return last }
        let threads = threads
        let found = index.find(NameHash.mix(UInt64(tid)), { threads[$0].tid == tid })
        last = found ?? -1
        return found
    }

    /// Prefetches a thread's index cell.
    @inline(__always) func prefetchIndex(_ tid: UInt32) {
        index.prefetchCell(NameHash.mix(UInt64(tid)))
    }

    /// Begins a call. Returns whether it is to be shown as a slice. Beyond `Limits.openCallsPerThreadMax`, the
    /// outermost eighth of the calls is given up and counted. `clock`: the process's clock, which timestamps far
    /// ahead do not move. `used`: the stamp of the batch. `tree` counts the call, and the thread's time until now.
    mutating func push(
        _ call: Call,
        tid: UInt32,
        clock: EpochNanoseconds,
        used: StateSweep.Stamp,
        _ tree: inout CallTree,
        _ totals: UnsafeMutablePointer<SlotTotals>
    ) -> Bool {
        let thread = find(tid) ?? add(tid, used)
        threads[thread].lastUsed = used
        var call = call
        let parent = charge(thread, until: clock, &tree)
        call.node = tree.enter(call.function, from: parent, totals)
        call.isInstant = threads[thread].isFull
        call.isSliceSomewhere = !call.isInstant
        if threads[thread].calls.count >= Limits.openCallsPerThreadMax {
            giveUpOutermost(thread, totals)
        }
        threads[thread].calls.append(call)
        if !call.isInstant { threads[thread].slices += 1 }
        threads[thread].endsWithEntry = true
        unreportedSince = min(unreportedSince, call.began)
        openCount += 1
        return !call.isInstant
    }

    /// Charges the innermost open call with the time since the thread's last event. Returns its node, or the root.
    @inline(__always) private mutating func charge(
        _ thread: Int,
        until time: EpochNanoseconds,
        _ tree: inout CallTree
    ) -> UInt32 {
        let count = threads[thread].calls.count
        guard count > 0 else {
            threads[thread].chargedUntil = time
            return CallTree.root
        }
        let node = threads[thread].calls[count - 1].node
        let passed = time &- threads[thread].chargedUntil
        if passed > 0 {
            tree.charge(UInt64(bitPattern: passed), to: node)
            threads[thread].chargedUntil = time
        }
        return node
    }

    /// Gives up the outermost calls; many at a time, as the others have to be moved.
    private mutating func giveUpOutermost(_ thread: Int, _ totals: UnsafeMutablePointer<SlotTotals>)
    {
        let count = threads[thread].calls.count / 8
        let slices = threads[thread].calls[..<count].count { !$0.isInstant }
        threads[thread].slices -= slices
        threads[thread].abandoned += slices
        threads[thread].calls.removeFirst(count)
        openCount -= count
        totals.pointee.openCallsEvicted += UInt64(count)
    }

    /// Ends a call at `time` and returns it, or nil if no open call matches. The innermost match is taken, so that
    /// recursion unwinds in order. Only the innermost `Limits.openSlicesPerThreadMax` calls are searched, which
    /// bounds the cost of exits without an open call. Calls inside it whose exits never came end too: `giveUp` gets
    /// those that are slices, innermost first. `clock`, `tree`: as in `push`.
    @inline(__always) mutating func pop(
        cookie: Int64,
        function: UInt32,
        tid: UInt32,
        at time: EpochNanoseconds,
        clock: EpochNanoseconds,
        used: StateSweep.Stamp,
        _ tree: inout CallTree,
        giveUp: (Call) -> Void
    ) -> Ended? {
        guard let thread = find(tid) else { return nil }
        threads[thread].endsWithEntry = false
        threads[thread].lastUsed = used
        _ = charge(thread, until: clock, &tree)
        let first = max(threads[thread].calls.count - Limits.openSlicesPerThreadMax, 0)
        var position = threads[thread].calls.count - 1
        while position >= first {
            let call = threads[thread].calls[position]
            if call.cookie == cookie, call.function == function { break }
            position -= 1
        }
        guard position >= first else { return nil }
        while position < threads[thread].calls.count - 1 {
            let inner = threads[thread].calls.removeLast()
            openCount -= 1
            threads[thread].calls[threads[thread].calls.count - 1].insideNanoseconds &+=
                inner.insideNanoseconds
            if !inner.isInstant {
                threads[thread].slices -= 1
                giveUp(inner)
            }
        }
        let call = threads[thread].calls.removeLast()
        if !call.isInstant { threads[thread].slices -= 1 }
        openCount -= 1
        let nanoseconds = max(time &- call.began, 0)
        if position > 0 { threads[thread].calls[position - 1].insideNanoseconds &+= nanoseconds }
        return Ended(
            call: call,
            nanoseconds: nanoseconds,
            selfNanoseconds: max(nanoseconds &- call.insideNanoseconds, 0)
        )
    }

    /// Begins a window: visits the open calls that its trace repeats as slices, the outermost of a thread first.
    /// Calls that would exceed `bytesMax` are not repeated; their exits are shown as instants. `cost` returns an
    /// upper bound of the bytes that repeating a call takes. Returns the sum of the costs, and the number of calls
    /// not repeated. O(open calls).
    mutating func reopen(
        bytesMax: Int,
        cost: (Call) -> Int,
        visit: (UInt32, Call) -> Void
    ) -> (bytes: Int, omitted: Int) {
        guard openCount > 0 else {
            for thread in threads.indices { threads[thread].abandoned = 0 }
            return (0, 0)
        }
        var bytes = 0
        var omitted = 0
        var tooDeep = 0
        for thread in byLastUse {
            threads[thread].abandoned = 0
            threads[thread].slices = 0
            for position in threads[thread].calls.indices {
                let isTooDeep = threads[thread].slices >= Limits.openSlicesPerThreadMax
                let needed = cost(threads[thread].calls[position])
                let fits = !isTooDeep && omitted == 0 && bytes + needed <= bytesMax
                threads[thread].calls[position].isInstant = !fits
                if fits {
                    bytes += needed
                    threads[thread].slices += 1
                } else if !isTooDeep {
                    omitted += 1
                } else if threads[thread].calls[position].isSliceSomewhere {
                    tooDeep += 1
                }
            }
        }
        for thread in threads.indices {
            for position in threads[thread].calls.indices
            where !threads[thread].calls[position].isInstant {
                threads[thread].calls[position].isSliceSomewhere = true
                visit(threads[thread].tid, threads[thread].calls[position])
            }
        }
        return (bytes, omitted + tooDeep)
    }

    /// The threads in order of their last use, newest first, as their calls are the likeliest to end.
    private var byLastUse: [Int] {
        threads.indices.sorted { (threads[$1].lastUsed, $0) < (threads[$0].lastUsed, $1) }
    }

    /// Returns the innermost calls that began until `limit`, of threads that had no event since. Each call is returned
    /// only once. O(threads), and O(1) if there can be none.
    mutating func takeStuck(until limit: EpochNanoseconds) -> [(tid: UInt32, call: Call)] {
        guard unreportedSince <= limit else { return [] }
        unreportedSince = .max
        var stuck: [(UInt32, Call)] = []
        for thread in threads.indices {
            for call in threads[thread].calls where !call.isReportedStuck && call.began > limit {
                unreportedSince = min(unreportedSince, call.began)
            }
            let position = threads[thread].calls.count - 1
            guard position >= 0, threads[thread].endsWithEntry else { continue }
            let call = threads[thread].calls[position]
            guard !call.isReportedStuck, call.began <= limit else { continue }
            threads[thread].calls[position].isReportedStuck = true
            stuck.append((threads[thread].tid, call))
        }
        return stuck
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

    @inline(__always) var stateBytes: Int {
        threads.count &* Self.threadBytes &+ openCount &* Self.callBytes
    }

    borrowing func noteEntries(_ sweep: inout StateSweep) {
        // Accessed by position, as a copy of a thread would retain its array of calls.
        for thread in threads.indices {
            sweep.note(
                threads[thread].lastUsed,
                bytes: Self.threadBytes + threads[thread].calls.count * Self.callBytes
            )
        }
    }

    /// Evicts the threads that the sweep takes, and counts the calls open on them. O(threads).
    mutating func giveUp(_ sweep: inout StateSweep, _ totals: UnsafeMutablePointer<SlotTotals>) {
        let known = threads.count
        var positions = RawArray<UInt32>(capacity: max(known, 1))
        var kept = 0
        for position in 0..<known {
            guard sweep.takes(threads[position].lastUsed, bytes: threads[position].stateBytes)
            else {
                // Swapped rather than assigned, which would retain and release.
                if kept != position { threads.swapAt(kept, position) }
                positions.append(UInt32(kept))
                kept += 1
                continue
            }
            openCount -= threads[position].calls.count
            totals.pointee.openCallsEvicted += UInt64(threads[position].calls.count)
            positions.append(.max)
        }
        last = -1
        guard kept < known else { return }
        totals.pointee.threadsEvicted += UInt64(known - kept)
        threads.removeLast(known - kept)
        index.move(to: positions)
    }

    /// Visits the functions of the open calls.
    borrowing func visitFunctions(_ visit: (UInt32) -> Void) {
        for thread in threads.indices where !threads[thread].calls.isEmpty {
            for call in threads[thread].calls { visit(call.function) }
        }
    }

    /// Updates the positions of functions; those of open calls must still exist.
    mutating func moveFunctions(_ positions: borrowing RawArray<UInt32>) {
        for thread in threads.indices {
            for call in threads[thread].calls.indices {
                let function = threads[thread].calls[call].function
                threads[thread].calls[call].function = positions[Int(function)]
            }
        }
    }

    /// Visits the nodes of the open calls.
    borrowing func visitNodes(_ visit: (UInt32) -> Void) {
        for thread in threads.indices where !threads[thread].calls.isEmpty {
            for call in threads[thread].calls { visit(call.node) }
        }
    }

    /// Updates the positions of nodes; those of open calls must still exist.
    mutating func moveNodes(_ positions: borrowing RawArray<UInt32>) {
        for thread in threads.indices {
            for call in threads[thread].calls.indices {
                threads[thread].calls[call].node = positions[Int(threads[thread].calls[call].node)]
            }
        }
    }

    // MARK: State

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(threads.count))
        for thread in threads {
            buffer.append(integer: thread.tid)
            buffer.append(integer: UInt32(thread.abandoned))
            buffer.append(byte: thread.endsWithEntry ? 1 : 0)
            buffer.append(integer: thread.chargedUntil)
            buffer.append(integer: thread.lastUsed)
            buffer.append(integer: UInt32(thread.calls.count))
            for call in thread.calls {
                buffer.append(integer: call.cookie)
                buffer.append(integer: call.function)
                buffer.append(integer: call.node)
                buffer.append(integer: call.began)
                buffer.append(integer: call.insideNanoseconds)
                buffer.append(byte: call.isInstant ? 1 : 0)
                buffer.append(byte: call.isReportedStuck ? 1 : 0)
                buffer.append(byte: call.isSliceSomewhere ? 1 : 0)
            }
        }
    }

    /// Decodes the state. `tree`: that of the same process, which gets the paths of open calls where the state is of
    /// a version without trees.
    init(decoding reader: inout StateReader, _ tree: inout CallTree) throws(TraceError) {
        for _ in 0..<(try reader.integer(UInt32.self)) {
            var thread = Thread(tid: try reader.integer(UInt32.self), lastUsed: 0)
            thread.abandoned = Int(try reader.integer(UInt32.self))
            let isOld = reader.version <= StateVersion.beforeDialects
            if !isOld {
                thread.endsWithEntry = try reader.integer(UInt8.self) == 1
                thread.chargedUntil = try reader.integer(Int64.self)
                thread.lastUsed = try reader.integer(UInt32.self)
            }
            for _ in 0..<(try reader.integer(UInt32.self)) {
                let cookie = try reader.integer(Int64.self)
                let function = try reader.integer(UInt32.self)
                let node =
                    isOld
                    ? tree.open(function, from: thread.calls.last?.node ?? CallTree.root)
                    : try reader.integer(UInt32.self)
                guard node < tree.nodes.count else {
                    throw TraceError(.corrupt, "Stored state holds a call outside of its tree")
                }
                var call = Call(
                    cookie: cookie,
                    function: function,
                    node: node,
                    began: try reader.integer(Int64.self),
                    insideNanoseconds: isOld ? 0 : try reader.integer(Int64.self),
                    isInstant: try reader.integer(UInt8.self) == 1,
                    isReportedStuck: try reader.integer(UInt8.self) == 1
                )
                call.isSliceSomewhere =
                    isOld ? !call.isInstant : try reader.integer(UInt8.self) == 1
                if !call.isReportedStuck { unreportedSince = min(unreportedSince, call.began) }
                thread.calls.append(call)
                if !call.isInstant { thread.slices += 1 }
                if isOld { thread.chargedUntil = call.began }
            }
            openCount += thread.calls.count
            append(thread)
        }
    }
}
