import SystemIO
import TraceModel
import TraceWire

/// Converts a process's network events of either dialect into what statistics and rules use.
///
/// NEUTRACER: packets are running counts of the event's thread, which restart at 0 once an hour. Bytes are this
/// thread's counter minus the counter of whichever thread sent the previous event. Between two events of one thread,
/// that is the traffic between them. Otherwise the value is useless by itself, may have wrapped below zero, and the
/// event's own bytes count instead. The bytes of skipped events, which the packet counts reveal, follow from the sum
/// of all differences so far: that sum is the thread's counter, as each difference begins where the previous one
/// ended.
struct NetworkNormaliser: ~Copyable {
    /// The values of an event in a form that does not depend on the dialect.
    struct Sample {
        var txBytes = Growth()
        var rxBytes = Growth()
        var txPackets = Growth()
        var rxPackets = Growth()
        /// The process's end of the connection, and the other one.
        var local: NetworkEnd
        var remote: NetworkEnd
        var isLate = false
    }

    /// Bytes or packets in both directions.
    struct Counters: BitwiseCopyable {
        var tx = CumulativeCounter()
        var rx = CumulativeCounter()

        /// The agent's totals so far: as last sent, or the sum of differences.
        var agentTx: UInt64 { tx.last != 0 ? tx.last : tx.total }
        var agentRx: UInt64 { rx.last != 0 ? rx.last : rx.total }

        @inline(__always) func fall(toTx txSample: UInt64, rx rxSample: UInt64) -> Bool {
            tx.falls(to: txSample) || rx.falls(to: rxSample)
        }

        func encode(into buffer: inout RawBuffer) {
            tx.encode(into: &buffer)
            rx.encode(into: &buffer)
        }
    }

    /// A bound above what one packet can carry.
    private static var packetBytesMax: UInt64 { 1 << 30 }

    private(set) var bytes = Counters()
    private(set) var packets = Counters()
    private var threads = NetworkThreads()
    /// The sums of all differences modulo 2⁶⁴: the counters of the last event's thread.
    private var txSum: UInt64 = 0
    private var rxSum: UInt64 = 0
    private var lastThread: UInt32 = 0
    /// Whether the first event received was the first one sent, so that all counters began at 0.
    private var knowsBegin = false

    init() {}

    /// Whether bytes are those of the received events, as the agent's counters are useless.
    var isSampled: Bool { threads.count > 1 }

    @inline(__always) var stateBytes: Int { threads.stateBytes }

    /// Returns the number of open connections as the agent reports it, else `known`: NEUTRACER counts all connections
    /// that a thread has ever seen, each direction separately.
    @inline(__always) func activeConnections(
        _ event: NetworkEvent,
        known: Int,
        _ semantics: Semantics
    ) -> UInt32 {
        semantics == .cumulative ? event.activeConnections : UInt32(clamping: known)
    }

    /// Returns whether a counter shows that the state kept so far belongs to another process.
    @inline(__always) func isFalling(_ event: NetworkEvent, _ semantics: Semantics) -> Bool {
        semantics == .cumulative
            && (bytes.fall(toTx: event.txBytes, rx: event.rxBytes)
                || packets.fall(toTx: event.txPackets, rx: event.rxPackets))
    }

    /// Applies an event. The running totals of a late event are ignored.
    @inline(__always) mutating func take(
        _ event: NetworkEvent,
        _ process: ProcessIdentity.Sample,
        _ context: EventContext
    ) -> Sample {
        let source = NetworkEnd(address: event.sourceAddress, port: event.sourcePort)
        let destination = NetworkEnd(address: event.destinationAddress, port: event.destinationPort)
        switch context.semantics {
        case .cumulative:
            var sample = Sample(local: source, remote: destination, isLate: process.isLate)
            if !process.isLate { takeTotals(event, process, &sample) }
            return sample
        case .neutracer:
            // Sent data goes from local to remote, received data from remote to local.
            var sample =
                event.isSend || event.destinationPort == 0
                ? Sample(local: source, remote: destination, isLate: process.isLate)
                : Sample(local: destination, remote: source, isLate: process.isLate)
            takeDifferences(event, process, context, &sample)
            return sample
        }
    }

    @inline(__always) private mutating func takeTotals(
        _ event: NetworkEvent,
        _ process: ProcessIdentity.Sample,
        _ sample: inout Sample
    ) {
        let sent: UInt64 = event.isSend ? 1 : 0
        sample.txBytes = bytes.tx.take(total: event.txBytes, process, own: sent * event.byteCount)
        sample.rxBytes = bytes.rx.take(
            total: event.rxBytes,
            process,
            own: (1 - sent) * event.byteCount
        )
        sample.txPackets = packets.tx.take(total: event.txPackets, process, own: sent)
        sample.rxPackets = packets.rx.take(total: event.rxPackets, process, own: 1 - sent)
    }

    // MARK: Differences

