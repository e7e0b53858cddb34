import Glibc
import Synchronization
import SystemIO

/// Answers one connection on a port of its own with fixed bytes, whatever it is asked.
final class CannedHTTPServer: Sendable {
    let port: UInt16
    private let listener: Int32
    private let received = Mutex("")
    private let done: Wakeup

    init(_ response: String) throws {
        done = try Wakeup()
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                precondition(bind(listener, generic, length) == 0)
                precondition(listen(listener, 1) == 0)
                precondition(getsockname(listener, generic, &length) == 0)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        _ = DedicatedThread("canned-http") { self.serve(response) }
    }

    /// What the client sent. Blocks until it has been answered.
    func request() -> String {
        var entry = pollfd(fd: done.descriptor, events: Int16(POLLIN), revents: 0)
        precondition(poll(&entry, 1, 10_000) == 1)
        return received.withLock { $0 }
    }

    func close() {
        // Ends a pending accept too.
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private func serve(_ response: String) {
        let connection = accept(listener, nil, nil)
        if connection >= 0 {
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(connection, &buffer, buffer.count, 0)
            received.withLock { $0 = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self) }
            _ = send(connection, response, response.utf8.count, Int32(MSG_NOSIGNAL))
            Glibc.close(connection)
        }
        Glibc.close(listener)
        done.signal()
    }
}
