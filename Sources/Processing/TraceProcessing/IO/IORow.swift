import SystemIO
import TraceFiles
import TraceModel
import TraceWire

/// The trace and table rows of an event, with its texts in output form.
struct IORow {
    let comm: EventText
    let operation: EventText
    let device: EventText

    /// The large numbers of an event, and those with decimals.
    private struct Numbers: ~Copyable {
        let bytes: NumberText
        let readBytes: NumberText
        let writeBytes: NumberText
        let readOperations: NumberText
        let writeOperations: NumberText
        let latency: DoubleText
        let readLatency: DoubleText
        let writeLatency: DoubleText

        @inline(__always) init(_ event: IOEvent) {
            bytes = NumberText(event.byteCount)
            readBytes = NumberText(event.readBytes)
            writeBytes = NumberText(event.writeBytes)
            readOperations = NumberText(event.readOperations)
            writeOperations = NumberText(event.writeOperations)
            latency = DoubleText(event.latencyMilliseconds)
            readLatency = DoubleText(event.averageReadLatencyMilliseconds)
            writeLatency = DoubleText(event.averageWriteLatencyMilliseconds)
        }
    }

    /// Writes the rows. `bytes`: read and written so far, which the trace shows as a counter.
    @inline(__always) func write(_ event: IOEvent, bytes: (UInt64, UInt64), _ context: EventContext)
    {
        let numbers = Numbers(event)
        record(event, numbers, context)
        context.counter("io") {
            $0.argument("read", bytes.0)
            $0.argument("write", bytes.1)
        }
        row(event, numbers, context)
    }

    @inline(__always) private func record(
        _ event: IOEvent,
        _ numbers: borrowing Numbers,
        _ context: EventContext
    ) {
        var text = context.beginEvent(.instant, "io", name: comm.isEmpty ? EventText("io") : comm)
        text.argument("comm", comm, context)
        text.argument("operation", operation, context)
        text.argument("device", device, context)
        text.argument("bytes", numbers.bytes)
        text.argument("latency_ms", numbers.latency)
        text.argument("read_bytes", numbers.readBytes)
        text.argument("write_bytes", numbers.writeBytes)
        text.argument("read_ops", numbers.readOperations)
        text.argument("write_ops", numbers.writeOperations)
        text.argument("read_latency_ms", numbers.readLatency)
        text.argument("write_latency_ms", numbers.writeLatency)
        text.argument("major", event.major)
        text.argument("minor", event.minor)
        context.endInstant(text)
    }

    @inline(__always) private func row(
        _ event: IOEvent,
        _ numbers: borrowing Numbers,
        _ context: EventContext
    ) {
        var text = context.beginRow()
        text.column(numbers.readBytes)
        text.column(numbers.writeBytes)
        text.column(numbers.readLatency)
        text.column(numbers.writeLatency)
        text.column(numbers.readOperations)
        text.column(numbers.writeOperations)
        text.column(comm, context)
        text.column(operation, context)
        text.column(device, context)
        text.column(numbers.bytes)
        text.column(numbers.latency)
        text.column(UInt64(event.major))
        text.column(UInt64(event.minor))
        context.endRow(text)
    }
}
