import Glibc
import TraceModel

/// One run of one client: the name under which the server keeps this run's sequence numbers apart.
package struct ClientIdentity: Sendable {
    package let clientID: String
    private(set) var lastSequence: UInt64 = 0

    /// A name no other run has: host, process id, and 64 random bits.
    package init() {
        let random = String(UInt64.random(in: 1 ... .max), radix: 16)
        let host = String(Self.hostName.prefix(64))
        self.init(clientID: "tracectl-\(host)-\(getpid())-\(random)")
    }

    package init(clientID: String) {
        precondition(clientID.utf8.count <= Limits.clientIDBytesMax)
        self.clientID = clientID
    }

    /// 1, 2, 3…
    package mutating func nextSequence() -> UInt64 {
        lastSequence += 1
        return lastSequence
    }

    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
