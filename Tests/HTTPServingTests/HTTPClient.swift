import Foundation
import Glibc
import SystemIO

/// A connection to a server on the loopback interface, byte by byte. Blocks, so it must be used on threads outside
/// Swift's pool, on which the server answers. One thread may send while another one reads.
final class HTTPClient: @unchecked Sendable {
    struct Failure: Error {
        let call: String
        let code: Int32
    }

    private let descriptor: Int32
    /// Bytes received after the last reply.
    private var rest: [UInt8] = []

    /// `receiveBytes` limits the kernel's receive buffer.
    init(port: Int, receiveBytes: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if let receiveBytes {
            try ListeningSocket.setOption(SOL_SOCKET, SO_RCVBUF, receiveBytes, of: descriptor)
        }
        var limit = timeval(tv_sec: 50, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw Failure(call: "connect", code: errno) }
    }

    deinit { close(descriptor) }

    /// Runs on a dedicated thread, so that blocking does not stop any task.
    static func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let thread = DedicatedThread("client") {
                continuation.resume(with: Result { try body() })
            }
            _ = thread
        }
    }

    func send(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw Failure(call: "send", code: errno)
        }
    }

    /// Closes the sending side.
    func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Reads at most `bytes` bytes; empty if the other side has closed.
    func read(_ bytes: Int = 4_096) throws -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: bytes)
        let count = recv(descriptor, &chunk, bytes, 0)
        guard count >= 0 else { throw Failure(call: "recv", code: errno) }
        return Array(chunk[..<count])
    }

    /// Reads until the other side closes. Throws after a timeout.
    func readAll() throws -> String {
        while true {
            let more = try read()
            if more.isEmpty { break }
            rest += more
        }
        defer { rest = [] }
        return String(decoding: rest, as: UTF8.self)
    }

    /// Reads the next reply, with a body of `Content-Length` bytes.
    func reply() throws -> (head: String, body: [UInt8]) {
        while true {
            let text = String(decoding: rest, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let head = String(text[..<end.lowerBound])
                let length = head.components(separatedBy: "\r\n").first {
                    $0.lowercased().hasPrefix("content-length:")
                }
                .flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) }
                let start = head.utf8.count + 4
                if let length, rest.count >= start + length {
                    defer { rest.removeFirst(start + length) }
                    return (head, Array(rest[start..<(start + length)]))
                }
            }
            let more = try read(1 << 16)
            guard !more.isEmpty else { throw Failure(call: "recv", code: 0) }
            rest += more
        }
    }
}
