import AnomalyRules
import SystemIO
import TraceModel
import TraceWire

/// The rules' state for one process's memory.
struct MemoryRules {
    private static let leak = GrowthRules.Names(
        rule: .leak,
        percentPerHour: .leakPercentPerHour,
        spanSeconds: .leakSpanSeconds,
        risingPercent: .leakRisingPercent
    )

    private var growth = GrowthRules()
    /// Whether the agent reports allocations by address, so that the outstanding ones are known.
    private(set) var isTracked = false
    /// Whether every allocation and release has arrived.
    private var knowsAll = true
    private var large = Alarm()
    private var unmatched = Alarm()
    private var double = Alarm()
    private var churn = Alarm()
    private var fragmentation = Alarm()
    private var freed = FreedAddresses()
    /// The count of events of allocation and release.
    private var operations: UInt64 = 0
    private var operationRate = CounterRate()
    /// The value of `operations` when the allocations were last summed up.
    private var addedUpAt: UInt64 = 0

    /// Up to this many allocations are summed up whenever the outstanding bytes are needed.
    private static let allocationsAddedUpMin = 4_096

    init() {}

    /// Notes that operations have been skipped. The known allocations are incomplete, so the agent's value of memory
    /// in use is evaluated from here on.
    mutating func hasGaps() {
        knowsAll = false
        growth = GrowthRules()
    }

    /// Notes that allocations may have been skipped: recently freed addresses may be in use again.
    mutating func skipped() { freed = FreedAddresses() }

    /// Evaluates the amount in use until now. Younger allocations are excluded, unless summing up the others would
    /// cost more than the events since the last sum: if events are that rare, few allocations are younger.
    @inline(__always) mutating func evaluateGrowth(
        _ outstanding: borrowing MemoryAllocations,
        current: UInt64,
        of process: ByteView,
        _ context: EventContext
    ) {
        let age = Int64(context.threshold(.leakAgeMilliseconds) * 1e6)
        // If allocations were evicted, the agent's value is more accurate.
        guard isTracked, knowsAll, !outstanding.isIncomplete else {
            return growth.evaluate(
                Self.leak,
                of: process,
                context,
                amount: { _ in Double(current) }
            )
        }
        let isDue =
            outstanding.count <= Self.allocationsAddedUpMin
            || operations &- addedUpAt >= UInt64(outstanding.count / 16)
        var hasAddedUp = false
        growth.evaluate(
            Self.leak,
            of: process,
            context,
            amount: { windowEnd in
                hasAddedUp = isDue
                return Double(
                    isDue ? outstanding.bytes(allocatedUntil: windowEnd &- age) : outstanding.bytes
                )
            },
            detail: { isDue ? MemoryStacks(outstanding, until: context.time &- age).sentence : "" }
        )
        if hasAddedUp { addedUpAt = operations }
    }

    /// Evaluates the agent's counters.
    @inline(__always) mutating func evaluateCounters(
        _ event: MemoryEvent,
        agentPerSecond: Double?,
        of process: ByteView,
        _ context: EventContext
    ) {
        operations += 1
        let isMeasured = operationRate.note(operations, at: context.time)
        if isMeasured || agentPerSecond != nil {
            let rate = max(agentPerSecond ?? 0, isMeasured ? operationRate.perSecond : 0)
            evaluateChurn(rate, process, context)
        }
        if event.fragmentationScore > 0 {
            evaluateFragmentation(Double(event.fragmentationScore), process, context)
        }
    }

    private mutating func evaluateChurn(
        _ rate: Double,
        _ process: ByteView,
        _ context: EventContext
    ) {
        guard context.isEnabled(.churn) else { return }
        let limit = context.threshold(.churnRaisePerSecond)
        let verdict = churn.observe(
            isAbove: rate > limit,
            isClear: rate < context.threshold(.churnClearPerSecond),
            at: context.time,
            cooldown: context.cooldown(.churn)
        )
        guard let verdict else { return }
        context.raise(
            .above(.churn, rate, limit),
            verdict,
            process: process,
            "\(EventContext.rounded(rate)) allocations and releases a second"
        )
    }

