import GRPCServices
import GRPCTransport
import TraceModel

/// What is owed to the sender of a batch: paid once its commit group is durable, or refused.
enum AckTicket: Sendable {
    case unary(GRPCUnaryCall, events: Int)
    case stream(BatchStream, sequence: UInt64, events: Int)

    func accept() {
        switch self {
        case .unary(let call, let events):
            call.reply(TraceResponse(success: true, message: "\(events) events stored").encoded())
        case .stream(let stream, let sequence, let events):
            stream.acknowledge(sequence: sequence, events: events)
        }
    }

    func refuse(_ error: TraceError) {
        switch self {
        case .unary(let call, _):
            call.fail(error)
        case .stream(let stream, _, _):
            stream.fail(error)
        }
    }
}
