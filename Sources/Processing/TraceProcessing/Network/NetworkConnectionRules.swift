import AnomalyRules
import SystemIO
import TraceModel

/// Rules for the connections that a process opens: how many per second, and to how many hosts and ports.
struct NetworkConnectionRules {
    /// The lowest port that systems assign to clients.
    private static let clientPortMin: UInt32 = 32_768

    private var rate = OccurrenceRate()
    private var churn = Alarm()
    /// Distinct hosts by port, and distinct ports by host.
    private var hosts = ScanWatch()
    private var ports = ScanWatch()

    init() {}

    /// Evaluates a new connection. `isServer`: the process listens on its port.
    mutating func evaluate(
        from local: NetworkEnd,
        to remote: NetworkEnd,
        isServer: Bool,
        of process: ByteView,
        _ context: EventContext
    ) {
        rate.note(at: context.time)
        evaluateChurn(process, context)
        // Traffic from a low port to a client's port is an answer: many clients are no scan.
        let isAnswer =
            local.port != 0 && local.port < Self.clientPortMin && local.port < remote.port
        if isServer || isAnswer { return }
        evaluateScans(of: remote, process, context)
    }

    private mutating func evaluateChurn(_ process: ByteView, _ context: EventContext) {
        guard context.isEnabled(.connectionChurn) else { return }
        let usual = max(rate.minuteMean, context.threshold(.connectionChurnMeanMin))
        let limit = usual * context.threshold(.connectionChurnFactor)
        guard Double(rate.count) > limit else { return }
        context.raise(
            .above(.connectionChurn, Double(rate.count), limit),
            churn.fire(at: context.time, cooldown: context.cooldown(.connectionChurn)),
            process: process,
            """
            \(rate.count) new connections in a second, \
            \(EventContext.rounded(rate.minuteMean)) a second in the minute before
            """
        )
    }

    private mutating func evaluateScans(
        of remote: NetworkEnd,
        _ process: ByteView,
        _ context: EventContext
    ) {
        let host = StableHash.of(remote.address)
        let port = UInt64(remote.port)
        if context.isEnabled(.hostScan) {
            let limit = context.threshold(.hostScanHosts)
            let found = hosts.observe(
                host,
                of: port,
                at: context.time,
                window: Int64(context.threshold(.hostScanWindowSeconds) * 1e9),
                limit: Int(limit),
                cooldown: context.cooldown(.hostScan)
            )
            if let (count, verdict) = found {
                context.raise(
                    .above(.hostScan, Double(count), limit),
                    verdict,
                    key: port,
                    process: process,
                    "\(count) hosts on port \(port)"
                )
            }
        }
        if context.isEnabled(.portScan) {
            let limit = context.threshold(.portScanPorts)
            let found = ports.observe(
                port,
                of: host,
                at: context.time,
                window: Int64(context.threshold(.portScanWindowSeconds) * 1e9),
                limit: Int(limit),
                cooldown: context.cooldown(.portScan)
            )
            if let (count, verdict) = found {
                context.raise(
                    .above(.portScan, Double(count), limit),
                    verdict,
                    key: host,
                    process: process,
                    "\(count) ports of \(remote.address.string)"
                )
            }
        }
    }

    func encode(into buffer: inout RawBuffer) {
        rate.encode(into: &buffer)
        churn.encode(into: &buffer)
        hosts.encode(into: &buffer)
        ports.encode(into: &buffer)
    }

    init(decoding reader: inout StateReader) throws(TraceError) {
        rate = try OccurrenceRate(decoding: &reader)
        churn = try Alarm(decoding: &reader)
        hosts = try ScanWatch(decoding: &reader)
        ports = try ScanWatch(decoding: &reader)
    }
}
