import Glibc

/// A non-blocking listening socket, of TCP or a Unix socket, closed on deinit.
package final class ListeningSocket: Sendable {
    /// What an address in text form begins with if it is a Unix socket's path: `unix:run/grpc.sock`.
    package static let localScheme = "unix:"

    /// An accepted connection: non-blocking, close-on-exec, owned by the caller.
    package struct Connection: Sendable {
        package let descriptor: Int32
        /// The remote address in gRPC's notation: `ipv4:127.0.0.1:51234`, `ipv6:[::1]:51234`, `unix:`.
        package let peer: String

        package init(descriptor: Int32, peer: String) {
            self.descriptor = descriptor
            self.peer = peer
        }
    }

    package let descriptor: Int32

    private init(takingOwnership descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    // MARK: Creating

    /// Returns the sockets passed by a supervisor with the protocol of sd_listen_fds(3): `LISTEN_FDS` descriptors from
    /// 3 on, meant for process `LISTEN_PID`. Empty if there are none. Removes the variables from the environment, so it
    /// works only once.
    package static func inherited() throws(SystemError) -> [ListeningSocket] {
        defer {
            unsafe unsetenv("LISTEN_FDS")
            unsafe unsetenv("LISTEN_PID")
            unsafe unsetenv("LISTEN_FDNAMES")
        }
        guard let owner = Readiness.environment("LISTEN_PID").flatMap({ pid_t($0) }),
            owner == getpid(),
            let count = Readiness.environment("LISTEN_FDS").flatMap({ Int32($0) }), count > 0
        else { return [] }
        var sockets: [ListeningSocket] = []
        for descriptor in 3..<(3 + count) {
            guard option(SO_ACCEPTCONN, of: descriptor) == 1 else {
                throw SystemError(
                    errno: EINVAL,
                    call: "LISTEN_FDS",
                    subject: "descriptor \(descriptor), which is no listening socket"
                )
            }
            configure(descriptor)
            sockets.append(ListeningSocket(takingOwnership: descriptor))
        }
        return sockets
    }

    /// Listens on `127.0.0.1:50051`, `[::1]:50051` or `name:50051`, there on each address of the name. Port 0 picks a
    /// free one. Fails if another process listens on the port. Resolves names, which may block. A Unix socket,
    /// `unix:run/grpc.sock`, replaces what has its path, and only this user may connect to it.
    package static func bind(_ address: String) throws(SystemError) -> [ListeningSocket] {
        if address.hasPrefix(localScheme) {
            return [try listen(at: String(address.dropFirst(localScheme.count)))]
        }
        guard let colon = address.lastIndex(of: ":") else {
            throw SystemError(errno: EINVAL, call: "bind", subject: address)
        }
        let host = address[..<colon].drop { $0 == "[" }.prefix { $0 != "]" }
        let port = address[address.index(after: colon)...]
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var found: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(String(host), String(port), &hints, &found) == 0 else {
            throw SystemError(errno: EADDRNOTAVAIL, call: "getaddrinfo", subject: address)
        }
        defer { unsafe freeaddrinfo(found) }
        var sockets: [ListeningSocket] = []
        var next = unsafe found
        while let entry = unsafe next {
            let socket = unsafe try listen(on: entry, named: address)
            sockets.append(socket)
            unsafe next = entry.pointee.ai_next
        }
        return sockets
    }

    private static func listen(
        on entry: UnsafeMutablePointer<addrinfo>,
        named address: String
    ) throws(SystemError) -> ListeningSocket {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = try systemCall("socket", address) {
            unsafe Glibc.socket(entry.pointee.ai_family, kind, 0)
        }
        let socket = ListeningSocket(takingOwnership: descriptor)
        // Connections left by a previous server do not block the port.
        try setOption(SOL_SOCKET, SO_REUSEADDR, 1, of: descriptor)
        if unsafe entry.pointee.ai_family == AF_INET6 {
            // `[::]` means every address of both families.
            try setOption(Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0, of: descriptor)
        }
        try systemCall("bind", address) {
            unsafe Glibc.bind(descriptor, entry.pointee.ai_addr, entry.pointee.ai_addrlen)
        }
        try systemCall("listen", address) { Glibc.listen(descriptor, SOMAXCONN) }
        return socket
    }

    private static func listen(at path: String) throws(SystemError) -> ListeningSocket {
        guard let address = LocalAddress(path) else {
            throw SystemError(errno: ENAMETOOLONG, call: "bind", subject: path)
        }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = try systemCall("socket", path) { Glibc.socket(AF_UNIX, kind, 0) }
        let socket = ListeningSocket(takingOwnership: descriptor)
        _ = unsafe unlink(path)
        // On Linux the socket's file takes its mode from the descriptor's, less the umask.
        try systemCall("fchmod", path) { fchmod(descriptor, 0o600) }
        try systemCall("bind", path) {
            unsafe address.withC { unsafe Glibc.bind(descriptor, $0, $1) }
        }
        try systemCall("listen", path) { Glibc.listen(descriptor, SOMAXCONN) }
        return socket
    }

    private static func configure(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    /// Replaces this process by the program `command`, which gets the sockets by the protocol of `inherited`. Returns
    /// only by throwing.
    package static func pass(
        _ sockets: [ListeningSocket],
        to command: [String]
    ) throws(SystemError) -> Never {
        let first: Int32 = 3
        // Duplicated above the target range first, so that dup2 overwrites none of them.
        var numbers: [Int32] = []
        for socket in sockets {
            let above = first + Int32(sockets.count)
            let number = try systemCall("fcntl", command[0]) {
                fcntl(socket.descriptor, F_DUPFD_CLOEXEC, above)
            }
            numbers.append(number)
        }
        for (index, number) in numbers.enumerated() {
            try systemCall("dup2", command[0]) { dup2(number, first + Int32(index)) }
        }
        unsafe setenv("LISTEN_FDS", "\(sockets.count)", 1)
        unsafe setenv("LISTEN_PID", "\(getpid())", 1)
        var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
        unsafe execvp(command[0], &arguments)
        throw SystemError(errno: errno, call: "exec", subject: command[0])
    }

    // MARK: Using

    /// The address it listens on: `127.0.0.1:50051`, `[::1]:50051`, `unix:run/grpc.sock`.
    package var address: String {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let code = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        guard code == 0 else { return "?" }
        if storage.ss_family == sa_family_t(AF_UNIX) {
            return Self.localScheme + LocalAddress.path(of: storage)
        }
        return Self.name(of: &storage, length)?.text ?? "?"
    }

    /// Whether the socket is reachable only from this machine.
    package var isLoopback: Bool {
        let address = address
        return ["127.", "[::1]", Self.localScheme].contains { address.hasPrefix($0) }
    }

    /// The port it listens on.
    package var port: Int { address.split(separator: ":").last.flatMap { Int($0) } ?? 0 }

    /// Accepts the next connection; nil if none is waiting.
    ///
    /// - Throws: `SystemError` if the process or the machine lacks descriptors or memory; the connection keeps waiting.
    package func accept() throws(SystemError) -> Connection? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        while true {
            let accepted = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe Glibc.accept(descriptor, $0, &length)
                }
            }
            if accepted >= 0 {
                Self.configure(accepted)
                if storage.ss_family == sa_family_t(AF_UNIX) {
                    return Connection(descriptor: accepted, peer: Self.localScheme)
                }
                let name = Self.name(of: &storage, length)
                let scheme = name?.isVersion6 == true ? "ipv6" : "ipv4"
                return Connection(descriptor: accepted, peer: "\(scheme):\(name?.text ?? "")")
            }
            switch errno {
            case EAGAIN: return nil
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                throw SystemError(errno: errno, call: "accept", subject: address)
            // The error concerns the connection being accepted, which is gone (accept(2)).
            default: continue
            }
        }
    }

    /// Sets an integer option of a socket.
    package static func setOption(
        _ level: Int32,
        _ name: Int32,
        _ value: Int32,
        of descriptor: Int32
    ) throws(SystemError) {
        var value = value
        try systemCall("setsockopt", "\(name)") {
            unsafe setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
        }
    }

    private static func option(_ name: Int32, of descriptor: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        let code = unsafe getsockopt(descriptor, SOL_SOCKET, name, &value, &length)
        return code == 0 ? value : nil
    }

    private static func name(
        of storage: inout sockaddr_storage,
        _ length: socklen_t
    ) -> (text: String, isVersion6: Bool)? {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let code = unsafe withUnsafePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe getnameinfo(
                    generic,
                    length,
                    &host,
                    socklen_t(host.count),
                    &port,
                    socklen_t(port.count),
                    NI_NUMERICHOST | NI_NUMERICSERV
                )
            }
        }
        guard code == 0 else { return nil }
        var address = text(host)
        let mapped = "::ffff:"
        if address.hasPrefix(mapped), address.contains(".") { address.removeFirst(mapped.count) }
        let isVersion6 = address.contains(":")
        return (isVersion6 ? "[\(address)]:\(text(port))" : "\(address):\(text(port))", isVersion6)
    }

    private static func text(_ buffer: [CChar]) -> String {
        String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The address of a Unix socket.
struct LocalAddress {
    private var address = sockaddr_un()

    /// Makes the address of a path; nil if the path is longer than `sun_path`.
    init?(_ path: String) {
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    }

    /// Calls `body` with the C form, which is valid only during the call.
    func withC<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        unsafe withUnsafePointer(to: address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    /// Returns the path in an address that the kernel has filled in.
    static func path(of storage: sockaddr_storage) -> String {
        unsafe withUnsafeBytes(of: storage) { bytes in
            let path = unsafe bytes.dropFirst(MemoryLayout<sa_family_t>.size).prefix { $0 != 0 }
            return unsafe String(decoding: path, as: UTF8.self)
        }
    }
}
