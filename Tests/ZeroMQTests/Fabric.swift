import CZeroMQ
import Foundation
import SystemIO
import Testing

@testable import ZeroMQ

/// A temporary directory and a context for one test.
final class Fabric {
    let context: ZMQContext
    let endpoint: String
    private let directory: String

    init() throws {
        directory = NSTemporaryDirectory() + "zmq-\(UUID().uuidString.prefix(8))"
        try FileSystem.createDirectory(directory)
        endpoint = "ipc://\(directory)/s"
        context = try ZMQContext()
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func router(queueMessagesMax: Int = 1_000) throws -> ZMQSocket {
        let socket = try ZMQSocket(context, .router, queueMessagesMax: queueMessagesMax)
        try socket.bind(endpoint)
        return socket
    }

    func dealer(_ name: RoutingID, queueMessagesMax: Int = 1_000) throws -> ZMQSocket {
        let socket = try ZMQSocket(context, .dealer(name), queueMessagesMax: queueMessagesMax)
        try socket.connect(endpoint)
        return socket
    }
}

func routingID(_ text: String) throws -> RoutingID { try #require(RoutingID(text)) }

/// Waits until the socket is readable; fails after ten seconds.
func awaitReadable(_ socket: ZMQSocket) throws {
    let poller = ZMQPoller()
    let source = poller.add(socket)
    let deadline = WallClock.monotonic() + 10_000_000_000
    while !poller.isReadable(source) {
        try #require(WallClock.monotonic() < deadline, "nothing came")
        poller.wait(milliseconds: 100)
    }
}

/// Waits until the socket is writable, as a dealer is once it is connected; fails after ten seconds.
func awaitWritable(_ socket: ZMQSocket) throws {
    var item = zmq_pollitem_t(socket: socket.handle, fd: 0, events: Int16(ZMQ_POLLOUT), revents: 0)
    let deadline = WallClock.monotonic() + 10_000_000_000
    while zmq_poll(&item, 1, 100) <= 0 {
        try #require(WallClock.monotonic() < deadline, "not connected")
    }
}

/// Waits for a message and hands it over.
func awaitMessage(_ socket: ZMQSocket) throws -> ZMQMessage {
    while true {
        try awaitReadable(socket)
        if let message = socket.receive() { return message }
    }
}

/// Waits for a message and copies its first frame.
func awaitHead(_ socket: ZMQSocket) throws -> [UInt8] {
    let message = try awaitMessage(socket)
    return Array(message.frame(0))
}

/// Makes the dealer known to the router by a message.
func introduce(_ dealer: ZMQSocket, to router: ZMQSocket) throws {
    try awaitWritable(dealer)
    #expect(dealer.send(head: [1]) == .sent)
    _ = try awaitMessage(router)
}

/// Waits until a condition holds that a library thread establishes; fails after ten seconds.
func awaitCondition(_ condition: () -> Bool) throws {
    let deadline = WallClock.monotonic() + 10_000_000_000
    let poller = ZMQPoller()
    while !condition() {
        try #require(WallClock.monotonic() < deadline, "it never came about")
        poller.wait(milliseconds: 1)
    }
}
