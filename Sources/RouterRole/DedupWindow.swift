import IngestLog
import SystemIO
import TraceModel

/// Which batches have been accepted, so that a re-sent one counts once.
///
/// A `client_id` names one run of one client. Of each, the last `Limits.dedupSequencesMax` sequences
/// below its greatest are remembered with a digest of their bytes; of clients, the
/// `Limits.dedupClientsMax` heard last. A pure state machine: O(1) a batch.
struct DedupWindow {
    enum Verdict: Equatable {
        case new
        case duplicate
        /// The same sequence came before with other bytes.
        case differs
        /// Too old to tell.
        case belowWindow
    }

    struct Client {
        var greatest: UInt64
        /// Digest by sequence modulo the window; 0 where that sequence has not come.
        var digests: [UInt64]
        var lastUse: UInt64
    }

    private var clients: [[UInt8]: Client] = [:]
    private var clock: UInt64 = 0
    /// Clients forgotten because there were too many.
    private(set) var evictions: UInt64 = 0

    private static let span = UInt64(Limits.dedupSequencesMax)

    /// Tells batches of one sequence apart: CRC-32C and length. Never 0.
    static func digest(of batch: UnsafeRawBufferPointer) -> UInt64 {
        UInt64(Checksum.crc32c(batch)) << 32 | 1 << 31 | UInt64(batch.count & 0x7FFF_FFFF)
    }

    /// What a batch is; nothing is changed.
    func check(client: [UInt8], sequence: UInt64, digest: UInt64) -> Verdict {
        guard let known = clients[client], sequence <= known.greatest else { return .new }
        guard known.greatest - sequence < Self.span else { return .belowWindow }
        let seen = known.digests[Int(sequence % Self.span)]
        if seen == 0 { return .new }
        return seen == digest ? .duplicate : .differs
    }

    /// Remembers a batch that `check` called new. `digest` is never 0.
    mutating func insert(client: [UInt8], sequence: UInt64, digest: UInt64) {
        precondition(digest != 0)
        clock += 1
        if clients[client] == nil {
            if clients.count >= Limits.dedupClientsMax { evictOldest() }
            clients[client] = Client(
                greatest: sequence,
                digests: [UInt64](repeating: 0, count: Limits.dedupSequencesMax),
                lastUse: clock
            )
        }
        clients[client]?.insert(sequence: sequence, digest: digest, clock: clock, span: Self.span)
    }

    /// Takes back a batch that could not be made durable after all.
    mutating func remove(client: [UInt8], sequence: UInt64) {
        // Where the window has moved on, its place is another sequence's.
        guard let greatest = clients[client]?.greatest, sequence <= greatest,
            greatest - sequence < Self.span
        else { return }
        clients[client]?.digests[Int(sequence % Self.span)] = 0
    }

    private mutating func evictOldest() {
        guard let oldest = clients.min(by: { $0.value.lastUse < $1.value.lastUse }) else { return }
        clients[oldest.key] = nil
        evictions += 1
    }

    /// For the head of a log file: count u32, then per client name length u8, name, greatest u64, number
    /// of digests u16, (sequence u64, digest u64) each. Oldest client first, so that reading it back
    /// keeps the order of use.
    func encode(into buffer: inout RawBuffer) {
        buffer.append(integer: UInt32(clients.count))
        for (name, client) in clients.sorted(by: { $0.value.lastUse < $1.value.lastUse }) {
            buffer.append(byte: UInt8(name.count))
            name.withUnsafeBytes { buffer.append($0) }
            buffer.append(integer: client.greatest)
            let low = client.greatest >= Self.span ? client.greatest - Self.span + 1 : 0
            let seen = (low...client.greatest).filter {
                client.digests[Int($0 % Self.span)] != 0
            }
            buffer.append(integer: UInt16(seen.count))
            for sequence in seen {
                buffer.append(integer: sequence)
                buffer.append(integer: client.digests[Int(sequence % Self.span)])
            }
        }
    }

    /// Takes in what `encode` wrote.
    /// - Throws: `TraceError(.corrupt)` where the bytes are no window.
    mutating func restore(from reader: inout StateReader) throws(TraceError) {
        clients = [:]
        for _ in 0..<(try reader.integer(UInt32.self)) {
            let name = Array(try reader.bytes(Int(try reader.integer(UInt8.self))))
            let greatest = try reader.integer(UInt64.self)
            for _ in 0..<(try reader.integer(UInt16.self)) {
                let sequence = try reader.integer(UInt64.self)
                let digest = try reader.integer(UInt64.self)
                guard sequence <= greatest, digest != 0 else {
                    throw TraceError(.corrupt, "A de-duplication window is out of shape")
                }
                insert(client: name, sequence: sequence, digest: digest)
            }
        }
    }
}

extension DedupWindow.Client {
    mutating func insert(
        sequence: UInt64,
        digest: UInt64,
        clock: UInt64,
        span: UInt64
    ) {
        if sequence > greatest {
            // What falls out of the window makes room; a jump beyond it clears everything.
            let from = max(greatest + 1, sequence >= span ? sequence - span + 1 : 0)
            for passed in from...sequence { digests[Int(passed % span)] = 0 }
            greatest = sequence
        }
        digests[Int(sequence % span)] = digest
        lastUse = clock
    }
}
