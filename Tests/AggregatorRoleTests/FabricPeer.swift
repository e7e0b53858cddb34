import ClusterMessages
import Synchronization
import SystemIO
import Testing
import TraceModel
import ZeroMQ

/// A worker or the router as the aggregator sees it. Its socket is used by its own thread.
final class FabricPeer: Sendable {
    private struct State: Sendable {
        var outgoing: [[UInt8]] = []
        var received: [ClusterMessage] = []
        var isEnding = false
    }

    private let state = Mutex(State())
    private let wakeup: Wakeup
    private let routingID: RoutingID
    private let endpoint: String

    init(_ name: String, in directory: String) throws {
        routingID = try #require(RoutingID(name))
        endpoint = "ipc://\(directory)/run/aggregator.sock"
        wakeup = try Wakeup()
        _ = DedicatedThread("peer") { self.run() }
    }

    /// Sends a message once there is a connection.
    func send(_ message: ClusterMessage) throws {
        let bytes = try message.encode()
        state.withLock { $0.outgoing.append(bytes) }
        wakeup.signal()
    }

    var received: [ClusterMessage] { state.withLock { $0.received } }

    /// Closes the socket. The thread retains this object until then.
    func end() {
        state.withLock { $0.isEnding = true }
        wakeup.signal()
    }

    private func run() {
        do {
            let socket = try ZMQSocket(ZMQContext(), .dealer(routingID))
            try socket.connect(endpoint)
            let poller = ZMQPoller()
            _ = poller.add(socket)
            _ = poller.add(descriptor: wakeup.descriptor)
            while !state.withLock({ $0.isEnding }) {
                let next = state.withLock { $0.outgoing.first }
                if let next, socket.send(head: next) == .sent {
                    state.withLock { _ = $0.outgoing.removeFirst() }
                    continue
                }
                // Without a connection, tries again soon.
                poller.wait(milliseconds: next == nil ? nil : 20)
                wakeup.clear()
                while let message = socket.receive() {
                    let content = try ClusterMessage(decoding: message.frame(0))
                    state.withLock { $0.received.append(content) }
                }
            }
        } catch { Issue.record("the peer \(routingID) ended: \(error)") }
    }
}