    private mutating func takeDifferences(
        _ event: NetworkEvent,
        _ process: ProcessIdentity.Sample,
        _ context: EventContext,
        _ sample: inout Sample
    ) {
        if threads.count == 0 { knowsBegin = event.txPackets &+ event.rxPackets <= 1 }
        let position = threads.position(of: context.tid)
        let isAlone = threads.count == 1
        if hasBegunAnew(event, threads[position], process) {
            threads.beginAnew()
            // If the value that the agent subtracts restarted too, the difference is the counter itself.
            if !WrappedDifference.isWrapped(event.txBytes) { txSum = 0 }
            if !WrappedDifference.isWrapped(event.rxBytes) { rxSum = 0 }
            knowsBegin = true
        }
        var thread = threads[position]
        let sent: UInt64 = event.isSend ? 1 : 0
        let txPackets = growth(of: &thread.txPackets, to: event.txPackets)
        let rxPackets = growth(of: &thread.rxPackets, to: event.rxPackets)
        let isSame = isAlone || lastThread == context.tid
        sample.txBytes = Growth(
            Self.growth(
                difference: event.txBytes,
                own: sent * event.byteCount,
                skipped: txPackets > sent ? txPackets - sent : 0,
                isSameThread: isSame,
                knowsBegin: knowsBegin,
                sum: &txSum,
                counter: &thread.txBytes,
                field: .txBytes,
                context
            )
        )
        sample.rxBytes = Growth(
            Self.growth(
                difference: event.rxBytes,
                own: (1 - sent) * event.byteCount,
                skipped: rxPackets > 1 - sent ? rxPackets - (1 - sent) : 0,
                isSameThread: isSame,
                knowsBegin: knowsBegin,
                sum: &rxSum,
                counter: &thread.rxBytes,
                field: .rxBytes,
                context
            )
        )
        let isFirst = process.isFirst
        sample.txPackets = Growth(
            counted: txPackets,
            inWindow: isFirst ? min(txPackets, sent) : txPackets
        )
        sample.rxPackets = Growth(
            counted: rxPackets,
            inWindow: isFirst ? min(rxPackets, 1 - sent) : rxPackets
        )
        threads[position] = thread
        lastThread = context.tid
        bytes.tx.grow(by: sample.txBytes.counted)
        bytes.rx.grow(by: sample.rxBytes.counted)
        packets.tx.grow(by: txPackets)
        packets.rx.grow(by: rxPackets)
    }

    /// Returns whether the agent's counters restarted at 0, which all threads' counters do together once an hour. A
    /// late event also has lower counters.
    private func hasBegunAnew(
        _ event: NetworkEvent,
        _ thread: NetworkThreads.Thread,
        _ process: ProcessIdentity.Sample
    ) -> Bool {
        !process.isLate
            && (event.txPackets < thread.txPackets || event.rxPackets < thread.rxPackets)
    }

    /// Returns the growth of a thread's count; a late event adds nothing.
    private func growth(of count: inout UInt64, to sample: UInt64) -> UInt64 {
        guard sample > count else { return 0 }
        defer { count = sample }
        return sample - count
    }

    /// Returns the bytes since the thread's last event. `skipped`: the packets whose events were not sent.
    private static func growth(
        difference: UInt64,
        own: UInt64,
        skipped: UInt64,
        isSameThread: Bool,
        knowsBegin: Bool,
        sum: inout UInt64,
        counter: inout UInt64,
        field: InvalidValues.Field,
        _ context: EventContext
    ) -> UInt64 {
        sum &+= difference
        let sinceLast = sum &- counter
        let isKnown = knowsBegin || counter != 0
        counter = sum
        let isWrapped = WrappedDifference.isWrapped(difference)
        if isWrapped { context.totals.pointee.invalid.count(field) }
        if isSameThread, !isWrapped { return difference }
        let most = own.addingReportingOverflow(min(skipped, 1 << 20) * packetBytesMax)
        guard skipped > 0, isKnown, !most.overflow, (own...most.partialValue).contains(sinceLast)
        else { return own }
        return sinceLast
    }

    // MARK: State

    borrowing func encode(into buffer: inout RawBuffer) {
        bytes.encode(into: &buffer)
        packets.encode(into: &buffer)
        threads.encode(into: &buffer)
        buffer.append(integer: txSum)
        buffer.append(integer: rxSum)
        buffer.append(integer: lastThread)
        buffer.append(byte: knowsBegin ? 1 : 0)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        bytes = Counters(
            tx: try CumulativeCounter(decoding: &reader),
            rx: try CumulativeCounter(decoding: &reader)
        )
        packets = Counters(
            tx: try CumulativeCounter(decoding: &reader),
            rx: try CumulativeCounter(decoding: &reader)
        )
        threads = try NetworkThreads(decoding: &reader)
        txSum = try reader.integer(UInt64.self)
        rxSum = try reader.integer(UInt64.self)
        lastThread = try reader.integer(UInt32.self)
        knowsBegin = try reader.integer(UInt8.self) == 1
    }

    /// Creates the state from counters that version 0.1.0 saved.
    init(bytes: Counters, packets: Counters) {
        self.bytes = bytes
        self.packets = packets
    }
}

/// One end of a connection as an event names it; borrowed.
struct NetworkEnd {
    /// The address, cut to the length that is kept.
    let address: ByteView
    let port: UInt32

    @inline(__always) init(address: ByteView, port: UInt32) {
        self.address = address.cut(at: Limits.addressBytesMax)
        self.port = port
    }
}
