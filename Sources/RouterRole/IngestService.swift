import GRPCServices
import GRPCTransport
import Synchronization
import SystemIO
import TraceModel

/// The router's gRPC methods: each call goes from here to the ingest queue, the admin service, health or
/// reflection. Everything runs on a poller thread and returns at once.
final class IngestService: GRPCServerHandler {
    /// The methods that agents call, in the order of their indexes.
    private enum Endpoint: Int, CaseIterable {
        case sendTraceBatch
        case getStatus
        case streamTraceBatches

        var method: GRPCMethod {
            switch self {
            case .sendTraceBatch:
                GRPCMethod(path: "/NeuTracer.TracerService/SendTraceBatch", kind: .unary)
            case .getStatus:
                GRPCMethod(
                    path: "/NeuTracer.TracerService/GetStatus",
                    kind: .unary,
                    lane: .control
                )
            case .streamTraceBatches:
                GRPCMethod(path: "/NeuTracer.TracerService/StreamTraceBatches", kind: .stream)
            }
        }
    }

    private let queue: IngestQueue
    private let context: RouterContext
    private let admin: AdminService
    private let health: HealthService
    private let reflection: ReflectionService
    private let routes: ServiceRoutes
    /// Calls that came while draining: they are held, as no answer fits that keeps agents sending.
    private let held = Mutex<[GRPCUnaryCall]>([])
    private let machine: [UInt8]

    init(
        queue: IngestQueue,
        context: RouterContext,
        admin: AdminService,
        health: HealthService,
        machine: String
    ) {
        self.queue = queue
        self.context = context
        self.admin = admin
        self.health = health
        self.machine = Array(machine.utf8)
        reflection = ReflectionService()
        routes = ServiceRoutes(
            counts: [
                Endpoint.allCases.count, AdminService.methods.count, HealthService.methods.count,
                ReflectionService.methods.count,
            ])
    }

    static let methods =
        Endpoint.allCases.map(\.method) + AdminService.methods + HealthService.methods
        + ReflectionService.methods

    // MARK: Unary calls

    func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        let (service, index) = routes.find(method)
        switch service {
        case 0: ingest(call, endpoint: Endpoint(rawValue: index), message: message)
        case 1: admin.unary(call, method: index, message: message)
        case 2: health.unary(call, method: index, message: message)
        default: preconditionFailure("reflection has no unary method")
        }
    }

    private func ingest(
        _ call: GRPCUnaryCall,
        endpoint: Endpoint?,
        message: borrowing ReceivedMessage
    ) {
        switch endpoint {
        case .sendTraceBatch:
            if context.isDraining { return held.withLock { $0.append(call) } }
            submit(message, peerHost: host(of: call.peer), from: .unary(call))
        case .getStatus:
            let status = StatusResponse(
                active: !context.isDraining,
                receivedTraces: Int64(clamping: context.acceptedEvents),
                serverVersion: BuildInfo.version
            )
            call.reply(status.encoded())
        case .streamTraceBatches, nil:
            preconditionFailure("a stream came as a unary call")
        }
    }

    private func submit(
        _ message: borrowing ReceivedMessage,
        peerHost: [UInt8],
        from sender: AckTicket.Sender
    ) {
        context.active(at: WallClock.now())
        if case .refused(let error, _, _) = queue.submit(message, peerHost: peerHost, from: sender)
        {
            context.refusals.count(error.code.rawValue)
        }
    }

    /// The traced machine where a batch does not name it: this one for a local peer.
    private func host(of peer: String) -> [UInt8] {
        let address = PeerAddress.host(of: peer)
        if address.isEmpty || address == "::1" || address.hasPrefix("127.") { return machine }
        return Array(address.utf8)
    }

    // MARK: Streams

    func streamOpened(_ stream: GRPCStream, method: Int) {
        let (service, index) = routes.find(method)
        switch service {
        case 0:
            stream.attachment = BatchStream(stream, peerHost: host(of: stream.peer))
            stream.receiveNext()
        case 2: health.streamOpened(stream, method: index)
        default: reflection.streamOpened(stream, method: index)
        }
    }

    func streamMessage(
        _ stream: GRPCStream,
        method: Int,
        message: consuming ReceivedMessage
    ) {
        let (service, index) = routes.find(method)
        switch service {
        case 0:
            guard let batches = stream.attachment as? BatchStream else { return }
            batches.received()
            if context.isDraining { return }
            submit(message, peerHost: batches.peerHost, from: .stream(batches))
            stream.receiveNext()
        case 2: health.streamMessage(stream, method: index, message: message)
        default: reflection.streamMessage(stream, method: index, message: message)
        }
    }

    func streamHalfClosed(_ stream: GRPCStream, method: Int) {
        let (service, index) = routes.find(method)
        switch service {
        case 0: (stream.attachment as? BatchStream)?.halfClosed()
        case 2: health.streamHalfClosed(stream, method: index)
        default: reflection.streamHalfClosed(stream, method: index)
        }
    }

    func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {
        let (service, index) = routes.find(method)
        switch service {
        case 0: break
        case 2: health.streamEnded(stream, method: index, cancelled: cancelled)
        default: reflection.streamEnded(stream, method: index, cancelled: cancelled)
        }
    }

    func refused(method: Int, reason: GRPCRefusal) {
        context.refusals.count(reason.rawValue)
    }
}
