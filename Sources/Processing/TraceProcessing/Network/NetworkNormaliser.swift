import SystemIO
import TraceModel
import TraceWire

/// Makes of a process's network events, in either dialect, what statistics and rules work with.
///
/// NEUTRACER: packets are running counts of the event's thread, which go back to 0 once an hour. Bytes are this thread's
/// counter less what any thread's was at the event sent before. Between two events of one thread that is what passed
/// meanwhile. Otherwise it is of no use by itself, may have wrapped below zero, and the event's own bytes count; those
/// of skipped events, which the packets tell of, come from the sum of all differences so far: that is the thread's
/// counter, as each difference begins where the one before ended.
struct NetworkNormaliser: ~Copyable {
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

    /// Bytes or packets, both ways.
    struct Counters: BitwiseCopyable {
        var tx = CumulativeCounter()
        var rx = CumulativeCounter()

        /// So far, as the agent counts: as last sent, or the sum of differences.
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

    /// More than one packet moves.
    private static var packetBytesMax: UInt64 { 1 << 30 }

    private(set) var bytes = Counters()
    private(set) var packets = Counters()
    private var threads = NetworkThreads()
    /// Sums of all differences modulo 2⁶⁴: what the counter of the last event's thread stood at.
    private var txSum: UInt64 = 0
    private var rxSum: UInt64 = 0
    private var lastThread: UInt32 = 0
    /// Whether the first event that came was the first that the agent sent, so that all counters began at 0.
    private var knowsBegin = false

    init() {}

    /// Whether bytes are those of the events that came, as the agent's counters are of no use.
    var isSampled: Bool { threads.count > 1 }

    @inline(__always) var stateBytes: Int { threads.stateBytes }

    /// Connections open, where the agent knows; else those that are known here: NEUTRACER counts all that a thread has
    /// ever seen, each direction by itself.
    @inline(__always) func activeConnections(
        _ event: NetworkEvent,
        known: Int,
        _ semantics: Semantics
    ) -> UInt32 {
        semantics == .cumulative ? event.activeConnections : UInt32(clamping: known)
    }

    /// Whether a counter says that the state kept so far is another process's.
    @inline(__always) func isFalling(_ event: NetworkEvent, _ semantics: Semantics) -> Bool {
        semantics == .cumulative
            && (bytes.fall(toTx: event.txBytes, rx: event.rxBytes)
                || packets.fall(toTx: event.txPackets, rx: event.rxPackets))
    }

    /// Takes in an event. Of one that is late running totals say nothing.
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
            // From local to remote for what is sent, from remote to local for what is received.
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
            // Where the agent's last value began anew too, the difference is the counter.
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

    /// The agent's counters begin at 0 once an hour, those of all threads together. A late event shows less, too.
    private func hasBegunAnew(
        _ event: NetworkEvent,
        _ thread: NetworkThreads.Thread,
        _ process: ProcessIdentity.Sample
    ) -> Bool {
        !process.isLate
            && (event.txPackets < thread.txPackets || event.rxPackets < thread.rxPackets)
    }

    /// What a thread's count has grown by; a late event adds nothing.
    private func growth(of count: inout UInt64, to sample: UInt64) -> UInt64 {
        guard sample > count else { return 0 }
        defer { count = sample }
        return sample - count
    }

    /// The bytes that passed since the thread's last event. `skipped`: packets whose events did not come.
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

    /// From the counters that 0.1.0 saved.
    init(bytes: Counters, packets: Counters) {
        self.bytes = bytes
        self.packets = packets
    }
}

/// One end of a connection, as an event names it; borrowed.
struct NetworkEnd {
    /// Cut to what is kept of an address.
    let address: ByteView
    let port: UInt32

    @inline(__always) init(address: ByteView, port: UInt32) {
        self.address = address.cut(at: Limits.addressBytesMax)
        self.port = port
    }
}
