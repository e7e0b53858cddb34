import IngestLog
import SystemIO
import TraceModel

/// The readers of the log over a log in which anything may stand: they end, they agree with one another,
/// and everything they give is whole.
///
/// The input is the log's bytes, laid out in files. Of what looks like a record the salt, LSN, CRC and chain
/// are set right, as no fuzzer guesses them; bits of the record's last reserved byte leave them as they
/// are: 1 CRC, 2 LSN, 4 chain, 8 salt; 16 begins a new file there.
enum LogFuzz {
    private static let salt: UInt32 = 0xF422_0001
    private static let directory = LogDirectory(path: "log")

    private struct Found: Equatable {
        var records: [LSN] = []
        var damaged: [Range<LSN>] = []
        var end: LSN = 0
    }

    static func run(_ bytes: UnsafeRawBufferPointer) throws {
        try layOut(bytes)
        let walked = try walk()
        try checkRecovery(walked)
        try checkReader(walked)
    }

    // MARK: Writing

    private static func layOut(_ bytes: UnsafeRawBufferPointer) throws {
        try FileSystem.createDirectory(directory.path)
        for name in try FileSystem.list(directory.path) {
            try FileSystem.remove("\(directory.path)/\(name)")
        }
        var log = Array(bytes)
        let bases = log.withUnsafeMutableBytes(repair)
        for (index, base) in bases.enumerated() {
            let end = index + 1 < bases.count ? bases[index + 1] : log.count
            let file = try File(directory.file(base: LSN(base)), .replace)
            try log[base..<end].withUnsafeBytes { try file.write($0, at: 0) }
        }
    }

    /// Returns where files begin.
    private static func repair(_ log: UnsafeMutableRawBufferPointer) -> [Int] {
        var bases = [0]
        var at = 0
        var chain: UInt32 = 0
        while log.count - at >= LogRecord.headerBytes {
            let leave = log[at + 127]
            let rest = log.count - at - LogRecord.headerBytes
            let claimed = log.loadUnaligned(fromByteOffset: at + 8, as: UInt32.self)
            let length = Int(claimed) % (rest + 1)
            if leave & 16 != 0, at > 0 { bases.append(at) }
            func store<Integer: FixedWidthInteger>(_ value: Integer, _ offset: Int, unless: UInt8) {
                guard leave & unless == 0 else { return }
                log.storeBytes(of: value.littleEndian, toByteOffset: at + offset, as: Integer.self)
            }
            store(UInt32(length), 8, unless: 0)
            store(LSN(at), 16, unless: 2)
            store(chain, 24, unless: 4)
            store(salt, 28, unless: 8)
            let end = LogRecord.headerBytes + length
            chain = Checksum.crc32c(UnsafeRawBufferPointer(rebasing: log[at + 8..<at + end]))
            store(chain, 4, unless: 1)
            at += LogRecord.stride(payloadBytes: length)
        }
        return bases
    }

    // MARK: Reading

    private static func walk() throws -> Found {
        var found = Found()
        var walk = try LogWalk(directory, salt: salt)
        while true {
            switch try walk.next() {
            case .records(let bytes):
                for record in LogRecords(bytes) {
                    precondition(found.records.last.map { $0 < record.lsn } ?? true)
                    found.records.append(record.lsn)
                    decode(record)
                }
            case .damage(let range): found.damaged.append(range)
            case .trimmed: fatalError("nobody trims")
            case .end(let unfinished):
                precondition(unfinished >= 0)
                found.end = walk.position
                return found
            }
        }
    }

    private static func decode(_ record: LogRecord) {
        precondition(record.body.count + record.host.count == record.payloadBytes)
        switch record.type {
        case .barrier:
            guard let barrier = try? BarrierPayload(decoding: record.body) else { return }
            var again = RawBuffer()
            barrier.encode(into: &again)
            guard let copy = try? BarrierPayload(decoding: again.bytes) else {
                fatalError("a barrier that can't be read back")
            }
            precondition(copy == barrier)
        case .damage: _ = try? DamagePayload(decoding: record.body)
        case .verdict: _ = try? VerdictPayload(decoding: record.body)
        default: break
        }
    }

    private static func checkRecovery(_ walked: Found) throws {
        var found = Found()
        let recovery = try LogRecovery.run(directory, salt: salt) { found.records.append($0.lsn) }
        found.damaged = recovery.damaged
        found.end = recovery.end
        // The walk ends where the newest file does, and so does what can be recovered.
        precondition(found == walked, "\(found), walked \(walked)")
    }

    /// What a worker that is behind gets is what recovery saw.
    private static func checkReader(_ walked: Found) throws {
        var reader = LogReader(directory: directory, salt: salt, from: 0, damaged: walked.damaged)
        var records: [LSN] = []
        while true {
            let bytes = try reader.next(budget: 512, limit: walked.end)
            if bytes.isEmpty { break }
            for record in LogRecords(bytes) { records.append(record.lsn) }
        }
        precondition(records == walked.records, "\(records), walked \(walked.records)")
    }
}
