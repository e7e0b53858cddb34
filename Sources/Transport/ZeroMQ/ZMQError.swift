internal import CZeroMQ
internal import Glibc

/// A libzmq call that failed: the call, what it was about, and errno (libzmq adds numbers of its own).
package struct ZMQError: Error, CustomStringConvertible, Sendable {
    package let errno: Int32
    package let call: String
    package let subject: String

    package var description: String {
        let reason = unsafe zmq_strerror(errno).map { unsafe String(cString: $0) }
        return "\(call) \(subject): \(reason ?? "error \(errno)")"
    }
}

/// Retries EINTR and throws every other failure. Reads errno right behind the call, in one function,
/// as anything between may overwrite it.
func zmqCall(
    _ call: StaticString,
    _ subject: @autoclosure () -> String,
    _ body: () -> Int32
) throws(ZMQError) {
    while body() < 0 {
        let code = errno
        if code == EINTR { continue }
        throw ZMQError(errno: code, call: "\(call)", subject: subject())
    }
}
