import Glibc
import LogReplica
import SystemIO
import TraceModel

// An owner of a replicated log without a router, for tests with real servers.
//
//     replica-probe append SERVERS NAME DIRECTORY MEGABYTES   takes over, appends numbered blocks, and prints what is safe
//     replica-probe read SERVERS NAME                         prints each block that the log has
//     replica-probe trim SERVERS NAME POSITION                removes the messages below a position
//
// A block is 64 KiB of its number, written by its owner. Exit code 3: another one has taken over.

let blockBytes = 64 << 10
let arguments = CommandLine.arguments

func say(_ text: String) {
    print(text)
    fflush(nil)
}

/// Returns the log, waiting for servers that do not answer yet.
func open(_ servers: String, _ name: String) throws -> JetStreamLog {
    guard let addresses = ReplicaAddresses(servers) else {
        throw TraceError(.configuration, "\(servers) are no addresses")
    }
    while true {
        do throws(ReplicaError) {
            return try JetStreamLog(JetStreamServers(addresses), name: name)
        } catch {
            guard case .unavailable = error else { throw error }
            say("waiting: \(error)")
            usleep(200_000)
        }
    }
}

/// Reads on up to the end that is known.
func read(
    _ log: JetStreamLog,
    _ content: inout ReplicaContent,
    _ take: (ReplicaMessage, ReplicaContent.Change) -> Void
) throws {
    let last = try log.span().last
    while content.next <= last {
        guard let message = try log.read(content.next) else { throw ReplicaError.unavailable("") }
        take(message, content.apply(message.header, byteCount: message.bytes.count))
    }
}

/// Returns an owner whose takeover is stored.
func takeOver(_ log: JetStreamLog, directory: UInt64) throws -> Replication {
    var content = ReplicaContent(from: try log.span().first)
    while true {
        do throws(ReplicaError) {
            do { try read(log, &content) { _, _ in } } catch {
                throw error as? ReplicaError ?? .unavailable("\(error)")
            }
        } catch {
            say("waiting: \(error)")
            usleep(200_000)
            continue
        }
        let end = content.end / LSN(blockBytes) * LSN(blockBytes)
        let owner = ReplicaOwner(directory: directory, start: UInt64(getpid()))
        let replication = Replication(log, after: content, keeping: end, owner: owner)
        while true {
            let deadline = WallClock.monotonic() + 1_000_000_000
            if replication.run(until: deadline) != nil { break }
            if replication.isOwner { return replication }
        }
    }
}

func append(_ log: JetStreamLog, directory: UInt64, megabytes: Int) throws {
    let replication = try takeOver(log, directory: directory)
    var end = replication.safe
    say("owner \(replication.epoch) from \(end / LSN(blockBytes))")
    var isWaiting = false
    let started = WallClock.monotonic()
    let last = end + LSN(megabytes << 20)
    while end < last || replication.waitingBytes > 0 {
        while end < last, replication.waitingBytes < 8 << 20 {
            var group = [UInt64](repeating: 0, count: 16 * blockBytes / 8)
            for index in group.indices {
                let number = end / LSN(blockBytes) + LSN(index * 8 / blockBytes)
                group[index] = index % 2 == 0 ? number : directory
            }
            group.withUnsafeBytes { replication.append($0, lsn: end) }
            end += LSN(group.count * 8)
        }
        let before = replication.safe
        if let ending = replication.run(until: WallClock.monotonic() + 10_000_000) {
            say("ended: \(ending)")
            exit(3)
        }
        if isWaiting != (replication.problem != nil) {
            isWaiting.toggle()
            say(isWaiting ? "waits: \(replication.problem ?? "")" : "goes on")
        }
        if replication.safe > before { say("safe \(replication.safe / LSN(blockBytes))") }
    }
    let seconds = Double(WallClock.monotonic() - started) / 1e9
    say("done \(Int(Double(megabytes) / seconds)) MB/s")
}

func list(_ log: JetStreamLog) throws {
    var content = ReplicaContent(from: try log.span().first)
    var bytes: [UInt8] = []
    var begin: LSN = 0
    try read(log, &content) { message, change in
        guard change != .ignored else { return }
        if bytes.isEmpty { begin = message.header.lsn }
        bytes.removeLast(bytes.count - Int(message.header.lsn - begin))
        bytes += message.bytes
    }
    bytes.withUnsafeBytes { bytes in
        for start in stride(from: 0, to: bytes.count / blockBytes * blockBytes, by: blockBytes) {
            // A block repeats its first 16 bytes.
            guard let block = bytes.baseAddress.map({ $0 + start }) else { return }
            let isWhole = memcmp(block, block + 16, blockBytes - 16) == 0
            let numbers = [0, 8].map { block.loadUnaligned(fromByteOffset: $0, as: UInt64.self) }
            say(isWhole ? "\(numbers[0]) \(numbers[1])" : "torn")
        }
    }
}

do {
    let log = try open(arguments[2], arguments[3])
    switch arguments[1] {
    case "append":
        try append(
            log,
            directory: UInt64(arguments[4]) ?? 0,
            megabytes: Int(arguments[5]) ?? 0
        )
    case "read": try list(log)
    case "trim": try log.trim(below: ReplicaPosition(arguments[4]) ?? 0)
    default: exit(2)
    }
} catch {
    say("failed: \(error)")
    exit(1)
}
