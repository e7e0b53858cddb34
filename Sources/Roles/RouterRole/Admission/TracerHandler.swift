import GRPCServices
import GRPCTransport
import Synchronization
import SystemIO
import TraceModel

/// Handles the agents' calls: passes batches to the ingest queue. Runs on a poller thread and returns at once.
final class TracerHandler: GRPCServerHandler {
    private let queue: IngestQueue
    private let large: LargeBatches
    private let context: RouterContext
    /// This machine's host name, used for local peers.
    private let machine: [UInt8]
    /// Whether a batch's host has to be the name in its client's certificate.
    private let requiresHostIdentity: Bool
    /// Calls that arrived while draining. They are held, because every answer would make agents stop sending.
    private let held = Mutex<[GRPCUnaryCall]>([])
    /// Host of the peer that called last. Cached, because agents call many times in a row.
    private let lastHost = Mutex<(peer: String, host: [UInt8])?>(nil)

    init(
        queue: IngestQueue,
        large: LargeBatches,
        context: RouterContext,
        machine: String,
        requiresHostIdentity: Bool = false
    ) {
        self.queue = queue
        self.large = large
        self.context = context
        self.machine = Array(machine.utf8)
        self.requiresHostIdentity = requiresHostIdentity
    }

    func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        switch TracerService.Method(rawValue: method) {
        case .sendTraceBatch:
            let peer = call.peer
            context.clients.note(peer, now: WallClock.monotonic())
            let identity = identity(peer: peer) { call.certificateName }
            if !submit(
                message,
                peerHost: host(of: peer),
                identity: identity,
                from: .unary(call)
            ) {
                held.withLock { $0.append(call) }
            }
        case .getStatus:
            let status = StatusResponse(
                active: !context.isDraining,
                receivedTraces: Int64(clamping: context.acceptedEvents),
                serverVersion: BuildInfo.version
            )
            call.reply(status.encoded())
        case .streamTraceBatches, nil: preconditionFailure("not a unary method")
        }
    }

    /// Queues a batch; returns false if no batch is taken any more.
    private func submit(
        _ message: consuming ReceivedMessage,
        peerHost: [UInt8],
        identity: HostIdentity,
        from sender: AckTicket.Sender
    ) -> Bool {
        context.active(at: WallClock.now())
        if LargeBatches.isLarge(message) {
            return large.take(message, peerHost: peerHost, identity: identity, from: sender)
        }
        context.waitingChanged(by: message.count)
        guard
            let outcome = queue.submit(
                message,
                peerHost: peerHost,
                identity: identity,
                from: sender
            )
        else {
            context.waitingChanged(by: -message.count)
            return false
        }
        if case .refused(let error, _, _) = outcome { context.refusals.count(error.code.rawValue) }
        return true
    }

    /// Returns the hosts whose events the client may send. Who can reach this machine's Unix sockets may send any.
    private func identity(peer: String, certificateName: () -> String?) -> HostIdentity {
        guard requiresHostIdentity, !PeerAddress.isLocalSocket(peer) else { return .any }
        return certificateName().map { .named($0) } ?? .unknown
    }

    /// Returns the traced host for batches that do not name it; this machine for a local peer.
    private func host(of peer: String) -> [UInt8] {
        lastHost.withLock { last in
            if let last, last.peer == peer { return last.host }
            let host = hostName(of: peer)
            last = (peer, host)
            return host
        }
    }

    private func hostName(of peer: String) -> [UInt8] {
        let address = PeerAddress.host(of: peer)
        if address.isEmpty || address == "::1" || address.hasPrefix("127.") { return machine }
        return Array(address.utf8)
    }

    func streamOpened(_ stream: GRPCStream, method: Int) {
        let peer = stream.peer
        stream.attachment = BatchStream(
            stream,
            peer: peer,
            peerHost: host(of: peer),
            identity: identity(peer: peer) { stream.certificateName }
        )
        stream.receiveNext()
    }

    func streamMessage(_ stream: GRPCStream, method: Int, message: consuming ReceivedMessage) {
        guard let batches = stream.attachment as? BatchStream else { return }
        batches.received()
        context.clients.note(batches.peer, now: WallClock.monotonic())
        // After a large batch, the next one is requested only once the large one has its place in the log.
        let isLarge = LargeBatches.isLarge(message)
        // If no batch is taken any more, the answer stays owed, so the stream remains open.
        if submit(
            message,
            peerHost: batches.peerHost,
            identity: batches.identity,
            from: .stream(batches)
        ), !isLarge {
            batches.receiveNext()
        }
    }

    func streamHalfClosed(_ stream: GRPCStream, method: Int) {
        (stream.attachment as? BatchStream)?.halfClosed()
    }

    func streamEnding(_ stream: GRPCStream, method: Int) {
        (stream.attachment as? BatchStream)?.routerEnds()
    }

    func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {}

    func refused(method: Int, reason: GRPCRefusal) { context.refusals.count(reason.rawValue) }

    func closed(_ reason: GRPCClosing) { context.closings.count(reason.rawValue) }
}
