internal import CZeroMQ
internal import Glibc

/// libzmq's I/O thread and all that its sockets share; one a process. Any thread may make sockets of it.
///
/// Sockets retain their context, so it goes after the last of them. That blocks until the I/O thread
/// has let go of every socket, which is prompt, as sockets don't linger.
@safe
package final class ZMQContext: @unchecked Sendable {
    // Unchecked: the handle never changes, and libzmq allows contexts in any thread.
    let handle: UnsafeMutableRawPointer

    package init() throws(ZMQError) {
        guard let handle = unsafe zmq_ctx_new() else {
            throw ZMQError(errno: errno, call: "zmq_ctx_new", subject: "")
        }
        unsafe self.handle = handle
    }

    deinit {
        // zmq_ctx_term(3): after EINTR, the caller has to try again.
        while unsafe zmq_ctx_term(handle) != 0 && errno == EINTR {}
    }
}
