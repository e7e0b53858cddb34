import SystemIO
import TraceMetrics
import TraceModel
import TraceSummaries

/// Calls and durations of one function of one process. There are many, spread over memory: the fields that every
/// event needs are in the first cache line, those that the end of a call needs follow.
struct FunctionStatistics: ~Copyable {
    let name: OwnedName
    /// Calls: entries, or the agent's count if only some events are sent.
    var entries: UInt64 = 0
    /// The values that the agent sent last.
    var callCount: UInt64 = 0
    var averageMicroseconds: UInt64 = 0
    var completed: UInt64 = 0
    var slow: UInt64 = 0
    var isDirty = false
    /// Whether only some events are sent, so that the agent's mean covers all calls.
    private(set) var isSampled = false
    /// Whether the function may have been evicted before. Then the agent's first count does not tell how many calls
    /// are new.
    var mayReturn = false
    /// The stamp of the last batch with events of the function.
    var lastUsed: StateSweep.Stamp = 0
    private var total = CounterTotal()
    var maxNanoseconds: Int64 = 0
    private var window = FunctionWindow()
    var rules = FunctionRules()
    /// One count for each bound of `MetricBounds.functionSeconds`, and one for what exceeds them.
    var buckets: InlineArray<11, UInt64> = InlineArray(repeating: 0)
    var unmatchedExits: UInt64 = 0
    private var definedSeries = SeriesSet()
    private var mark = FunctionMark()
    /// The position of the function's name in the summary of the last window.
    private var place = UInt32.max

    /// Bytes to prefetch for an event, and for the end of a call: all buckets except those of very long calls.
    static var eventBytes: Int { 64 }
    static var exitBytes: Int { 192 }

    /// The bytes that its slot's budget is charged with, including its cells in tables.
    var stateBytes: Int {
        EntryStore<Self>.stride + StateCost.index + StateCost.sketch + MemoryLayout<Int>.stride
            + StateCost.name(name.view.count)
    }

    init(name: ByteView) { self.name = OwnedName(name) }

    @inline(__always) mutating func complete(
        nanoseconds: Int64,
        selfNanoseconds: Int64,
        isSlow: Bool
    ) {
        completed += 1
        total.add(UInt64(nanoseconds))
        maxNanoseconds = max(maxNanoseconds, nanoseconds)
        window.complete(nanoseconds: UInt64(nanoseconds), selfNanoseconds: UInt64(selfNanoseconds))
        if isSlow { slow += 1 }
        buckets[Self.bucket(nanoseconds)] += 1
    }

    /// Applies the counts of an agent that sends only some events. Returns the number of calls since its last count.
    @inline(__always) mutating func count(
        _ callCount: UInt64,
        averageMicroseconds: UInt64
    ) -> UInt64 {
        isSampled = true
        let calls =
            mayReturn ? min(callCount, 1) : RunningCount.growth(from: self.callCount, to: callCount)
        mayReturn = false
        entries = CounterTotal.sum(entries, calls)
        let next = RunningCount.next(after: self.callCount, callCount)
        if next == callCount { self.averageMicroseconds = averageMicroseconds }
        self.callCount = next
        return calls
    }

    /// Adds the counts of another function, which is evicted, including those of the open window. Takes a pointer,
    /// because the compiler would copy the value.
    mutating func absorb(_ other: UnsafePointer<FunctionStatistics>) {
        let isEstimated = isSampled || other.pointee.isSampled
        if isEstimated {
            let calls = max(Double(entries) + Double(other.pointee.entries), 1)
            let sum =
                Double(averageMicroseconds) * Double(entries) + Double(
                    other.pointee.averageMicroseconds
                )
                * Double(other.pointee.entries)
            averageMicroseconds = UInt64(sum / calls)
        }
        isSampled = isEstimated
        Self.add(other.pointee.entries, of: other.pointee.mark.entries, to: &entries, &mark.entries)
        Self.add(
            other.pointee.completed,
            of: other.pointee.mark.completed,
            to: &completed,
            &mark.completed
        )
        Self.add(other.pointee.slow, of: other.pointee.mark.slow, to: &slow, &mark.slow)
        Self.add(
            other.pointee.unmatchedExits,
            of: other.pointee.mark.unmatchedExits,
            to: &unmatchedExits,
            &mark.unmatchedExits
        )
        total.add(other.pointee.total.value)
        maxNanoseconds = max(maxNanoseconds, other.pointee.maxNanoseconds)
        for index in buckets.indices { buckets[index] &+= other.pointee.buckets[index] }
        window.merge(other.pointee.window)
        lastUsed = max(lastUsed, other.pointee.lastUsed)
    }

    /// Adds a count. Its part in the open window is the count's distance from its mark.
    private static func add(
        _ count: UInt64,
        of otherMark: UInt64,
        to own: inout UInt64,
        _ mark: inout UInt64
    ) {
        let inWindow = (own &- mark) &+ (count &- otherMark)
        own = CounterTotal.sum(own, count)
        mark = own &- inWindow
    }

    // MARK: The open window

    @inline(__always) mutating func prefetchSketch() { window.prefetchSketch() }

    private var isInWindow: Bool {
        entries != mark.entries || completed != mark.completed
            || unmatchedExits != mark.unmatchedExits
    }

