import SystemIO
import TraceFiles
import TraceModel
import TraceWire

/// A network event as text; its names are cut already.
struct NetworkRow {
    let comm: ByteView
    let transport: ByteView
    private let source: NetworkEndpoint
    private let destination: NetworkEndpoint
    private let operation: ByteView

    @inline(__always)
    init(_ event: NetworkEvent, _ context: EventContext) {
        comm = context.cut(event.comm)
        transport = context.cut(event.transport)
        source = NetworkEndpoint(event.sourceAddress, port: event.sourcePort, context)
        destination = NetworkEndpoint(
            event.destinationAddress,
            port: event.destinationPort,
            context
        )
        operation = event.isSend ? ByteView("send") : ByteView("receive")
    }

    /// The event in the trace, its counters there, and its CSV row.
    @inline(__always)
    func write(_ event: NetworkEvent, _ context: EventContext) {
        record(event, context)
        context.counter("network") {
            $0.argument("tx_bytes", event.txBytes)
            $0.argument("rx_bytes", event.rxBytes)
        }
        row(event, context)
    }

    @inline(__always)
    private func record(_ event: NetworkEvent, _ context: EventContext) {
        let json = context.json
        context.beginEvent(&json.text, "i", name: operation)
        json.text.argument("comm", comm, context)
        json.text.argument("op", operation, context)
        json.text.argument("bytes", event.byteCount)
        source.withText { json.text.argument("src", $0, context) }
        destination.withText { json.text.argument("dst", $0, context) }
        json.text.argument("protocol", transport, context)
        json.text.argument("tx_bytes", event.txBytes)
        json.text.argument("rx_bytes", event.rxBytes)
        json.text.argument("total_tx_packets", event.txPackets)
        json.text.argument("total_rx_packets", event.rxPackets)
        json.text.argument("net_pattern", Int64(event.pattern))
        json.text.argument("retransmits", event.retransmits)
        json.text.argument("errors", event.errors)
        json.text.argument("is_bursty", event.isBursty)
        json.text.argument("active_connect", event.activeConnections)
        if event.anomalyCount > 0 { context.argument(event.anomalies) }
        context.endInstant()
    }

    @inline(__always)
    private func row(_ event: NetworkEvent, _ context: EventContext) {
        let csv = context.csv
        csv.text.firstColumns(time: context.time, pid: context.pid)
        csv.text.column(event.txBytes)
        csv.text.column(event.rxBytes)
        csv.text.column(event.txPackets)
        csv.text.column(event.rxPackets)
        csv.text.column(UInt64(event.activeConnections))
        csv.text.column(UInt64(context.tid))
        csv.text.column(operation, context)
        csv.text.column(event.byteCount)
        source.withText { csv.text.column($0, context) }
        destination.withText { csv.text.column($0, context) }
        csv.text.column(transport, context)
        csv.text.append(byte: UInt8(ascii: ","))
        csv.text.appendDecimal(Int64(event.pattern))
        csv.text.column(UInt64(event.retransmits))
        csv.text.column(UInt64(event.errors))
        csv.text.append(event.isBursty ? ",1" : ",0")
        csv.text.column(UInt64(event.anomalyCount))
        csv.text.column(comm, context)
        csv.endRow(ts: context.time, pid: context.pid, host: context.host)
    }
}
