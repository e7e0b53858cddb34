import SystemIO
import TraceFiles
import TraceModel
import TraceWire

/// A memory event as text; its names are cut already.
struct MemoryRow {
    let comm: ByteView
    let operation: ByteView

    /// The event in the trace, its counters there, and its CSV row.
    @inline(__always)
    func write(_ event: MemoryEvent, _ context: EventContext) {
        record(event, context)
        context.counter("memory") {
            $0.argument("current", event.currentMemory)
            $0.argument("peak", event.peakMemory)
        }
        row(event, context)
    }

    private var name: ByteView {
        if !operation.isEmpty { return operation }
        return comm.isEmpty ? ByteView("memory") : comm
    }

    @inline(__always)
    private func record(_ event: MemoryEvent, _ context: EventContext) {
        let json = context.json
        context.beginEvent(&json.text, "i", name: name)
        json.text.argument("comm", comm, context)
        json.text.argument("operation", operation, context)
        json.text.argument("size", event.size)
        json.text.append("\"address\":\"0x")
        json.text.appendHex(event.address)
        json.text.append("\",")
        json.text.argument("stack_id", event.stackID)
        json.text.argument("current_usage", event.currentMemory)
        json.text.argument("peak_usage", event.peakMemory)
        json.text.argument("alloc_size", event.totalAllocations)
        json.text.argument("free_size", event.totalFrees)
        json.text.argument("mem_pattern", Int64(event.pattern))
        json.text.argument("large_allocs", event.largeAllocations)
        json.text.argument("fragmentation_score", event.fragmentationScore)
        json.text.argument("leak_suspected", event.leakSuspected)
        json.text.argument("churn_score", event.churnScore)
        if event.anomalyCount > 0 { context.argument(event.anomalies) }
        context.endInstant()
    }

    @inline(__always)
    private func row(_ event: MemoryEvent, _ context: EventContext) {
        let csv = context.csv
        csv.text.firstColumns(time: context.time, pid: context.pid)
        csv.text.column(event.totalAllocations)
        csv.text.column(event.totalFrees)
        csv.text.column(event.currentMemory)
        csv.text.column(UInt64(context.tid))
        csv.text.column(operation, context)
        csv.text.column(event.size)
        csv.text.append(",0x")
        csv.text.appendHex(event.address)
        csv.text.column(event.stackID)
        csv.text.column(event.peakMemory)
        csv.text.append(byte: UInt8(ascii: ","))
        csv.text.appendDecimal(Int64(event.pattern))
        csv.text.column(UInt64(event.largeAllocations))
        csv.text.column(UInt64(event.fragmentationScore))
        csv.text.append(event.leakSuspected ? ",1" : ",0")
        csv.text.column(UInt64(event.churnScore))
        csv.text.column(UInt64(event.anomalyCount))
        csv.text.column(comm, context)
        csv.endRow(ts: context.time, pid: context.pid, host: context.host)
    }
}
