import SystemIO
import TraceFiles
import TraceModel
import TraceWire

/// A network event as text; its names are cut already.
struct NetworkRow {
    let comm: EventText
    let transport: EventText
    private let source: NetworkEndpoint
    private let destination: NetworkEndpoint
    private let operation: EventText

    @inline(__always) init(_ event: NetworkEvent, _ context: EventContext) {
        comm = context.text(event.comm)
        transport = context.text(event.transport)
        source = NetworkEndpoint(event.sourceAddress, port: event.sourcePort, context)
        destination = NetworkEndpoint(
            event.destinationAddress,
            port: event.destinationPort,
            context
        )
        operation = event.isSend ? EventText("send") : EventText("receive")
    }

    /// The large numbers of an event.
    private struct Numbers: ~Copyable {
        let bytes: NumberText
        let txBytes: NumberText
        let rxBytes: NumberText
        let txPackets: NumberText
        let rxPackets: NumberText

        @inline(__always) init(_ event: NetworkEvent) {
            bytes = NumberText(event.byteCount)
            txBytes = NumberText(event.txBytes)
            rxBytes = NumberText(event.rxBytes)
            txPackets = NumberText(event.txPackets)
            rxPackets = NumberText(event.rxPackets)
        }
    }

    /// Writes the event's trace row, the traffic so far as a counter there, and its CSV row.
    @inline(__always) func write(
        _ event: NetworkEvent,
        bytes: NetworkNormaliser.Counters,
        _ context: EventContext
    ) {
        let numbers = Numbers(event)
        record(event, numbers, context)
        context.counter("network") {
            $0.argument("tx_bytes", bytes.tx.total)
            $0.argument("rx_bytes", bytes.rx.total)
        }
        row(event, numbers, context)
    }

    @inline(__always) private func record(
        _ event: NetworkEvent,
        _ numbers: borrowing Numbers,
        _ context: EventContext
    ) {
        var text = context.beginEvent(.instant, "network", name: operation)
        text.argument("comm", comm, context)
        text.argument("op", operation, context)
        text.argument("bytes", numbers.bytes)
        source.argument("src", &text, context)
        destination.argument("dst", &text, context)
        text.argument("protocol", transport, context)
        text.argument("tx_bytes", numbers.txBytes)
        text.argument("rx_bytes", numbers.rxBytes)
        text.argument("total_tx_packets", numbers.txPackets)
        text.argument("total_rx_packets", numbers.rxPackets)
        text.argument("net_pattern", Int64(event.pattern))
        text.argument("retransmits", event.retransmits)
        text.argument("errors", event.errors)
        text.argument("is_bursty", event.isBursty)
        text.argument("active_connect", event.activeConnections)
        if event.anomalyCount > 0 { context.argument(event.anomalies, &text) }
        context.endInstant(text)
    }

    @inline(__always) private func row(
        _ event: NetworkEvent,
        _ numbers: borrowing Numbers,
        _ context: EventContext
    ) {
        var text = context.beginRow()
        text.column(numbers.txBytes)
        text.column(numbers.rxBytes)
        text.column(numbers.txPackets)
        text.column(numbers.rxPackets)
        text.column(UInt64(event.activeConnections))
        text.column(thread: context)
        text.column(operation, context)
        text.column(numbers.bytes)
        source.column(&text, context)
        destination.column(&text, context)
        text.column(transport, context)
        text.append(byte: UInt8(ascii: ","))
        text.appendDecimal(Int64(event.pattern))
        text.column(UInt64(event.retransmits))
        text.column(UInt64(event.errors))
        text.append(event.isBursty ? ",1" : ",0")
        text.column(UInt64(event.anomalyCount))
        text.column(comm, context)
        context.endRow(text)
    }
}
