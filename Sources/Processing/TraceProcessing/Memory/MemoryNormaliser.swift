import SystemIO
import TraceModel
import TraceWire

/// Converts a process's memory events of either dialect into what statistics and rules use.
///
/// NEUTRACER: `total_allocs` and `total_frees` are the bytes since the last event that was sent, so they cover
/// skipped operations; the number of operations is not known. The agent's value of memory in use restarts at 0 once
/// an hour, while the process keeps its memory.
struct MemoryNormaliser: BitwiseCopyable {
    /// The values of an event in a form that does not depend on the dialect.
    struct Sample {
        /// Operations; zero if they are not known.
        var allocations = Growth()
        var frees = Growth()
        /// Bytes of skipped operations, or of the event itself if it reports them.
        var allocatedBytes: UInt64 = 0
        var freedBytes: UInt64 = 0
        /// Whether operations before the event were skipped.
        var hasSkipped = false
        /// Bytes in use.
        var current: UInt64 = 0
        var peak: UInt64 = 0
    }

    /// Operations if they are known, else bytes.
    private(set) var allocations = CumulativeCounter()
    private(set) var frees = CumulativeCounter()
    /// Whether operations are counted; otherwise the counters are bytes.
    private(set) var countsOperations = true
    /// Whether operations have been skipped, so that the known allocations are incomplete.
    private(set) var hasGaps = false
    /// The bytes in use when the agent's value restarted at 0.
    private var base: UInt64 = 0
    /// The value as last sent.
    private var sentPeak: UInt64 = 0
    private var current: UInt64 = 0

    init() {}

    /// The totals so far, as the agent counts them.
    var agentAllocations: UInt64 { countsOperations ? allocations.last : allocations.total }
    var agentFrees: UInt64 { countsOperations ? frees.last : frees.total }

    /// Returns whether a counter shows that the state kept so far belongs to another process.
    @inline(__always) func isFalling(_ event: MemoryEvent, _ semantics: Semantics) -> Bool {
        semantics == .cumulative
            && (allocations.falls(to: event.totalAllocations) || frees.falls(to: event.totalFrees))
    }

    /// Applies an event. The running totals of a late event are ignored.
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

    /// Applies the memory in use. If the agent's value restarts, which its maximum shows, the total continues from
    /// the old value.
    private mutating func takeUse(_ event: MemoryEvent, _ context: EventContext) {
        guard !WrappedDifference.isWrapped(event.currentMemory) else {
            return context.totals.pointee.invalid.count(.currentMemory)
        }
        if event.peakMemory < sentPeak { base = current }
        sentPeak = event.peakMemory
        let (sum, overflow) = base.addingReportingOverflow(event.currentMemory)
        current = overflow ? .max : sum
    }

    /// Continues the sums for another traced process.
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