    private mutating func evaluateFragmentation(
        _ score: Double,
        _ process: ByteView,
        _ context: EventContext
    ) {
        guard context.isEnabled(.fragmentation) else { return }
        let limit = context.threshold(.fragmentationRaiseScore)
        let verdict = fragmentation.observe(
            isAbove: score >= limit,
            isClear: score < context.threshold(.fragmentationClearScore),
            at: context.time,
            cooldown: context.cooldown(.fragmentation)
        )
        guard let verdict else { return }
        context.raise(
            .above(.fragmentation, score, limit),
            verdict,
            process: process,
            "fragmentation score \(EventContext.rounded(score))"
        )
    }

    // MARK: Allocations

    @inline(__always) mutating func evaluateAllocation(
        _ event: MemoryEvent,
        of process: ByteView,
        _ context: EventContext
    ) {
        if event.address != 0 {
            if !isTracked {
                // From here on another amount is evaluated.
                isTracked = true
                if knowsAll { growth = GrowthRules() }
            }
            freed.remove(event.address)
        }
        let limit = context.threshold(.largeAllocationMebibytes) * 1_048_576
        guard Double(event.size) >= limit, context.isEnabled(.largeAllocation) else { return }
        let cooldown = context.cooldown(.largeAllocation)
        let verdict = large.fire(at: context.time, cooldown: cooldown)
        context.raise(
            .above(.largeAllocation, Double(event.size), limit),
            verdict,
            process: process,
            "\(event.size) bytes allocated at once"
        )
    }

    /// Evaluates a release. `wasKnown`: whether its address was known to be allocated.
    @inline(__always) mutating func evaluateRelease(
        _ address: UInt64,
        wasKnown: Bool,
        isComplete: Bool,
        of process: ByteView,
        _ context: EventContext
    ) {
        if wasKnown { return freed.insert(address) }
        guard address != 0, isTracked, isComplete else { return }
        evaluateUnknownRelease(address, process, context)
    }

    /// Evaluates a release of an unknown address. A double free requires that no allocation was skipped since the
    /// first one; an unmatched free requires that none was ever skipped.
    private mutating func evaluateUnknownRelease(
        _ address: UInt64,
        _ process: ByteView,
        _ context: EventContext
    ) {
        if freed.contains(address) {
            guard context.isEnabled(.doubleFree) else { return }
            context.raise(
                EventContext.Finding(rule: .doubleFree, severity: 0.9),
                double.fire(at: context.time, cooldown: context.cooldown(.doubleFree)),
                process: process,
                "\(Self.text(address)) was released twice"
            )
        } else if knowsAll, context.isEnabled(.unmatchedFree) {
            context.raise(
                EventContext.Finding(rule: .unmatchedFree, severity: 0.2),
                unmatched.fire(at: context.time, cooldown: context.cooldown(.unmatchedFree)),
                process: process,
                "\(Self.text(address)) was released, its allocation was not seen"
            )
        }
    }

    private static func text(_ address: UInt64) -> String { "0x\(String(address, radix: 16))" }

    func encode(into buffer: inout RawBuffer) {
        growth.encode(into: &buffer)
        buffer.append(byte: isTracked ? 1 : 0)
        buffer.append(byte: knowsAll ? 1 : 0)
        for alarm in [large, unmatched, double, churn, fragmentation] {
            alarm.encode(into: &buffer)
        }
        freed.encode(into: &buffer)
        buffer.append(integer: operations)
        operationRate.encode(into: &buffer)
        buffer.append(varint: addedUpAt)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        growth = try GrowthRules(decoding: &reader)
        isTracked = try reader.integer(UInt8.self) == 1
        if reader.version > StateVersion.beforeDialects {
            knowsAll = try reader.integer(UInt8.self) == 1
        }
        large = try Alarm(decoding: &reader)
        unmatched = try Alarm(decoding: &reader)
        double = try Alarm(decoding: &reader)
        churn = try Alarm(decoding: &reader)
        fragmentation = try Alarm(decoding: &reader)
        freed = try FreedAddresses(decoding: &reader)
        operations = try reader.integer(UInt64.self)
        operationRate = try CounterRate(decoding: &reader)
        if reader.version > StateVersion.beforeDialects { addedUpAt = try reader.varint() }
    }
}
