import SystemIO
import TraceFiles
import TraceModel
import TraceWire

/// A memory event as text; its names are cut already.
struct MemoryRow {
    let comm: EventText
    let operation: EventText

    /// The large numbers of an event.
    private struct Numbers: ~Copyable {
        let size: NumberText
        let current: NumberText
        let peak: NumberText
        let allocations: NumberText
        let frees: NumberText

        @inline(__always) init(_ event: MemoryEvent) {
            size = NumberText(event.size)
            current = NumberText(event.currentMemory)
            peak = NumberText(event.peakMemory)
            allocations = NumberText(event.totalAllocations)
            frees = NumberText(event.totalFrees)
        }
    }

    /// Writes the event's trace row, its counters there, and its CSV row.
    @inline(__always) func write(_ event: MemoryEvent, _ context: EventContext) {
        let numbers = Numbers(event)
        record(event, numbers, context)
        context.counter("memory") {
            $0.argument("current", numbers.current)
            $0.argument("peak", numbers.peak)
        }
        row(event, numbers, context)
    }

    private var name: EventText {
        if !operation.isEmpty { return operation }
        return comm.isEmpty ? EventText("memory") : comm
    }

    @inline(__always) private func record(
        _ event: MemoryEvent,
        _ numbers: borrowing Numbers,
        _ context: EventContext
    ) {
        var text = context.beginEvent(.instant, "memory", name: name)
        text.argument("comm", comm, context)
        text.argument("operation", operation, context)
        text.argument("size", numbers.size)
        text.append("\"address\":\"0x")
        text.appendHex(event.address)
        text.append("\",")
        text.argument("stack_id", event.stackID)
        text.argument("current_usage", numbers.current)
        text.argument("peak_usage", numbers.peak)
        text.argument("alloc_size", numbers.allocations)
        text.argument("free_size", numbers.frees)
        text.argument("mem_pattern", Int64(event.pattern))
        text.argument("large_allocs", event.largeAllocations)
        text.argument("fragmentation_score", event.fragmentationScore)
        text.argument("leak_suspected", event.leakSuspected)
        text.argument("churn_score", event.churnScore)
        if event.anomalyCount > 0 { context.argument(event.anomalies, &text) }
        context.endInstant(text)
    }

    @inline(__always) private func row(
        _ event: MemoryEvent,
        _ numbers: borrowing Numbers,
        _ context: EventContext
    ) {
        var text = context.beginRow()
        text.column(numbers.allocations)
        text.column(numbers.frees)
        text.column(numbers.current)
        text.column(thread: context)
        text.column(operation, context)
        text.column(numbers.size)
        text.append(",0x")
        text.appendHex(event.address)
        text.column(event.stackID)
        text.column(numbers.peak)
        text.append(byte: UInt8(ascii: ","))
        text.appendDecimal(Int64(event.pattern))
        text.column(UInt64(event.largeAllocations))
        text.column(UInt64(event.fragmentationScore))
        text.append(event.leakSuspected ? ",1" : ",0")
        text.column(UInt64(event.churnScore))
        text.column(UInt64(event.anomalyCount))
        text.column(comm, context)
        context.endRow(text)
    }
}
