import Glibc

/// Connections to Unix sockets of a data directory.
package enum LocalSocket {
    /// Connects to the socket `path` below `directory`, which may be longer than a socket's address can be. Each
    /// operation on the connection blocks for at most `timeoutSeconds`. The caller owns the descriptor.
    package static func connect(
        to path: String,
        in directory: String,
        timeoutSeconds: Int
    ) throws(SystemError) -> Int32 {
        let name = "\(directory)/\(path)"
        let holder = try systemCall("open", directory) {
            unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        }
        defer { close(holder) }
        guard let address = LocalAddress("/proc/self/fd/\(holder)/\(path)") else {
            throw SystemError(errno: ENAMETOOLONG, call: "connect", subject: name)
        }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = try systemCall("socket", name) { Glibc.socket(AF_UNIX, kind, 0) }
        do throws(SystemError) {
            try limit(descriptor, seconds: timeoutSeconds, name)
            try systemCall("connect", name) {
                unsafe address.withC { unsafe Glibc.connect(descriptor, $0, $1) }
            }
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Limits the time that one operation on the socket blocks.
    static func limit(
        _ descriptor: Int32,
        seconds: Int,
        _ name: String
    ) throws(SystemError) {
        // On Linux SO_SNDTIMEO limits connect as well (socket(7)).
        var timeout = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
            let size = socklen_t(MemoryLayout<timeval>.size)
            try systemCall("setsockopt", name) {
                unsafe setsockopt(descriptor, SOL_SOCKET, option, &timeout, size)
            }
        }
    }
}
