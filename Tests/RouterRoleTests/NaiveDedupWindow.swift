import TraceModel

@testable import RouterRole

/// What a de-duplication window says, written down as its documentation has it: slow, forgetting nothing but
/// what it must.
struct NaiveDedupWindow {
    private struct Client {
        var digests: [UInt64: UInt64] = [:]
        var greatest: UInt64 = 0
    }

    private var clients: [[UInt8]: Client] = [:]
    /// Names, the one heard longest ago first.
    private var order: [[UInt8]] = []

    func check(client: [UInt8], sequence: UInt64, digest: UInt64) -> DedupWindow.Verdict {
        guard let known = clients[client] else { return .new }
        if sequence <= known.greatest,
            known.greatest - sequence >= UInt64(Limits.dedupSequencesMax)
        {
            return .belowWindow
        }
        guard let seen = known.digests[sequence] else { return .new }
        return seen == digest ? .duplicate : .differs
    }

    mutating func insert(client: [UInt8], sequence: UInt64, digest: UInt64) {
        if clients[client] == nil, clients.count == Limits.dedupClientsMax {
            clients[order.removeFirst()] = nil
        }
        order.removeAll { $0 == client }
        order.append(client)
        var known = clients[client] ?? Client()
        known.digests[sequence] = digest
        known.greatest = max(known.greatest, sequence)
        clients[client] = known
    }

    mutating func remove(client: [UInt8], sequence: UInt64) {
        clients[client]?.digests[sequence] = nil
    }
}
