import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceWire

/// The functions of one process by name. A function keeps its position until others are given up.
struct FunctionTable: ~Copyable {
    /// What those are booked on that have been given up.
    private static var otherName: ByteView { ByteView("other") }

    private var statistics = EntryStore<FunctionStatistics>()
    private var index = IndexTable()
    private var dirty: [Int] = []
    /// What the functions take of their slot's budget.
    private(set) var stateBytes = 0
    /// Whether functions have been given up, so that one that seems new may have been known.
    private var hasGivenUp = false

    init() {}

    /// The function's position, and what is shown of its name, by which functions are told apart; a new one is remembered.
    @inline(__always) mutating func position(
        of name: ByteView,
        _ context: EventContext
    ) -> (position: Int, name: EventText) {
        // Where looking ahead found it: mostly, as it may have been another process's.
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

    /// No known name needs to be cut.
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

    // MARK: Looking ahead

    /// Sends for the name's cell; returns its hash.
    @inline(__always) func prefetchIndex(_ name: ByteView) -> Int {
        let hash = NameHash.of(name)
        index.prefetchCell(hash)
        return Int(truncatingIfNeeded: hash)
    }

    /// What the name's function probably is, -1 for none: equal hashes are enough here. Sends for where it lies.
    @inline(__always) func prefetchPlace(_ hash: Int) -> Int {
        let position = index.probable(hash)
        if position >= 0 { statistics.prefetchPlace(position) }
        return position
    }

    @inline(__always) func prefetchStatistics(_ position: Int, isExit: Bool) {
        // Functions may have been given up since it was found.
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

    /// As `FunctionStatistics.count`.
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

    /// What the rules remember of the function.
    @inline(__always) func judge(
        _ position: Int,
        nanoseconds: Int64,
        resolution: Int64,
        isSlow: Bool,
        _ context: EventContext
    ) {
        let function = statistics[position]
        function.pointee.rules.judge(
            nanoseconds: nanoseconds,
            resolution: resolution,
            isSlow: isSlow,
            of: function.pointee.name.view,
            key: UInt64(position),
            context
        )
    }

    func judgeOpen(_ position: Int, nanoseconds: Int64, _ context: EventContext) {
        let function = statistics[position]
        function.pointee.rules.judgeOpen(
            nanoseconds: nanoseconds,
            of: function.pointee.name.view,
            key: UInt64(position),
            context
        )
    }

    /// Remembers what the agent says of the function, and that it changed.
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

    /// Visits the functions that the open window has seen, and begins a new one. Those whose names summaries cut may be
    /// several of one name there: `activity` puts them together.
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

    /// Gives up the functions that the sweep takes, but those of calls that are open (`isOpen`, by position). The
    /// function called `other` counts for them from here on. Returns where each function is now, `.max` for those
    /// that are gone; nil where all stay. O(functions).
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

    /// Set in the number of functions where they are not in the form of versions before.
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