    /// Visits the function if it was used in the window, then begins a new window. `visit` also gets the function's
    /// position in the table that aggregates rows by name. The columns are those of `SummarySchema`.
    @inline(__always) mutating func takeWindow(_ visit: (SummaryPart, inout UInt32) -> Void) {
        guard isInWindow else { return }
        var values = SummaryValues()
        let calls = entries &- mark.entries
        let pairs = completed &- mark.completed
        values[0] = calls
        values[1] = pairs
        // If only some events are sent, the agent knows the mean duration of all calls.
        let estimate = SummaryValues.product(calls, averageMicroseconds, 1_000)
        values[2] = isSampled && pairs < calls ? estimate : window.totalNanoseconds
        values[3] = window.maxNanoseconds
        values[4] = slow &- mark.slow
        values[5] = unmatchedExits &- mark.unmatchedExits
        values[6] = window.selfNanoseconds
        values[7] = isSampled ? estimate : window.totalNanoseconds
        values[8] = isSampled ? calls : pairs
        let item = name.view
        window.withSketch { sketch in
            visit(SummaryPart(item: item, values: values, sketch: sketch), &place)
        }
        window.removeAll()
        mark = currentMark
    }

    private var currentMark: FunctionMark {
        FunctionMark(
            entries: entries,
            completed: completed,
            slow: slow,
            unmatchedExits: unmatchedExits
        )
    }

    // MARK: Metrics

    /// Returns the bucket of a duration; the bounds are those of `MetricBounds.functionSeconds`.
    @inline(__always) private static func bucket(_ nanoseconds: Int64) -> Int {
        switch nanoseconds {
        case ...100_000: 0
        case ...500_000: 1
        case ...1_000_000: 2
        case ...5_000_000: 3
        case ...10_000_000: 4
        case ...50_000_000: 5
        case ...100_000_000: 6
        case ...500_000_000: 7
        case ...1_000_000_000: 8
        case ...5_000_000_000: 9
        default: 10
        }
    }

    mutating func collect(_ series: inout SeriesWriter) {
        let isTimed = completed > 0
        series.begin(definedSeries, count: 8, name: name.view)
        series.add(.functionCallsTotal, Double(entries))
        series.add(.functionUnmatchedExitsTotal, Double(unmatchedExits), if: unmatchedExits > 0)
        series.add(.neutracerFunctionCallsTotal, Double(callCount))
        series.add(.neutracerFunctionStats, Double(averageMicroseconds), ["avg_duration_us"])
        series.add(
            .neutracerFunctionStats,
            Double(maxNanoseconds) / 1e9,
            if: isTimed,
            ["max_duration_seconds"]
        )
        series.add(.functionMeanDurationSeconds, meanSeconds, if: isTimed || isSampled)
        series.add(.functionSlowCallsTotal, Double(slow), if: isTimed)
        series.add(.functionDurationSeconds, buckets, sum: Double(total.value) / 1e9, if: isTimed)
        definedSeries = series.end()
    }

    private var meanSeconds: Double {
        if isSampled { return Double(averageMicroseconds) / 1e6 }
        return completed > 0 ? Double(total.value) / 1e9 / Double(completed) : 0
    }

    // MARK: State

    borrowing func encode(into buffer: inout RawBuffer) {
        buffer.append(varint: entries)
        buffer.append(varint: completed)
        buffer.append(varint: slow)
        buffer.append(varint: unmatchedExits)
        buffer.append(varint: total.value)
        buffer.append(varint: UInt64(bitPattern: maxNanoseconds))
        buffer.append(varint: callCount)
        buffer.append(varint: averageMicroseconds)
        for index in buckets.indices { buffer.append(varint: buckets[index]) }
        rules.encode(into: &buffer)
        name.encode(into: &buffer)
        buffer.append(integer: lastUsed)
        buffer.append(byte: (isInWindow ? 1 : 0) | (isSampled ? 2 : 0) | (mayReturn ? 4 : 0))
        guard isInWindow else { return }
        buffer.append(varint: entries &- mark.entries)
        buffer.append(varint: completed &- mark.completed)
        buffer.append(varint: slow &- mark.slow)
        buffer.append(varint: unmatchedExits &- mark.unmatchedExits)
        window.encode(into: &buffer)
    }

    /// Decodes the state. `isFixed`: in the older format, in which all numbers have eight bytes and the window comes
    /// elsewhere.
    init(decoding reader: inout StateReader, isFixed: Bool) throws(TraceError) {
        func number() throws(TraceError) -> UInt64 {
            isFixed ? try reader.integer(UInt64.self) : try reader.varint()
        }
        var counts: [UInt64] = []
        for _ in 0..<8 { counts.append(try number()) }
        var buckets = InlineArray<11, UInt64>(repeating: 0)
        for index in buckets.indices { buckets[index] = try number() }
        let rules = try FunctionRules(decoding: &reader)
        let name = try OwnedName(decoding: &reader)
        var mark = FunctionMark(
            entries: counts[0],
            completed: counts[1],
            slow: counts[2],
            unmatchedExits: counts[3]
        )
        var window = FunctionWindow()
        if reader.version > StateVersion.beforeDialects {
            lastUsed = try reader.integer(UInt32.self)
        }
        let marks = isFixed ? 0 : try reader.integer(UInt8.self)
        if marks & 1 != 0 {
            mark.entries &-= try reader.varint()
            mark.completed &-= try reader.varint()
            mark.slow &-= try reader.varint()
            mark.unmatchedExits &-= try reader.varint()
            window = try FunctionWindow(decoding: &reader)
        }
        self.name = name
        self.rules = rules
        self.mark = mark
        self.window = window
        entries = counts[0]
        completed = counts[1]
        slow = counts[2]
        unmatchedExits = counts[3]
        total = CounterTotal(counts[4])
        maxNanoseconds = Int64(bitPattern: counts[5])
        callCount = counts[6]
        averageMicroseconds = counts[7]
        self.buckets = buckets
        isSampled = marks & 2 != 0
        mayReturn = marks & 4 != 0
    }
}
