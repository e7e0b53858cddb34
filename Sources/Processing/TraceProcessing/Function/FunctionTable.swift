import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceWire

/// The functions of one process by name. A function keeps its position until others are evicted.
struct FunctionTable: ~Copyable {
    /// The name of the function that takes over the counts of evicted ones.
    private static var otherName: ByteView { ByteView("other") }

    private var statistics = EntryStore<FunctionStatistics>()
    private var index = IndexTable()
    private var dirty: [Int] = []
    /// The bytes that the slot's budget is charged with for the functions.
    private(set) var stateBytes = 0
    /// Whether functions have been evicted, so that a seemingly new one may have been known before.
    private var hasGivenUp = false

    init() {}

    /// Returns the function's position, adding it if it is new, and its name as shown, which identifies it.
    @inline(__always) mutating func position(
        of name: ByteView,
        _ context: EventContext
    ) -> (position: Int, name: EventText) {
        // The prefetch result; it is usually right, but may belong to another process.
        let found = context.found
        if found >= 0, found < statistics.count, isNamed(found, name) {
            return (found, EventText(name, isPlain: isPlain(found)))
        }
        let hash = NameHash.of(name)
        if let known = index.find(hash, { isNamed($0, name) }) {
            return (known, EventText(name, isPlain: isPlain(known)))
        }
        return addShown(name, hash)
    }

    /// Known names never need to be cut.
    @inline(never) private mutating func addShown(
        _ name: ByteView,
        _ nameHash: UInt64
    ) -> (position: Int, name: EventText) {
        let shown = RawBuffer.shown(name)
        let hash = shown.count < name.count ? NameHash.of(shown) : nameHash
        let position: Int
        if shown.count < name.count, let known = index.find(hash, { isNamed($0, shown) }) {
            position = known
        } else {
            position = append(FunctionStatistics(name: shown), hash)
            statistics[position].pointee.mayReturn = hasGivenUp
        }
        return (position, EventText(shown, isPlain: isPlain(position)))
    }

    @inline(__always) private func isNamed(_ position: Int, _ name: ByteView) -> Bool {
        statistics[position].pointee.name.equals(name)
    }

    @inline(__always) private func isPlain(_ position: Int) -> Bool {
        statistics[position].pointee.name.isPlain
    }

    // MARK: Prefetching

    /// Prefetches the name's index cell and returns the name's hash.
    @inline(__always) func prefetchIndex(_ name: ByteView) -> Int {
        let hash = NameHash.of(name)
        index.prefetchCell(hash)
        return Int(truncatingIfNeeded: hash)
    }

    /// Prefetches the cell with the address of the name's function. Returns the function's position, -1 for none.
    /// Only hashes are compared.
    @inline(__always) func prefetchPlace(_ hash: Int) -> Int {
        let position = index.probable(hash)
        if position >= 0 { statistics.prefetchPlace(position) }
        return position
    }

    @inline(__always) func prefetchStatistics(_ position: Int, isExit: Bool) {
        // Functions may have been evicted since the position was found.
        guard position < statistics.count else { return }
        prefetch(
            statistics[position],
            byteCount: isExit ? FunctionStatistics.exitBytes : FunctionStatistics.eventBytes
        )
    }

    @inline(__always) func prefetchSketch(_ position: Int) {
        guard position < statistics.count else { return }
        statistics[position].pointee.prefetchSketch()
    }

    @inline(__always) func prefetchName(_ position: Int) {
        guard position < statistics.count else { return }
        if let start = name(of: position).start { prefetch(start) }
    }

    // MARK: Functions

    private mutating func append(_ function: consuming FunctionStatistics, _ hash: UInt64) -> Int {
        index.insert(hash, position: statistics.count)
        stateBytes += function.stateBytes
        return statistics.append(function)
    }

    var count: Int { statistics.count }

    func name(of position: Int) -> ByteView { statistics[position].pointee.name.view }

    func text(of position: Int) -> EventText {
        EventText(name(of: position), isPlain: isPlain(position))
    }

    @inline(__always) func entered(_ position: Int) { statistics[position].pointee.entries += 1 }

    @inline(__always) func unmatched(_ position: Int) {
        statistics[position].pointee.unmatchedExits += 1
    }

    @inline(__always) func completed(
        _ position: Int,
        nanoseconds: Int64,
        selfNanoseconds: Int64,
        isSlow: Bool
    ) {
        statistics[position].pointee.complete(
            nanoseconds: nanoseconds,
            selfNanoseconds: selfNanoseconds,
            isSlow: isSlow
        )
    }

    /// Applies an event's counts; see `FunctionStatistics.count`.
    @inline(__always) mutating func count(
        _ position: Int,
        _ event: UnsafePointer<FunctionEvent>,
        used: StateSweep.Stamp
    ) -> UInt64 {
        change(position)
        statistics[position].pointee.lastUsed = used
        return statistics[position].pointee.count(
            event.pointee.callCount,
            averageMicroseconds: event.pointee.averageDurationMicroseconds
        )
    }

    /// Evaluates a call that has ended.
    @inline(__always) func evaluate(
        _ position: Int,
        nanoseconds: Int64,
        resolution: Int64,
        isSlow: Bool,
        _ context: EventContext
    ) {
        let function = statistics[position]
        function.pointee.rules.evaluate(
            nanoseconds: nanoseconds,
            resolution: resolution,
            isSlow: isSlow,
            of: function.pointee.name.view,
            key: UInt64(position),
            context
        )
    }

