import SystemIO
import TraceMetrics
import TraceModel
import TraceSummaries
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

    static var looks: Int { 4 }

    @inline(__always)
    borrowing func lookAhead(
        _ look: Int,
        at event: UnsafePointer<NetworkEvent>,
        _ found: Int
    ) -> Int {
        if look == 0 {
            guard event.pointee.destinationPort != 0,
                let number = protocols.known(event.pointee.transport)
            else { return 0 }
            return connections.prefetchIndex(key(of: event.pointee, UInt8(number)))
        }
        if look == 1 { return connections.prefetchPlace(found) }
        guard found >= 0, found < connections.count else { return -1 }
        if look == 2 {
            connections.prefetchConnection(found)
        } else {
            connections.prefetchEnds(found)
        }
        return found
    }

    mutating func apply(_ event: UnsafePointer<NetworkEvent>, _ context: inout EventContext) {
        let event = event.pointee
        let row = NetworkRow(event, context)
        observe(event, row.comm.view, &context)
        note(event, row.transport.view, context)
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
        if sample.isRestart { restart(context.activity) }
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
        let key = key(of: event, number)
        guard connections.add(event.byteCount, isSend: event.isSend, of: key, context) else {
            return
        }
        let isServer = listening.contains(event.sourcePort)
        rules.judgeConnection(event, isServer: isServer, of: identity.name.view, context)
    }

    @inline(__always)
    private func key(of event: NetworkEvent, _ transport: UInt8) -> NetworkConnection.Key {
        NetworkConnection.Key(
            source: event.sourceAddress.cut(at: Limits.addressBytesMax),
            destination: event.destinationAddress.cut(at: Limits.addressBytesMax),
            sourcePort: event.sourcePort,
            destinationPort: event.destinationPort,
            transport: transport
        )
    }

    private mutating func restart(_ activity: UnsafeMutablePointer<WindowActivity>) {
        tellWindow(to: activity)
        connections = NetworkConnections()
        listening = NetworkPorts()
        protocols = NetworkProtocols()
        bytes.restart()
        packets.restart()
        rules = NetworkRules()
    }

    static var rememberedPerSlotMax: Int { Limits.connectionsPerSlotMax }

    var rememberedCount: Int { connections.count }

    mutating func forgetOlderHalf(
        _ totals: UnsafeMutablePointer<SlotTotals>,
        _ activity: UnsafeMutablePointer<WindowActivity>
    ) {
        connections.evictOlderHalf(totals, activity)
    }

    mutating func takeWindow(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    ) {
        tellWindow(to: activity)
    }

    private mutating func tellWindow(to activity: UnsafeMutablePointer<WindowActivity>) {
        connections.tellWindow(protocols, to: activity)
    }

    borrowing func processName() -> ByteView { identity.name.view }

    func collect(_ series: inout SeriesWriter) {
        series.add(.networkActiveConnections, Double(activeConnections))
        series.add(.networkListeningPorts, Double(listening.count))
        series.add(.neutracerNetworkTxBytesRate, bytes.txRate.perSecond)
        series.add(.neutracerNetworkRxBytesRate, bytes.rxRate.perSecond)
        series.add(.neutracerNetworkTxPacketsRate, packets.txRate.perSecond)
        series.add(.neutracerNetworkRxPacketsRate, packets.rxRate.perSecond)
        series.add(.neutracerNetworkTotalTxBytes, Double(bytes.tx.last))
        series.add(.neutracerNetworkTotalRxBytes, Double(bytes.rx.last))
        series.add(.neutracerNetworkTotalTxPackets, Double(packets.tx.last))
        series.add(.neutracerNetworkTotalRxPackets, Double(packets.rx.last))
    }

    mutating func collectParts(_ series: inout SeriesWriter, all: Bool) {
        accounts.collect(&series, all: all)
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
