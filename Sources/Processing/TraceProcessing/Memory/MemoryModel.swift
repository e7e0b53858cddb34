import SystemIO
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceWire

/// Memory of one process: its allocations that have not been freed, and the counters of its agent.
struct MemoryModel: ProcessModel, ~Copyable {
    typealias Event = MemoryEvent

    static var csvHeader: StaticString {
        """
        Timestamp,PID,Alloc_size,Free_Size,Current Usage,TID,Operation,Size,Address,Stack ID,Peak Usage,\
        Pattern,Large Allocations,Fragmentation Score,Leak Suspected,Churn Score,Anomalies,Process,host,\
        Timestamp(ns)
        """
    }

    private var identity = ProcessIdentity()
    private var accounts = ProcessAccounts<MemoryAccount>()
    private(set) var outstanding = MemoryAllocations()
    private var normaliser = MemoryNormaliser()
    private var allocationRate = CounterRate()
    private var freeRate = CounterRate()
    /// Bytes in use.
    private var current: UInt64 = 0
    /// The maximum of bytes in use.
    private var peak: UInt64 = 0
    private var rules = MemoryRules()
    /// Whether the current event is older than another one.
    private var isLate = false

    init() {}

    static var looks: Int { 1 }

    @inline(__always) borrowing func lookAhead(
        _ look: Int,
        at event: UnsafePointer<MemoryEvent>,
        _ found: Int
    ) -> Int {
        outstanding.prefetchIndex(event.pointee.address)
        return -1
    }

    mutating func apply(_ event: UnsafePointer<MemoryEvent>, _ context: inout EventContext) {
        let event = event.pointee
        let row = MemoryRow(
            comm: context.text(event.comm),
            operation: context.text(event.operation)
        )
        let account = observe(event, row.comm.view, &context)
        note(event, account, context)
        row.write(event, context)
        guard event.anomalyCount > 0 else { return }
        context.recordFindings(event.anomalies, process: identity.name.view)
    }

    /// Applies the agent's counters, for which an event out of order says little. Returns the event's account.
    @inline(__always) private mutating func observe(
        _ event: MemoryEvent,
        _ comm: ByteView,
        _ context: inout EventContext
    ) -> NamedTable<MemoryAccount>.Place {
        let process = identity.observe(
            comm,
            &context,
            hasFallingCounter: normaliser.isFalling(event, context.semantics)
        )
        let account = accounts.account(of: process, comm: comm, identity)
        isLate = process.isLate
        if process.isRestart { restart() }
        let hadGaps = normaliser.hasGaps
        let sample = normaliser.take(event, process, context)
        if sample.allocatedBytes > 0 || sample.freedBytes > 0 {
            account.pointee.allocatedBytes.add(sample.allocatedBytes)
            account.pointee.freedBytes.add(sample.freedBytes)
            context.activity.pointee.allocated(bytes: sample.allocatedBytes)
            context.activity.pointee.freed(bytes: sample.freedBytes)
        }
        if sample.hasSkipped {
            if !hadGaps { rules.hasGaps() }
            rules.skipped()
        }
        if isLate { return account }
        context.activity.pointee.memory(
            current: sample.current,
            peak: sample.peak,
            allocations: sample.allocations.inWindow,
            frees: sample.frees.inWindow
        )
        let name = identity.name.view
        rules.evaluateGrowth(outstanding, current: current, of: name, context)
        account.pointee.countsOperations = normaliser.countsOperations
        account.pointee.allocations.add(sample.allocations.counted)
        account.pointee.frees.add(sample.frees.counted)
        let isMeasured = allocationRate.note(normaliser.allocations.total, at: context.time)
        freeRate.note(normaliser.frees.total, at: context.time)
        let perSecond =
            isMeasured && normaliser.countsOperations
            ? allocationRate.perSecond + freeRate.perSecond : nil
        rules.evaluateCounters(event, agentPerSecond: perSecond, of: name, context)
        current = sample.current
        peak = max(peak, sample.peak, sample.current)
        return account
    }

