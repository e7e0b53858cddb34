import SystemIO
import TraceFiles
import TraceModel
import TraceWire

/// What an event leaves in the trace and in the table, with its texts as they are written.
struct IORow {
    let comm: ByteView
    let operation: ByteView
    let device: ByteView

    @inline(__always)
    func write(_ event: IOEvent, _ context: EventContext) {
        record(event, context)
        row(event, context)
    }

    @inline(__always)
    private func record(_ event: IOEvent, _ context: EventContext) {
        let json = context.json
        context.beginEvent(&json.text, "i", name: comm.isEmpty ? ByteView("io") : comm)
        json.text.argument("comm", comm, context)
        json.text.argument("operation", operation, context)
        json.text.argument("device", device, context)
        json.text.argument("bytes", event.byteCount)
        json.text.argument("latency_ms", event.latencyMilliseconds)
        json.text.argument("read_bytes", event.readBytes)
        json.text.argument("write_bytes", event.writeBytes)
        json.text.argument("read_ops", event.readOperations)
        json.text.argument("write_ops", event.writeOperations)
        json.text.argument("read_latency_ms", event.averageReadLatencyMilliseconds)
        json.text.argument("write_latency_ms", event.averageWriteLatencyMilliseconds)
        json.text.argument("major", event.major)
        json.text.argument("minor", event.minor)
        context.endInstant()
        context.counter("io") {
            $0.argument("read", event.readBytes)
            $0.argument("write", event.writeBytes)
        }
    }

    @inline(__always)
    private func row(_ event: IOEvent, _ context: EventContext) {
        let csv = context.csv
        csv.text.firstColumns(time: context.time, pid: context.pid)
        csv.text.column(event.readBytes)
        csv.text.column(event.writeBytes)
        csv.text.column(event.averageReadLatencyMilliseconds)
        csv.text.column(event.averageWriteLatencyMilliseconds)
        csv.text.column(event.readOperations)
        csv.text.column(event.writeOperations)
        csv.text.column(comm, context)
        csv.text.column(operation, context)
        csv.text.column(device, context)
        csv.text.column(event.byteCount)
        csv.text.column(event.latencyMilliseconds)
        csv.text.column(UInt64(event.major))
        csv.text.column(UInt64(event.minor))
        csv.endRow(ts: context.time, pid: context.pid, host: context.host)
    }
}
