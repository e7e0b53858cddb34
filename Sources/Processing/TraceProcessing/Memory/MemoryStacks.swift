import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries

/// The outstanding allocations of a process by call stack, in descending order of bytes, then by id. Computed on
/// demand, so that events have no cost for it.
struct MemoryStacks: ~Copyable {
    /// The outstanding allocations of one call stack.
    struct Stack: BitwiseCopyable {
        /// The id as sent by the agent; 0 if it sends none.
        let id: UInt64
        var bytes: UInt64 = 0
        var allocations: UInt64 = 0
    }

    private var stacks: [Stack] = []

    /// Sums up the allocations until `time`. O(allocations).
    init(_ allocations: borrowing MemoryAllocations, until time: EpochNanoseconds = .max) {
        var index = IndexTable()
        var stacks: [Stack] = []
        allocations.visit { allocation in
            guard allocation.time <= time else { return }
            let hash = NameHash.mix(allocation.stackID ^ 0x9E37_79B9_7F4A_7C15)
            let known = index.find(hash) { stacks[$0].id == allocation.stackID }
            let position = known ?? stacks.count
            if known == nil {
                index.insert(hash, position: position)
                stacks.append(Stack(id: allocation.stackID))
            }
            stacks[position].bytes = SummaryValues.sum(stacks[position].bytes, allocation.bytes)
            stacks[position].allocations += 1
        }
        self.stacks = stacks.sorted { left, right in
            left.bytes != right.bytes ? left.bytes > right.bytes : left.id < right.id
        }
    }

    /// Visits the first `Limits.summaryRowsMax` stacks by their ids in decimal, and the sum of the others as `other`.
    borrowing func visit(_ visit: (_ name: ByteView, SummaryValues) -> Void) {
        var text = RawBuffer(capacity: 32)
        for stack in stacks.prefix(Limits.summaryRowsMax) {
            text.removeAll()
            text.appendDecimal(stack.id)
            visit(ByteView(text.bytes), Self.values(stack))
        }
        let others = stacks.dropFirst(Limits.summaryRowsMax)
        guard !others.isEmpty else { return }
        let sum = others.reduce(into: Stack(id: 0)) { sum, stack in
            sum.bytes = SummaryValues.sum(sum.bytes, stack.bytes)
            sum.allocations += stack.allocations
        }
        visit(ByteView("other"), Self.values(sum))
    }

    /// Returns the columns of `SummarySchema`.
    private static func values(_ stack: Stack) -> SummaryValues {
        var values = SummaryValues()
        values[0] = stack.bytes
        values[1] = stack.allocations
        return values
    }

    /// A sentence for a finding that names the stacks with the most bytes; empty if no stack is known.
    var sentence: String {
        let most = stacks.lazy.filter { $0.id != 0 && $0.bytes > 0 }.prefix(3).map {
            "\($0.id) (\(Self.shown($0.bytes)))"
        }
        return most.isEmpty ? "" : ". Most is held by stack " + most.joined(separator: ", ")
    }

    private static func shown(_ bytes: UInt64) -> String {
        var value = Double(bytes)
        for unit in ["bytes", "KiB", "MiB", "GiB"] {
            if value < 1_024 {
                return "\(unit == "bytes" ? "\(bytes)" : EventContext.rounded(value)) \(unit)"
            }
            value /= 1_024
        }
        return "\(EventContext.rounded(value)) TiB"
    }
}
