import Glibc

/// A hand-written HTTP/2 client, for requests that this project's client does not send.
final class RawConnection {
    struct Failure: Error {
        let call: String
        let code: Int32
    }

    private let descriptor: Int32

    init(_ target: String) throws {
        let port = UInt16(target.split(separator: ":")[1]) ?? 0
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &limit,
            socklen_t(MemoryLayout<timeval>.size)
        )
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw Failure(call: "connect", code: errno) }
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) throws {
        guard write(descriptor, bytes, bytes.count) == bytes.count else {
            throw Failure(call: "write", code: errno)
        }
    }

    /// Reads until `pattern` is received; returns false if the connection ends or is silent before.
    func receives(_ pattern: [UInt8]) throws -> Bool {
        var received: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { return false }
            received += chunk[..<count]
            let starts = received.indices.dropLast(pattern.count - 1)
            if starts.contains(where: { received[$0...].starts(with: pattern) }) { return true }
        }
    }

    /// Preface, settings, and one call with a message of three bytes that claims to be in `encoding`.
    static func request(path: String, encoding: String) -> [UInt8] {
        let flag: UInt8 = encoding == "identity" ? 0 : 1
        let message: [UInt8] = [flag, 0, 0, 0, 3, 1, 2, 3]
        return greeting + headers(stream: 1, path: path, encoding: encoding)
            + frame(type: 0, flags: 1, stream: 1, message)
    }

    /// Preface and settings.
    static let greeting =
        Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(type: 4, flags: 0, stream: 0, [])

    /// Opens a call.
    static func headers(stream: UInt32, path: String, encoding: String = "identity") -> [UInt8] {
        var headers: [UInt8] = [0x83, 0x86]  // :method POST, :scheme http
        func add(_ name: String, _ value: String) {
            headers += [0, UInt8(name.utf8.count)] + Array(name.utf8)
            headers += [UInt8(value.utf8.count)] + Array(value.utf8)
        }
        add(":path", path)
        add(":authority", "localhost")
        add("te", "trailers")
        add("content-type", "application/grpc")
        add("grpc-encoding", encoding)
        return frame(type: 1, flags: 4, stream: stream, headers)
    }

    /// A message of `count` bytes; the frame contains only the first `bytes` of them.
    static func message(stream: UInt32, of count: Int, bytes: Int, isLast: Bool = false) -> [UInt8]
    {
        let length = (0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) }
        return frame(
            type: 0,
            flags: isLast ? 1 : 0,
            stream: stream,
            [0] + length + [UInt8](repeating: 7, count: bytes)
        )
    }

    static func frame(type: UInt8, flags: UInt8, stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
        let count = payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), type, flags]
            + (0..<4).map { UInt8(truncatingIfNeeded: stream >> (24 - 8 * $0)) } + payload
    }
}
