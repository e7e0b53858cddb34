import Glibc
import SystemIO
package import TraceModel

/// Reads a log forward from an LSN in chunks of limited size. One thread; blocks on the disk.
package struct LogReader: ~Copyable {
    private let directory: LogDirectory
    private let salt: UInt32
    private var file: File?
    private var base: LSN = 0
    /// The CRC that the next record must name as its predecessor's; nil before the first record.
    private var chain: UInt32?
    /// LSN of the next record.
    package private(set) var position: LSN
    private var chunk = RawBuffer(capacity: 1 << 20)
    private let damaged: [Range<LSN>]

    /// - Parameters:
    ///   - salt: The log's identity; records of another log are rejected.
    ///   - damaged: Ranges found by recovery, which are skipped.
    package init(
        directory: LogDirectory,
        salt: UInt32,
        from position: LSN,
        damaged: [Range<LSN>] = []
    ) {
        self.directory = directory
        self.salt = salt
        self.position = position
        self.damaged = damaged
    }

    /// Returns the next records up to `limit` (an LSN known to be the end of a record): about `budget` bytes, at least
    /// one record. The bytes are valid until the next call. Empty at `limit`.
    /// - Throws: `TraceError(.corrupt)` if there is no valid record below `limit`, `TraceError(.system)` if a read
    ///   fails.
    package mutating func next(budget: Int, limit: LSN) throws(TraceError) -> UnsafeRawBufferPointer
    {
        chunk.removeAll()
        if let range = damaged.first(where: { $0.contains(position) }) {
            skip(to: range.upperBound)
        }
        guard position < limit else { return unsafe chunk.bytes }
        do throws(SystemError) {
            if try advance(budget: Int(min(LSN(budget), limit - position))) == nil {
                return unsafe chunk.bytes
            }
        } catch { throw TraceError(.system, "The ingest log cannot be read", cause: error) }
        throw TraceError(
            .corrupt,
            "No valid log record at LSN \(position)",
            remedy: "`tracectl log verify` shows which range is damaged"
        )
    }

    /// Releases the memory of a large record; the bytes of the last `next` become invalid.
    package mutating func releaseMemory() {
        chunk.removeAll()
        chunk.shrink(keeping: 1 << 20)
    }

    /// The records of the last `next` or `advance`.
    var records: UnsafeRawBufferPointer { unsafe chunk.bytes }

    /// Reads whole valid records, at least one, into `records` and advances beyond them. Returns nil on success, else
    /// what is at the position instead of a record.
    mutating func advance(budget: Int) throws(SystemError) -> RecordCheck? {
        try openFile()
        var wanted = max(budget, LogRecord.headerBytes)
        while true {
            try fill(wanted)
            let end = validEnd()
            if end > 0 {
                chunk.truncate(to: end)
                position += LSN(end)
                return nil
            }
            let found = check(at: 0, chain: chain)
            guard case .incomplete(let needed) = found, needed > wanted, chunk.count == wanted
            else {
                chunk.removeAll()
                return found
            }
            wanted = needed
        }
    }

    /// Continues at another position, whose record need not be the successor of the last one.
    mutating func skip(to lsn: LSN) {
        move(to: lsn)
        // Another file may contain it.
        file = nil
    }

    /// As `skip`, within the open file.
    private mutating func move(to lsn: LSN) {
        position = lsn
        chain = nil
        chunk.removeAll()
    }

    /// Returns where the log continues after a position without a valid record: the next valid record that was durable,
    /// together with this position. A later record proves it: everything below its durable LSN was durable. Nil if
    /// there is none, which means that the log ends here. O(rest).
    mutating func findGoingOn() throws(SystemError) -> LSN? {
        let lost = position
        let lostChain = chain
        defer { stay(at: lost, lostChain) }
        var next = lost + 8
        var first: Range<LSN>?
        while true {
            guard let end = try endOfFile(holding: next) else {
                // The file may have been cut: then a later one continues.
                guard let later = try directory.bases().first(where: { $0 > next }) else {
                    return nil
                }
                next = later
                continue
            }
            skip(to: next)
            while next < end {
                guard let candidate = try nextCandidate(from: next, to: end) else { break }
                move(to: candidate)
                if try advance(budget: LogRecord.headerBytes) == nil,
                    let record = unsafe LogRecords(records).first(where: { _ in true })
                {
                    if record.durableLSN > lost {
                        guard let first, first.upperBound <= record.durableLSN else {
                            return candidate
                        }
                        return first.lowerBound
                    }
                    first = first ?? candidate..<candidate + LSN(record.stride)
                }
                next = candidate + 8
            }
            guard let later = try directory.bases().first(where: { $0 >= end }) else { return nil }
            next = later
        }
    }

    /// Returns the end of the incomplete write that follows a position without a valid record: the end claimed by the
    /// last header in the file that contains its own LSN. The position itself if there is none. O(rest of the file).
    mutating func findUnfinishedEnd() throws(SystemError) -> LSN {
        let lost = position
        let lostChain = chain
        defer { stay(at: lost, lostChain) }
        guard let end = try endOfFile(holding: lost) else { return lost }
        var (next, reach) = (lost, lost)
        skip(to: lost)
        while next < end, let candidate = try nextCandidate(from: next, to: end) {
            move(to: candidate)
            try openFile()
            try fill(LogRecord.headerBytes)
            next = candidate + 8
            guard chunk.count == LogRecord.headerBytes else { break }
            let record = unsafe LogRecord(base: base(at: 0))
            guard record.salt == salt, record.payloadBytes <= Limits.logRecordBytesMax else {
                continue
            }
            reach = min(candidate + LSN(record.stride), end)
            next = reach
        }
        return reach
    }

    /// Returns to a position after others were examined.
    private mutating func stay(at lsn: LSN, _ lostChain: UInt32?) {
        skip(to: lsn)
        chain = lostChain
    }

    /// Returns the end LSN of the file that contains `lsn`; nil if there is none.
    private func endOfFile(holding lsn: LSN) throws(SystemError) -> LSN? {
        let bases = try directory.bases()
        guard let base = bases.last(where: { $0 <= lsn }) else { return nil }
        let next = bases.first { $0 > lsn } ?? .max
        let size = FileSystem.size(directory.file(base: base)) ?? 0
        let end = min(base + LSN(size), next)
        return end > lsn ? end : nil
    }

    /// Returns the first position from `start` on with a record's magic and its own LSN, within one file.
    private mutating func nextCandidate(from start: LSN, to end: LSN) throws(SystemError) -> LSN? {
        var at = start
        while at < end {
            move(to: at)
            try openFile()
            try fill(1 << 20)
            let count = min(chunk.count, Int(end - at))
            var offset = 0
            while count - offset >= LogRecord.headerBytes {
                let here = unsafe base(at: offset)
                // In a damaged or unused range the magic's first byte is rare.
                guard let hit = unsafe memchr(here, Int32(LogRecord.magic & 0xFF), count - offset)
                else {
                    offset = count
                    break
                }
                // Records start at multiples of 8.
                offset = unsafe (offset + (UnsafeRawPointer(hit) - here)) & ~7
                guard count - offset >= LogRecord.headerBytes else { break }
                let record = unsafe LogRecord(base: base(at: offset))
                if record.hasMagic, record.lsn == at + LSN(offset) { return record.lsn }
                offset += 8
            }
            // A header may extend beyond the chunk.
            guard offset > 0 else { return nil }
            at += LSN(offset)
        }
        return nil
    }

    private func base(at offset: Int) -> UnsafeRawPointer {
        unsafe UnsafeRawPointer(chunk.bytes.baseAddress.unsafelyUnwrapped) + offset
    }

    private func check(at offset: Int, chain: UInt32?) -> RecordCheck {
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: chunk.bytes[offset...])
        let found = unsafe RecordCheck.check(bytes, at: position + LSN(offset), salt: salt)
        guard case .valid = found, let chain, let start = bytes.baseAddress else { return found }
        return unsafe LogRecord(base: start).previousCRC == chain ? found : .invalid
    }

    /// Returns the size of the chunk's prefix that consists of whole valid records, each the successor of the previous
    /// one.
    private mutating func validEnd() -> Int {
        var end = 0
        while end < chunk.count, case .valid(let stride) = check(at: end, chain: chain) {
            chain = unsafe LogRecord(base: chunk.bytes.baseAddress.unsafelyUnwrapped + end).crc
            end += stride
        }
        return end
    }

    /// Reads until the chunk contains `wanted` bytes from the position on, or all there are.
    private mutating func fill(_ wanted: Int) throws(SystemError) {
        guard file != nil else { return }
        chunk.removeAll()
        let target = unsafe UnsafeMutableRawBufferPointer(
            start: chunk.reserve(wanted),
            count: wanted
        )
        unsafe chunk.commit(try file?.read(into: target, at: Int(position - base)) ?? 0)
    }

    /// Opens the file with the greatest base at or below the position: a newer file takes over where its base is
    /// reached.
    private mutating func openFile() throws(SystemError) {
        if file != nil, position == base || !FileSystem.exists(directory.file(base: position)) {
            return
        }
        guard let found = try directory.bases().last(where: { $0 <= position }) else {
            throw SystemError(errno: 2, call: "open", subject: directory.file(base: position))
        }
        file = try File(directory.file(base: found), .read)
        base = found
    }
}
