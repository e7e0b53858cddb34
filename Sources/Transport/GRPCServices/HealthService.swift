internal import CTraceProtos
package import GRPCTransport
internal import Synchronization
internal import TraceModel

/// The status in `grpc.health.v1.HealthCheckResponse`, its only field.
package enum HealthStatus: UInt8, Sendable {
    case unknown = 0
    case serving = 1
    case notServing = 2
    case serviceUnknown = 3

    package init(isServing: Bool) { self = isServing ? .serving : .notServing }

    package init?(decoding bytes: [UInt8]) {
        let value = WireFields(bytes[...]).first { $0.number == 1 }?.varint ?? 0
        guard let raw = UInt8(exactly: value) else { return nil }
        self.init(rawValue: raw)
    }

    /// Serializes the response.
    package func encoded() -> [UInt8] {
        var writer = WireWriter()
        writer.add(1, varint: UInt64(rawValue))
        return writer.bytes
    }
}

/// `grpc.health.v1.Health`: `Check`, and `Watch`, which streams every change.
package final class HealthService: GRPCServerHandler {
    package static let name = "grpc.health.v1.Health"

    package static let methods = [
        GRPCMethod(path: "/\(name)/Check", kind: .unary, lane: .control),
        GRPCMethod(path: "/\(name)/Watch", kind: .stream),
    ]

    /// State that calls and the server share.
    private struct State {
        var isServing = false
        var isStopped = false
        var watchers: [ObjectIdentifier: Watcher] = [:]
    }

    /// A `Watch` call and the service that it watches.
    private struct Watcher {
        let stream: GRPCStream
        let service: String
    }

    /// The known services; the empty name stands for the whole server.
    private let services: Set<String>
    private let state = Mutex(State())

    /// Creates the service with all of its services not serving.
    package init(services: [String] = [TracerService.name]) {
        self.services = Set(services).union(["", Self.name])
    }

    package var isServing: Bool { state.withLock { $0.isServing } }

    /// Sets the health of all services and sends it to the watchers.
    package func setServing(_ isServing: Bool) {
        state.withLock { state in
            guard state.isServing != isServing, !state.isStopped else { return }
            state.isServing = isServing
            for watcher in state.watchers.values { tell(watcher, isServing: isServing) }
        }
    }

    /// Sets all services to not serving for good, and ends all watches, which would delay the server's shutdown.
    package func stop() {
        setServing(false)
        let watchers = state.withLock { state in
            state.isStopped = true
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.stream.finish() }
    }

    /// Handles `Check`: replies with the status of the requested service, or fails with `notFound`.
    package func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        do throws(TraceError) {
            let service = try Self.service(in: message.bytes())
            guard services.contains(service) else { return call.fail(.notFound, "unknown service") }
            call.reply(HealthStatus(isServing: isServing).encoded())
        } catch { call.fail(.invalidArgument, error.message) }
    }

    /// Handles the begin of a `Watch` call by requesting its message.
    package func streamOpened(_ stream: GRPCStream, method: Int) { stream.receiveNext() }

    /// Handles the message of a `Watch` call: sends the current status and all later changes.
    package func streamMessage(
        _ stream: GRPCStream,
        method: Int,
        message: consuming ReceivedMessage
    ) {
        stream.release(bytes: message.count)
        do throws(TraceError) {
            let service = try Self.service(in: message.bytes())
            state.withLock { state in
                let watcher = Watcher(stream: stream, service: service)
                state.watchers[ObjectIdentifier(stream)] = watcher
                tell(watcher, isServing: state.isServing)
                if state.isStopped { stream.finish() }
            }
        } catch { stream.finish(.invalidArgument, error.message) }
    }

    /// Refuses a `Watch` call without a message.
    package func streamHalfClosed(_ stream: GRPCStream, method: Int) {
        stream.finish(.invalidArgument, "the call carries no message")
    }

    /// Removes the watcher.
    package func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {
        state.withLock { $0.watchers[ObjectIdentifier(stream)] = nil }
    }

    /// Does nothing: refused health checks are not counted.
    package func refused(method: Int, reason: GRPCRefusal) {}

    /// Sends a watcher the status. A client that does not read is disconnected, so that it never misses a change.
    private func tell(_ watcher: Watcher, isServing: Bool) {
        let status: HealthStatus =
            services.contains(watcher.service)
            ? HealthStatus(isServing: isServing) : .serviceUnknown
        if !watcher.stream.send(status.encoded()) {
            watcher.stream.finish(.resourceExhausted, "the client does not read")
        }
    }

    private static func service(in bytes: [UInt8]) throws(TraceError) -> String {
        unsafe try MessageCodec.unpack(
            bytes,
            as: "HealthCheckRequest",
            grpc__health__v1__health_check_request__unpack,
            free: grpc__health__v1__health_check_request__free_unpacked
        ) { message in unsafe MessageCodec.text(message.pointee.service) }
    }
}