    /// Applies what the event itself reports, late or not.
    @inline(__always) private mutating func note(
        _ event: MemoryEvent,
        _ account: NamedTable<MemoryAccount>.Place,
        _ context: EventContext
    ) {
        if event.operation.equals("alloc") {
            account.pointee.sizes.note(event.size)
            context.activity.pointee.allocated(atOnce: event.size)
            if normaliser.countsOperations {
                account.pointee.allocatedBytes.add(event.size)
                context.activity.pointee.allocated(bytes: event.size)
            }
            rules.evaluateAllocation(event, of: identity.name.view, context)
            // Address 0 is no allocation: it failed, or the address was not sent.
            guard event.address != 0 else { return }
            let allocation = MemoryAllocations.Allocation(
                address: event.address,
                bytes: event.size,
                stackID: event.stackID,
                time: context.time
            )
            outstanding.insert(allocation)
        } else if event.operation.equals("free") {
            let released = outstanding.release(event.address, at: context.time)
            if normaliser.countsOperations {
                let bytes = released?.bytes ?? event.size
                account.pointee.freedBytes.add(bytes)
                context.activity.pointee.freed(bytes: bytes)
            }
            // If the event is late, a release of another allocation may have come first.
            if isLate { return }
            rules.evaluateRelease(
                event.address,
                wasKnown: released != nil,
                isComplete: !outstanding.isIncomplete,
                of: identity.name.view,
                context
            )
        }
    }

    private mutating func restart() {
        outstanding = MemoryAllocations()
        allocationRate = CounterRate()
        freeRate = CounterRate()
        rules = MemoryRules()
        peak = 0
    }

    @inline(__always) var stateBytes: Int { accounts.stateBytes &+ outstanding.stateBytes }

    static var givesWay: Bool { true }

    borrowing func noteEntries(_ sweep: inout StateSweep) { outstanding.noteEntries(&sweep) }

    mutating func giveUp(
        _ sweep: inout StateSweep,
        _ owner: StateOwner,
        context: () -> EventContext
    ) {
        outstanding.giveUp(&sweep, owner.totals)
    }

    static var hasStanding: Bool { true }

    borrowing func visitStanding(_ visit: (SummaryPart, _ table: Int) -> Void) {
        if outstanding.count == 0 { return }
        withUnsafePointer(to: QuantileSketch()) { none in
            MemoryStacks(outstanding).visit { name, values in
                visit(SummaryPart(item: name, values: values, sketch: none), 1)
            }
        }
    }

    borrowing func processName() -> ByteView { identity.name.view }

    static var seriesMax: Int { 6 }

    func collect(_ series: inout SeriesWriter) {
        series.add(.memoryUsageBytes, Double(current))
        series.add(.memoryPeakBytes, Double(peak))
        series.add(.neutracerMemoryAllocationsPerSecond, allocationRate.perSecond)
        series.add(.neutracerMemoryFreesPerSecond, freeRate.perSecond)
        series.add(.neutracerMemoryTotalAllocations, Double(normaliser.agentAllocations))
        series.add(.neutracerMemoryTotalFrees, Double(normaliser.agentFrees))
    }

    mutating func collectParts(_ series: inout SeriesWriter, all: Bool) {
        accounts.collect(&series, all: all)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        identity.encode(into: &buffer)
        accounts.encode(into: &buffer)
        outstanding.encode(into: &buffer)
        normaliser.encode(into: &buffer)
        allocationRate.encode(into: &buffer)
        freeRate.encode(into: &buffer)
        buffer.append(integer: current)
        buffer.append(integer: peak)
        rules.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        identity = try ProcessIdentity(decoding: &reader)
        accounts = try ProcessAccounts<MemoryAccount>(decoding: &reader)
        outstanding = try MemoryAllocations(decoding: &reader)
        normaliser = try MemoryNormaliser(decoding: &reader)
        allocationRate = try CounterRate(decoding: &reader)
        freeRate = try CounterRate(decoding: &reader)
        current = try reader.integer(UInt64.self)
        peak = try reader.integer(UInt64.self)
        rules = try MemoryRules(decoding: &reader)
    }
}
