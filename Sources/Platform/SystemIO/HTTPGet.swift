import Glibc
package import TraceModel

/// Extracts the body from a response as far as it has arrived.
enum HTTPResponse {
    /// Returns the body, or nil while more has to arrive.
    /// - Throws: `TraceError(.invalidArgument)` with the body of a 400; `.unreachable` for a status other than 200, and
    ///   for a chunked body, which was not requested.
    static func body(of response: [UInt8], isAtEnd: Bool) throws -> [UInt8]? {
        let blank = Array("\r\n\r\n".utf8)
        guard let end = response.indices.first(where: { response[$0...].starts(with: blank) })
        else { return nil }
        let head = String(decoding: response[..<end], as: UTF8.self)
        let lines = head.split(separator: "\r\n")
        let status = lines.first?.split(separator: " ").dropFirst().first
        guard status == "200" || status == "400" else {
            throw TraceError(.unreachable, "answered \(lines.first ?? "without a status")")
        }
        var length: Int?
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            let value = parts[1].drop { $0 == " " }
            switch parts[0].lowercased() {
            case "content-length": length = Int(value)
            case "transfer-encoding":
                throw TraceError(.unreachable, "answered in transfer encoding \(value)")
            default: break
            }
        }
        let rest = response[(end + blank.count)...]
        guard length.map({ rest.count >= $0 }) ?? isAtEnd else { return nil }
        let body = rest.prefix(length ?? rest.count)
        guard status == "200" else {
            let message = String(decoding: body, as: UTF8.self).split(separator: "\n").first ?? ""
            throw TraceError(.invalidArgument, String(message))
        }
        return Array(body)
    }
}

/// Sends one GET over plain HTTP/1.1 on a connection of its own: enough to query the aggregator, without a client library.
package enum HTTPGet {
    /// The address of an HTTP server of this project.
    package enum Server: Sendable, Equatable, CustomStringConvertible {
        case network(HostPort)
        /// A Unix socket with a path below a directory.
        case local(directory: String, path: String)

        /// Parses what a server of the data directory `directory` has written as its address; nil for anything else.
        package init?(_ text: String, in directory: String) {
            if text.hasPrefix(ListeningSocket.localScheme) {
                let path = text.dropFirst(ListeningSocket.localScheme.count)
                self = .local(directory: directory, path: String(path))
            } else if let address = HostPort(text) {
                self = .network(address)
            } else {
                return nil
            }
        }

        package var description: String {
            switch self {
            case .network(let address): "\(address)"
            case .local(let directory, let path): "\(directory)/\(path)"
            }
        }

        fileprivate var host: String {
            switch self {
            case .network(let address): "\(address)"
            case .local: "localhost"
            }
        }
    }

    private static let responseBytesMax = 4 << 20

    /// Returns the body of a 200 response. Each step blocks for about `timeoutSeconds` at most. Servers that may answer in
    /// chunks, which are not read here, do not with `version` 1.0.
    /// - Throws: `TraceError(.invalidArgument)` where the server refuses the request's parameters; `.unreachable` where
    ///   there is no other response.
    package static func body(
        of path: String,
        from address: HostPort,
        version: String = "1.1",
        timeoutSeconds: Int
    ) throws -> [UInt8] {
        try body(
            of: path,
            from: .network(address),
            version: version,
            timeoutSeconds: timeoutSeconds
        )
    }

    /// Returns the body of a 200 response. Each step blocks for about `timeoutSeconds` at most.
    /// - Throws: `TraceError(.unreachable)` where there is no such response.
    package static func body(
        of path: String,
        from address: Server,
        version: String = "1.1",
        timeoutSeconds: Int
    ) throws -> [UInt8] {
        let descriptor =
            switch address {
            case .network(let address):
                try connect(to: address, timeoutSeconds: timeoutSeconds)
            case .local(let directory, let path):
                try LocalSocket.connect(to: path, in: directory, timeoutSeconds: timeoutSeconds)
            }
        defer { close(descriptor) }
        let request =
            "GET \(path) HTTP/\(version)\r\nHost: \(address.host)\r\n"
            + "Accept: application/json\r\nConnection: close\r\n\r\n"
        var rest = Array(request.utf8)[...]
        while !rest.isEmpty {
            let count = try systemCall("send", "\(address)") {
                unsafe rest.withUnsafeBytes {
                    unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
            }
            rest = rest.dropFirst(count)
        }
        let deadline = WallClock.monotonic() + Int64(timeoutSeconds) * 1_000_000_000
        var response: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            if let body = try HTTPResponse.body(of: response, isAtEnd: false) { return body }
            guard response.count < responseBytesMax, WallClock.monotonic() < deadline else {
                throw TraceError(.unreachable, "\(address): the answer is too long or too slow")
            }
            let count = try systemCall("recv", "\(address)") {
                unsafe recv(descriptor, &chunk, chunk.count, 0)
            }
            if count == 0 { break }
            response.append(contentsOf: chunk.prefix(count))
        }
        guard let body = try HTTPResponse.body(of: response, isAtEnd: true) else {
            throw TraceError(.unreachable, "\(address): the answer is cut off")
        }
        return body
    }

    /// Returns all addresses of a host, in the order in which they are found. Blocks.
    /// - Throws: `TraceError(.unreachable)` where the name is not known.
    package static func addresses(of address: HostPort) throws -> [HostPort] {
        let list = try unsafe candidates(address)
        defer { unsafe freeaddrinfo(list) }
        var found: [HostPort] = []
        var next = unsafe list
        while let candidate = unsafe next?.pointee {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let code = unsafe getnameinfo(
                candidate.ai_addr,
                candidate.ai_addrlen,
                &text,
                socklen_t(text.count),
                nil,
                0,
                NI_NUMERICHOST
            )
            let host = String(
                decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
                as: UTF8.self
            )
            let shown = host.contains(":") ? "[\(host)]" : host
            if code == 0, let one = HostPort("\(shown):\(address.port)"), !found.contains(one) {
                found.append(one)
            }
            unsafe next = unsafe candidate.ai_next
        }
        return found
    }

    private static func candidates(_ address: HostPort) throws -> UnsafeMutablePointer<addrinfo>? {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(address.host, String(address.port), &hints, &list)
        guard code == 0 else {
            let reason = unsafe String(cString: gai_strerror(code))
            throw TraceError(.unreachable, "\(address.host): \(reason)")
        }
        return unsafe list
    }

    private static func connect(to address: HostPort, timeoutSeconds: Int) throws -> Int32 {
        let list = try unsafe candidates(address)
        defer { unsafe freeaddrinfo(list) }
        var last = SystemError(errno: ECONNREFUSED, call: "connect", subject: "\(address)")
        var next = unsafe list
        while let candidate = unsafe next?.pointee {
            do throws(SystemError) {
                return try unsafe connect(
                    to: candidate,
                    "\(address)",
                    timeoutSeconds: timeoutSeconds
                )
            } catch {
                last = error
                unsafe next = unsafe candidate.ai_next
            }
        }
        throw TraceError(.unreachable, "nobody answers", cause: last)
    }

    private static func connect(
        to candidate: addrinfo,
        _ name: String,
        timeoutSeconds: Int
    ) throws(SystemError) -> Int32 {
        let kind = unsafe candidate.ai_socktype | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = try systemCall("socket", name) {
            unsafe socket(candidate.ai_family, kind, 0)
        }
        do throws(SystemError) {
            try LocalSocket.limit(descriptor, seconds: timeoutSeconds, name)
            try systemCall("connect", name) {
                unsafe Glibc.connect(descriptor, candidate.ai_addr, candidate.ai_addrlen)
            }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }
}
