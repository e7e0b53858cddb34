import SystemIO
import TraceModel
import TraceWire

/// Makes of a process's memory events, in either dialect, what statistics and rules work with.
///
/// NEUTRACER: `total_allocs` and `total_frees` are bytes since the last event that was sent, so they tell what was
/// skipped; how many operations there were is not known. The agent's view of what is in use begins at 0 once an hour,
/// while the process goes on with what it had.
struct MemoryNormaliser: BitwiseCopyable {
    struct Sample {
        /// Operations; nothing where they are not known.
        var allocations = Growth()
        var frees = Growth()
        /// Of operations that were skipped, or of the event's own where it says so itself.
        var allocatedBytes: UInt64 = 0
        var freedBytes: UInt64 = 0
        /// Whether operations before the event did not come.
        var hasSkipped = false
        /// In use, bytes.
        var current: UInt64 = 0
        var peak: UInt64 = 0
    }

    /// Operations where they are known, else bytes.
    private(set) var allocations = CumulativeCounter()
    private(set) var frees = CumulativeCounter()
    /// Whether operations are counted; else the counters are of bytes.
    private(set) var countsOperations = true
    /// Whether operations have been skipped, so that what is known of allocations isn't all.
    private(set) var hasGaps = false
    /// What was in use when the agent's view began at 0.
    private var base: UInt64 = 0
    /// As last sent.
    private var sentPeak: UInt64 = 0
    private var current: UInt64 = 0

    init() {}

    /// So far, as the agent counts them.
    var agentAllocations: UInt64 { countsOperations ? allocations.last : allocations.total }
    var agentFrees: UInt64 { countsOperations ? frees.last : frees.total }

    /// Whether a counter says that the state kept so far is another process's.
    @inline(__always) func isFalling(_ event: MemoryEvent, _ semantics: Semantics) -> Bool {
        semantics == .cumulative
            && (allocations.falls(to: event.totalAllocations) || frees.falls(to: event.totalFrees))
    }

    /// Takes in an event. Of one that is late running totals say nothing.
    @inline(__always) mutating func take(
        _ event: MemoryEvent,
        _ process: ProcessIdentity.Sample,
        _ context: EventContext
    ) -> Sample {
        switch context.semantics {
        case .cumulative: takeTotals(event, process)
        case .neutracer: takeDifferences(event, process, context)
        }
    }

    @inline(__always) private mutating func takeTotals(
        _ event: MemoryEvent,
        _ process: ProcessIdentity.Sample
    ) -> Sample {
        var sample = Sample(current: event.currentMemory, peak: event.peakMemory)
        guard !process.isLate else { return sample }
        let isAllocation = event.operation.equals("alloc")
        let isFree = event.operation.equals("free")
        countsOperations = true
        sample.allocations = allocations.take(
            total: event.totalAllocations,
            process,
            own: isAllocation ? 1 : 0
        )
        sample.frees = frees.take(total: event.totalFrees, process, own: isFree ? 1 : 0)
        return sample
    }

    private mutating func takeDifferences(
        _ event: MemoryEvent,
        _ process: ProcessIdentity.Sample,
        _ context: EventContext
    ) -> Sample {
        countsOperations = false
        var sample = Sample()
        if process.isRestart { self = MemoryNormaliser(goingOnFrom: self) }
        let isAllocation = event.operation.equals("alloc")
        if WrappedDifference.isWrapped(event.totalAllocations) {
            context.totals.pointee.invalid.count(.totalAllocations)
        } else {
            sample.allocatedBytes = event.totalAllocations
            sample.hasSkipped = event.totalAllocations != (isAllocation ? event.size : 0)
        }
        if WrappedDifference.isWrapped(event.totalFrees) {
            context.totals.pointee.invalid.count(.totalFrees)
        } else {
            sample.freedBytes = event.totalFrees
            if isAllocation, event.totalFrees != 0 { sample.hasSkipped = true }
        }
        if sample.hasSkipped { hasGaps = true }
        allocations.grow(by: sample.allocatedBytes)
        frees.grow(by: sample.freedBytes)
        if !process.isLate { takeUse(event, context) }
        sample.current = current
        sample.peak = current
        return sample
    }

    /// What is in use goes on where the agent's view begins anew, which shows by its greatest value.
    private mutating func takeUse(_ event: MemoryEvent, _ context: EventContext) {
        guard !WrappedDifference.isWrapped(event.currentMemory) else {
            return context.totals.pointee.invalid.count(.currentMemory)
        }
        if event.peakMemory < sentPeak { base = current }
        sentPeak = event.peakMemory
        let (sum, overflow) = base.addingReportingOverflow(event.currentMemory)
        current = overflow ? .max : sum
    }

    /// The process is another one; sums go on.
    private init(goingOnFrom last: MemoryNormaliser) {
        allocations = last.allocations
        frees = last.frees
        countsOperations = last.countsOperations
    }

    func encode(into buffer: inout RawBuffer) {
        allocations.encode(into: &buffer)
        frees.encode(into: &buffer)
        buffer.append(byte: countsOperations ? 1 : 0)
        buffer.append(byte: hasGaps ? 1 : 0)
        buffer.append(integer: base)
        buffer.append(integer: sentPeak)
        buffer.append(integer: current)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        allocations = try CumulativeCounter(decoding: &reader)
        frees = try CumulativeCounter(decoding: &reader)
        guard reader.version > StateVersion.beforeDialects else { return }
        countsOperations = try reader.integer(UInt8.self) == 1
        hasGaps = try reader.integer(UInt8.self) == 1
        base = try reader.integer(UInt64.self)
        sentPeak = try reader.integer(UInt64.self)
        current = try reader.integer(UInt64.self)
    }
}
