import Synchronization
import SystemIO
import TraceModel

/// Who has sent batches in the last minute, by the address of its connection; for `trace_active_clients`.
final class ActiveClients: Sendable {
    private static let nanoseconds: Int64 = 60_000_000_000
    private let lastSeen = Mutex<[String: Int64]>([:])

    /// A batch came from this peer.
    func note(_ peer: String, now: Int64) {
        lastSeen.withLock { seen in if seen.count < Limits.activeClientsMax || seen[peer] != nil { seen[peer] = now } }
    }

    /// How many there are now; forgets the others.
    func count(now: Int64) -> Int {
        lastSeen.withLock { seen in
            seen = seen.filter { now - $0.value <= Self.nanoseconds }
            return seen.count
        }
    }
}
