internal import CZeroMQ
internal import Glibc
internal import TraceModel

/// Waits until one of several sockets and plain descriptors (`Wakeup`, signals) is readable. Bound to the thread of its sockets.
@safe package final class ZMQPoller {
    /// Identifies a socket or descriptor that was added.
    package struct Source: Hashable, Sendable { let index: Int }

    private let items: UnsafeMutablePointer<zmq_pollitem_t>
    private var count = 0
    // A socket must not close while its handle is polled.
    private var sockets: [ZMQSocket] = []

    package init() { unsafe items = .allocate(capacity: Limits.pollSourcesMax) }

    deinit { unsafe items.deallocate() }

    /// Adds a socket and retains it.
    package func add(_ socket: ZMQSocket) -> Source {
        socket.checkThread()
        sockets.append(socket)
        var item = unsafe zmq_pollitem_t()
        unsafe item.socket = socket.handle
        return unsafe append(item)
    }

    /// Adds a descriptor, which has to stay open as long as the poller exists.
    package func add(descriptor: Int32) -> Source {
        var item = unsafe zmq_pollitem_t()
        unsafe item.fd = descriptor
        return unsafe append(item)
    }

    /// Blocks until a source is ready or the time is over; nil waits indefinitely. May return early with nothing ready,
    /// after a signal.
    package func wait(milliseconds: Int?) {
        let timeout = milliseconds.map { max($0, 0) } ?? -1
        guard unsafe zmq_poll(items, Int32(count), timeout) < 0 else { return }
        let code = errno
        precondition(code == EINTR, "zmq_poll: errno \(code)")
        for index in 0..<count { unsafe items[index].revents = 0 }
    }

    /// Returns whether the last `wait` found the source readable.
    package func isReadable(_ source: Source) -> Bool {
        precondition(source.index < count)
        return unsafe items[source.index].revents & Int16(ZMQ_POLLIN) != 0
    }

    private func append(_ item: zmq_pollitem_t) -> Source {
        precondition(count < Limits.pollSourcesMax)
        unsafe (items + count).initialize(to: item)
        unsafe items[count].events = Int16(ZMQ_POLLIN)
        count += 1
        return Source(index: count - 1)
    }
}
