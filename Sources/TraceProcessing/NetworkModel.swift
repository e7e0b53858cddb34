import SystemIO
import TraceMetrics
import TraceModel
import TraceWire

/// Network traffic of one process.
struct NetworkModel: ProcessModel, ~Copyable {
    typealias Event = NetworkEvent

    static var csvHeader: StaticString {
        """
        Timestamp,PID,tx_bytes,rx_bytes,total_tx_packets,total_rx_packets,active_connections,TID,Operation,\
        Bytes,Source,Destination,Protocol,Pattern,Retransmits,Errors,Bursty,Anomalies,Process,host,\
        Timestamp(ns)
        """
    }

    private var identity = ProcessIdentity()
    private var accounts = ProcessAccounts<NetworkAccount>()
    private(set) var connections = NetworkConnections()
    private(set) var listening = NetworkPorts()
    private(set) var protocols = NetworkProtocols()
    private var bytes = NetworkCounters()
    private var packets = NetworkCounters()
    /// As last told.
    private var activeConnections: UInt32 = 0
    private var rules = NetworkRules()

    init() {}

    mutating func apply(_ event: NetworkEvent, _ context: inout EventContext) {
        let row = NetworkRow(event, context)
        observe(event, row.comm, &context)
        note(event, row.transport, context)
        row.write(event, context)
        guard event.anomalyCount > 0 else { return }
        context.recordFindings(event.anomalies, process: identity.name.view)
    }

    /// What the agent counts. An event out of order says nothing about that.
    @inline(__always)
    private mutating func observe(
        _ event: NetworkEvent,
        _ comm: ByteView,
        _ context: inout EventContext
    ) {
        let sample = identity.observe(
            comm,
            &context,
            hasFallingCounter: bytes.fall(toTx: event.txBytes, rx: event.rxBytes)
                || packets.fall(toTx: event.txPackets, rx: event.rxPackets)
        )
        if sample.isLate { return }
        context.activity.pointee.network(connections: event.activeConnections)
        if !sample.isFirst {
            context.activity.pointee.network(
                txBytes: bytes.tx.growth(to: event.txBytes, isRestart: sample.isRestart),
                rxBytes: bytes.rx.growth(to: event.rxBytes, isRestart: sample.isRestart),
                txPackets: packets.tx.growth(to: event.txPackets, isRestart: sample.isRestart),
                rxPackets: packets.rx.growth(to: event.rxPackets, isRestart: sample.isRestart)
            )
        }
        if sample.isRestart { restart() }
        let account = accounts.account(of: sample, comm: comm, identity)
        bytes.add(
            tx: event.txBytes,
            rx: event.rxBytes,
            at: context.time,
            to: &account.pointee.bytes
        )
        packets.add(
            tx: event.txPackets,
            rx: event.rxPackets,
            at: context.time,
            to: &account.pointee.packets
        )
        activeConnections = event.activeConnections
        rules.judge(
            event,
            bytes: (bytes.tx.last, bytes.rx.last),
            packetsSent: packets.tx.last,
            of: identity.name.view,
            context
        )
    }

    /// What this event itself tells, late or not.
    @inline(__always)
    private mutating func note(
        _ event: NetworkEvent,
        _ transport: ByteView,
        _ context: EventContext
    ) {
        context.activity.pointee.transferred(bytes: event.byteCount, isSend: event.isSend)
        let number = protocols.add(event.byteCount, isSend: event.isSend, of: transport)
        guard event.destinationPort != 0 else {
            // Both ports 0: neither a listener nor a connection, as with ICMP.
            if event.sourcePort != 0 { listening.insert(event.sourcePort, context) }
            return
        }
        let key = NetworkConnection.Key(
            source: event.sourceAddress.cut(at: Limits.addressBytesMax),
            destination: event.destinationAddress.cut(at: Limits.addressBytesMax),
            sourcePort: event.sourcePort,
            destinationPort: event.destinationPort,
            transport: number
        )
        guard connections.add(event.byteCount, isSend: event.isSend, of: key, context) else {
            return
        }
        let isServer = listening.contains(event.sourcePort)
        rules.judgeConnection(event, isServer: isServer, of: identity.name.view, context)
    }

    private mutating func restart() {
        connections = NetworkConnections()
        listening = NetworkPorts()
        protocols = NetworkProtocols()
        bytes.restart()
        packets.restart()
        rules = NetworkRules()
    }

    borrowing func processName() -> ByteView { identity.name.view }

    mutating func collect(_ samples: inout ProcessSamples, all: Bool) {
        samples.add(.networkActiveConnections, .gauge(Double(activeConnections)))
        samples.add(.networkListeningPorts, .gauge(Double(listening.count)))
        samples.addByProcess(.neutracerNetworkTxBytesRate, bytes.txRate.perSecond)
        samples.addByProcess(.neutracerNetworkRxBytesRate, bytes.rxRate.perSecond)
        samples.addByProcess(.neutracerNetworkTxPacketsRate, packets.txRate.perSecond)
        samples.addByProcess(.neutracerNetworkRxPacketsRate, packets.rxRate.perSecond)
        samples.addByProcess(.neutracerNetworkTotalTxBytes, Double(bytes.tx.last))
        samples.addByProcess(.neutracerNetworkTotalRxBytes, Double(bytes.rx.last))
        samples.addByProcess(.neutracerNetworkTotalTxPackets, Double(packets.tx.last))
        samples.addByProcess(.neutracerNetworkTotalRxPackets, Double(packets.rx.last))
        accounts.collect(&samples, all: all)
    }

    borrowing func encode(into buffer: inout RawBuffer) {
        identity.encode(into: &buffer)
        accounts.encode(into: &buffer)
        connections.encode(into: &buffer)
        listening.encode(into: &buffer)
        protocols.encode(into: &buffer)
        bytes.encode(into: &buffer)
        packets.encode(into: &buffer)
        buffer.append(integer: activeConnections)
        rules.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        identity = try ProcessIdentity(decoding: &reader)
        accounts = try ProcessAccounts<NetworkAccount>(decoding: &reader)
        connections = try NetworkConnections(decoding: &reader)
        listening = try NetworkPorts(decoding: &reader)
        protocols = try NetworkProtocols(decoding: &reader)
        bytes = try NetworkCounters(decoding: &reader)
        packets = try NetworkCounters(decoding: &reader)
        activeConnections = try reader.integer(UInt32.self)
        rules = try NetworkRules(decoding: &reader)
    }
}