    func evaluateOpen(_ position: Int, nanoseconds: Int64, _ context: EventContext) {
        let function = statistics[position]
        function.pointee.rules.evaluateOpen(
            nanoseconds: nanoseconds,
            of: function.pointee.name.view,
            key: UInt64(position),
            context
        )
    }

    /// Stores what the agent reports of the function, and marks it as changed.
    @inline(__always) mutating func touch(
        _ position: Int,
        _ event: UnsafePointer<FunctionEvent>,
        used: StateSweep.Stamp
    ) {
        statistics[position].pointee.lastUsed = used
        statistics[position].pointee.callCount = event.pointee.callCount
        statistics[position].pointee.averageMicroseconds = event.pointee.averageDurationMicroseconds
        change(position)
    }

    @inline(__always) private mutating func change(_ position: Int) {
        guard !statistics[position].pointee.isDirty else { return }
        statistics[position].pointee.isDirty = true
        dirty.append(position)
    }

    mutating func collect(_ series: inout SeriesWriter, all: Bool) {
        if all {
            for position in 0..<statistics.count { statistics[position].pointee.collect(&series) }
        } else {
            for position in dirty { statistics[position].pointee.collect(&series) }
        }
        for position in dirty { statistics[position].pointee.isDirty = false }
        dirty.removeAll(keepingCapacity: true)
    }

    /// Visits the functions used in the open window, and begins a new one. Functions whose names summaries cut may
    /// share a name there: `activity` adds them up.
    func takeWindow(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    ) {
        let (ahead, sketchAhead) = (8, 4)
        for position in 0..<statistics.count {
            if position + ahead < statistics.count {
                prefetch(
                    statistics[position + ahead],
                    byteCount: MemoryLayout<FunctionStatistics>.size
                )
            }
            if position + sketchAhead < statistics.count {
                prefetchName(position + sketchAhead)
                prefetchSketch(position + sketchAhead)
            }
            statistics[position].pointee.takeWindow { part, place in
                if part.item.count < Limits.summaryNameBytesMax {
                    visit(part, 1, &place)
                } else {
                    activity.pointee.called(part)
                }
            }
        }
    }

    // MARK: Bounds

    borrowing func noteEntries(_ sweep: inout StateSweep) {
        for position in 0..<statistics.count {
            statistics.prefetch(position + EntryStore<FunctionStatistics>.ahead)
            let function = statistics[position]
            sweep.note(function.pointee.lastUsed, bytes: function.pointee.stateBytes)
        }
    }

    /// Evicts the functions that the sweep takes, except those with open calls (`isOpen`, by position). Their counts
    /// move to the function called `other`. Returns the new position of each function, `.max` for evicted ones; nil
    /// if all stay. O(functions).
    mutating func giveUp(
        _ sweep: inout StateSweep,
        isOpen: borrowing RawArray<Bool>,
        _ totals: UnsafeMutablePointer<SlotTotals>
    ) -> RawArray<UInt32>? {
        let known = statistics.count
        var positions = RawArray<UInt32>(capacity: known + 1)
        var other = index.find(NameHash.of(Self.otherName)) { isNamed($0, Self.otherName) }
        var kept: UInt32 = 0
        for position in 0..<known {
            statistics.prefetch(position + EntryStore<FunctionStatistics>.ahead)
            let function = statistics[position]
            let bytes = function.pointee.stateBytes
            guard position != other, !isOpen[position],
                sweep.takes(function.pointee.lastUsed, bytes: bytes)
            else {
                positions.append(kept)
                kept += 1
                continue
            }
            let into =
                other
                ?? append(FunctionStatistics(name: Self.otherName), NameHash.of(Self.otherName))
            other = into
            statistics[into].pointee.absorb(function)
            change(into)
            positions.append(.max)
            stateBytes -= bytes
        }
        guard kept < known else { return nil }
        totals.pointee.functionsEvicted += UInt64(known - Int(kept))
        hasGivenUp = true
        if statistics.count > known { positions.append(kept) }
        move(to: positions)
        return positions
    }

    private mutating func move(to positions: borrowing RawArray<UInt32>) {
        statistics.keep { positions[$0] != .max }
        index.move(to: positions)
        var kept = 0
        for position in dirty where positions[position] != .max {
            dirty[kept] = Int(positions[position])
            kept += 1
        }
        dirty.removeLast(dirty.count - kept)
    }

    // MARK: State

    /// A flag in the number of functions: they are in the compact format, not in that of older versions.
    private static let packed: UInt32 = 1 << 31

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(statistics.count) | Self.packed)
        buffer.append(byte: hasGivenUp ? 1 : 0)
        let namesAhead = 8
        for position in 0..<statistics.count {
            if position + namesAhead < statistics.count { prefetchName(position + namesAhead) }
            statistics[position].pointee.encode(into: &buffer)
        }
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        let count = try reader.integer(UInt32.self)
        if reader.version > StateVersion.beforeDialects {
            hasGivenUp = try reader.integer(UInt8.self) == 1
        }
        for _ in 0..<(count & ~Self.packed) {
            let function = try FunctionStatistics(
                decoding: &reader,
                isFixed: count & Self.packed == 0
            )
            let hash = NameHash.of(function.name.view)
            _ = append(function, hash)
        }
    }
}
