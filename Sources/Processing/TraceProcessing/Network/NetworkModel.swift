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
    private var normaliser = NetworkNormaliser()
    private var rates = NetworkRates()
    /// The agent's last value in CUMULATIVE; in NEUTRACER the size of `connections`, as the agent's count never
    /// falls.
    private var activeConnections: UInt32 = 0
    private var rules = NetworkRules()

    init() {}

    static var looks: Int { 4 }

    @inline(__always) borrowing func lookAhead(
        _ look: Int,
        at event: UnsafePointer<NetworkEvent>,
        _ found: Int
    ) -> Int {
        if look == 0 {
            guard event.pointee.destinationPort != 0,
                let number = protocols.known(event.pointee.transport)
            else {
                return 0
            }
            return connections.prefetchIndex(
                NetworkConnection.Key(
                    local: NetworkEnd(
                        address: event.pointee.sourceAddress,
                        port: event.pointee.sourcePort
                    ),
                    remote: NetworkEnd(
                        address: event.pointee.destinationAddress,
                        port: event.pointee.destinationPort
                    ),
                    transport: UInt8(number)
                )
            )
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
        let sample = observe(event, row.comm.view, &context)
        note(event, sample, row.transport.view, context)
        row.write(event, bytes: normaliser.bytes, context)
        guard event.anomalyCount > 0 else { return }
        context.recordFindings(event.anomalies, process: identity.name.view)
    }

    /// Applies the agent's counters, for which an event out of order says little.
    @inline(__always) private mutating func observe(
        _ event: NetworkEvent,
        _ comm: ByteView,
        _ context: inout EventContext
    ) -> NetworkNormaliser.Sample {
        let process = identity.observe(
            comm,
            &context,
            hasFallingCounter: normaliser.isFalling(event, context.semantics)
        )
        if process.isRestart { restart(context.activity) }
        let sample = normaliser.take(event, process, context)
        context.activity.pointee.network(
            txBytes: sample.txBytes.inWindow,
            rxBytes: sample.rxBytes.inWindow,
            txPackets: sample.txPackets.inWindow,
            rxPackets: sample.rxPackets.inWindow
        )
        let account = accounts.account(of: process, comm: comm, identity)
        account.pointee.bytes.tx.add(sample.txBytes.counted)
        account.pointee.bytes.rx.add(sample.rxBytes.counted)
        account.pointee.packets.tx.add(sample.txPackets.counted)
        account.pointee.packets.rx.add(sample.rxPackets.counted)
        if process.isLate { return sample }
        rates.note(normaliser, at: context.time)
        rules.evaluate(
            event,
            bytes: (normaliser.bytes.tx.total, normaliser.bytes.rx.total),
            packetsSent: normaliser.packets.tx.total,
            of: identity.name.view,
            context
        )
        return sample
    }

    /// Applies what the event itself reports, late or not.
    @inline(__always) private mutating func note(
        _ event: NetworkEvent,
        _ sample: NetworkNormaliser.Sample,
        _ transport: ByteView,
        _ context: EventContext
    ) {
        context.activity.pointee.transferred(bytes: event.byteCount, isSend: event.isSend)
        let packets = NetworkProtocols.Packets(
            tx: sample.txPackets.inWindow,
            rx: sample.rxPackets.inWindow
        )
        let number = protocols.add(event.byteCount, packets, isSend: event.isSend, of: transport)
        defer {
            if !sample.isLate {
                activeConnections = normaliser.activeConnections(
                    event,
                    known: connections.count,
                    context.semantics
                )
                context.activity.pointee.network(connections: activeConnections)
            }
        }
        guard event.destinationPort != 0 else {
            // Both ports 0 means neither a listener nor a connection, as with ICMP.
            if event.sourcePort != 0 { listening.insert(event.sourcePort, context) }
            return
        }
        let key = NetworkConnection.Key(
            local: sample.local,
            remote: sample.remote,
            transport: number
        )
        guard connections.add(event.byteCount, isSend: event.isSend, of: key, context) else {
            return
        }
        rules.evaluateConnection(
            from: sample.local,
            to: sample.remote,
            isServer: listening.contains(sample.local.port),
            of: identity.name.view,
            context
        )
    }

    private mutating func restart(_ activity: UnsafeMutablePointer<WindowActivity>) {
        tellWindow(to: activity)
        connections = NetworkConnections()
        listening = NetworkPorts()
        protocols = NetworkProtocols()
        rates = NetworkRates()
        rules = NetworkRules()
    }

    @inline(__always) var stateBytes: Int {
        accounts.stateBytes &+ connections.stateBytes &+ listening.stateBytes
            &+ protocols.stateBytes
            &+ normaliser.stateBytes
    }

    static var givesWay: Bool { true }

    borrowing func noteEntries(_ sweep: inout StateSweep) { connections.noteEntries(&sweep) }

    mutating func giveUp(
        _ sweep: inout StateSweep,
        _ owner: StateOwner,
        context: () -> EventContext
    ) {
        connections.giveUp(&sweep, owner.totals, owner.activity)
    }

    mutating func takeWindow(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    ) {
        connections.takeWindow(protocols, activity, visit)
        protocols.tellWindow(to: activity)
    }

    /// Moves the process's traffic in the open window to its activity, because the process restarts.
    private mutating func tellWindow(to activity: UnsafeMutablePointer<WindowActivity>) {
        connections.tellWindow(protocols, to: activity)
        protocols.tellWindow(to: activity)
    }

    borrowing func processName() -> ByteView { identity.name.view }

    static var seriesMax: Int { 11 }

    func collect(_ series: inout SeriesWriter) {
        series.add(.networkActiveConnections, Double(activeConnections))
        series.add(.networkListeningPorts, Double(listening.count))
        series.add(.networkBytesSampled, 1, if: normaliser.isSampled)
        series.add(.neutracerNetworkTxBytesRate, rates.txBytes.perSecond)
        series.add(.neutracerNetworkRxBytesRate, rates.rxBytes.perSecond)
        series.add(.neutracerNetworkTxPacketsRate, rates.txPackets.perSecond)
        series.add(.neutracerNetworkRxPacketsRate, rates.rxPackets.perSecond)
        series.add(.neutracerNetworkTotalTxBytes, Double(normaliser.bytes.agentTx))
        series.add(.neutracerNetworkTotalRxBytes, Double(normaliser.bytes.agentRx))
        series.add(.neutracerNetworkTotalTxPackets, Double(normaliser.packets.agentTx))
        series.add(.neutracerNetworkTotalRxPackets, Double(normaliser.packets.agentRx))
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
        normaliser.encode(into: &buffer)
        rates.encode(into: &buffer)
        buffer.append(integer: activeConnections)
        rules.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        identity = try ProcessIdentity(decoding: &reader)
        accounts = try ProcessAccounts<NetworkAccount>(decoding: &reader)
        connections = try NetworkConnections(decoding: &reader)
        listening = try NetworkPorts(decoding: &reader)
        protocols = try NetworkProtocols(decoding: &reader)
        if reader.version > StateVersion.beforeDialects {
            normaliser = try NetworkNormaliser(decoding: &reader)
            rates = try NetworkRates(decoding: &reader)
        } else {
            rates = try NetworkRates(beforeDialects: &reader, &normaliser)
        }
        activeConnections = try reader.integer(UInt32.self)
        rules = try NetworkRules(decoding: &reader)
    }
}
