import Glibc
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import IngestLog

/// The files of a log: heads, rolling over, trimming and recycling.
@Suite struct LogFilesTests {
    private static let salt: UInt32 = 0x0F11_E500

    private let directory: TemporaryDirectory
    private let log: LogDirectory

    init() throws {
        directory = try TemporaryDirectory()
        log = LogDirectory(path: directory.path)
    }

    private func open() throws -> LogWriter {
        let recovery = try LogRecovery.run(log, salt: Self.salt) { _ in }
        return try LogWriter(directory: log, salt: Self.salt, recovery: recovery)
    }

    /// Appends a record of `size` bytes that begins with `number`.
    private func append(_ number: UInt32, size: Int, to group: inout LogGroup) {
        let target = group.append(.batch, arrival: Int64(number), bodyBytes: size)
        target.initializeMemory(
            as: UInt8.self,
            repeating: UInt8(truncatingIfNeeded: number),
            count: size
        )
        target.storeBytes(of: number.littleEndian, as: UInt32.self)
    }

    /// Commits a large record that is written ahead, followed by others, and a head of `headBytes` that names it.
    private func commitAhead(
        _ number: UInt32,
        size: Int,
        followedBy others: [UInt32] = [],
        headBytes: Int = 4,
        with ahead: inout AheadFileWriter,
        to writer: inout LogWriter
    ) throws {
        var group = LogGroup(aheadRecordBytes: size)
        append(number, size: size, to: &group)
        let file = try ahead.write(&group, headBytes: 1_000)
        for other in others { append(other, size: 100, to: &group) }
        var counts = writer.counts
        counts.accepted[0] += UInt64(1 + others.count)
        try writer.commit(
            &group,
            ahead: file,
            countsAt: { _ in counts },
            head: {
                $0.append(integer: number)
                for _ in 4..<headBytes { $0.append(byte: 0) }
            }
        )
    }

    /// Commits one record of `size` bytes that begins with `number`, and a head that names it.
    private func commit(_ number: UInt32, size: Int, to writer: inout LogWriter) throws {
        var group = LogGroup()
        append(number, size: size, to: &group)
        var counts = writer.counts
        counts.accepted[0] += 1
        try writer.commit(&group, countsAt: { _ in counts }, head: { $0.append(integer: number) })
    }

    private struct Found: Equatable {
        var heads: [UInt32] = []
        var batches: [UInt32] = []
        var isWhole = true
    }

    private func note(_ record: LogRecord, in found: inout Found) {
        guard record.body.count >= 4 else {
            found.isWhole = false
            return
        }
        let number = UInt32(littleEndian: record.body.loadUnaligned(as: UInt32.self))
        if record.type == .fileHead { return found.heads.append(number) }
        found.batches.append(number)
        let rest = record.body[4...]
        found.isWhole = found.isWhole && isAll(UInt8(truncatingIfNeeded: number), rest)
    }

    /// Compares the bytes with themselves shifted by one, because a loop takes a minute in a debug build.
    private func isAll(_ value: UInt8, _ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        let all = UnsafeRawBufferPointer(rebasing: bytes)
        guard let start = all.baseAddress, !all.isEmpty else { return true }
        return all[0] == value && memcmp(start, start + 1, all.count - 1) == 0
    }

    private func recovered() throws -> Found {
        var found = Found()
        _ = try LogRecovery.run(log, salt: Self.salt) { note($0, in: &found) }
        return found
    }

    private func read(from lsn: LSN, to limit: LSN) throws -> Found {
        var found = Found()
        var reader = LogReader(directory: log, salt: Self.salt, from: lsn)
        while true {
            let bytes = try reader.next(budget: 1 << 20, limit: limit)
            if bytes.isEmpty { break }
            for record in LogRecords(bytes) { note(record, in: &found) }
        }
        #expect(reader.position == limit)
        return found
    }

    /// Each file begins with a head of the state before it, without the records after it.
    @Test func everyFileBeginsWithAHead() throws {
        var writer = try open()
        let size = Limits.logFileBytes / 3
        for number in UInt32(0)..<7 { try commit(number, size: size, to: &writer) }
        writer.close()
        let found = try recovered()
        // Two records of a third of a file fit after a head.
        #expect(found == Found(heads: [0, 2, 4, 6], batches: Array(0..<7)))
        #expect(try log.bases().count == 4)
        for base in try log.bases() {
            var first = LogReader(directory: log, salt: Self.salt, from: base)
            let bytes = try first.next(budget: 1, limit: writer.end)
            #expect(LogRecords(bytes).first { _ in true }?.type == .fileHead)
        }
    }

    @Test func trimmedFilesAreRecycledAndTheRestIsReadable() throws {
        var writer = try open()
        let size = Limits.logFileBytes / 3
        var kept: LSN = 0
        for number in UInt32(0)..<20 {
            let begin = writer.end
            try commit(number, size: size, to: &writer)
            if number == 18 { kept = begin }
            // Everything but the last few records may be trimmed, again and again.
            if number >= 3, number <= 18 { try writer.trim(below: begin) }
        }
        #expect(writer.begin > 0 && writer.begin <= kept)
        #expect(try read(from: kept, to: writer.end).batches == [18, 19])
        let end = writer.end
        let begin = writer.begin
        writer.close()
        let found = try recovered()
        #expect(found.isWhole)
        #expect(found.batches.suffix(2) == [18, 19])
        #expect(found.batches == Array((20 - UInt32(found.batches.count))..<20))
        #expect(found.heads.count == (try log.bases().count))
        let recovery = try LogRecovery.run(log, salt: Self.salt) { _ in }
        #expect(recovery.begin == begin && recovery.end == end && recovery.tornBytes == 0)
        #expect(recovery.counts.acceptedTotal == 20)
        // There are only a few files, including the spare, however much has been written.
        #expect(try FileSystem.list(directory.path).count <= 4)
    }

    @Test func trimmingKeepsTheCurrentFile() throws {
        var writer = try open()
        try commit(1, size: 100, to: &writer)
        try writer.trim(below: .max)
        #expect(try read(from: 0, to: writer.end).batches == [1])
        writer.close()
    }

    @Test func aGroupLargerThanAFileGetsItsOwnFile() throws {
        var writer = try open()
        try commit(1, size: 100, to: &writer)
        try commit(2, size: Limits.messageBytesMax, to: &writer)
        try commit(3, size: 100, to: &writer)
        #expect(try read(from: 0, to: writer.end).batches == [1, 2, 3])
        // Its size does not fit a spare, so trimming removes it.
        try writer.trim(below: writer.end)
        writer.close()
        let found = try recovered()
        #expect(found.batches.last == 3 && found.isWhole)
        for name in try FileSystem.list(directory.path) where name == "spare" {
            #expect(FileSystem.size("\(directory.path)/\(name)") == Limits.logFileBytes)
        }
    }

    // MARK: Large records

    @Test func aRecordWrittenAheadBecomesTheLogsNextFile() throws {
        var writer = try open()
        var ahead = AheadFileWriter(directory: log)
        // Also if the log has not written to its first file yet.
        try commitAhead(1, size: 5_000_000, with: &ahead, to: &writer)
        try commit(2, size: 100, to: &writer)
        let end = writer.end
        try commitAhead(3, size: 10_000_001, followedBy: [4, 5], with: &ahead, to: &writer)
        try commit(6, size: 3_000_000, to: &writer)
        #expect(writer.counts.acceptedTotal == 6)
        #expect(try log.bases() == [0, end])
        #expect(try read(from: 0, to: writer.end).batches == [1, 2, 3, 4, 5, 6])
        #expect(try read(from: end, to: writer.end).batches == [3, 4, 5, 6])
        // Nothing more is written to the first file.
        writer.finishOldFiles()
        #expect(FileSystem.size(log.file(base: 0)) == Int(end))
        // After the room of an ahead file the log continues in a regular file.
        for number in UInt32(7)..<14 { try commit(number, size: 3_000_000, to: &writer) }
        #expect(try log.bases().count == 3)
        writer.close()
        let found = try recovered()
        #expect(found.batches == Array(1..<14) && found.isWhole)
        #expect(found.heads == [1, 3, 11])
        let recovery = try LogRecovery.run(log, salt: Self.salt) { _ in }
        #expect(recovery.damaged.isEmpty && recovery.tornBytes == 0)
        #expect(recovery.counts.acceptedTotal == 13)
    }

    @Test func filesWrittenAheadAreTrimmedLikeOthers() throws {
        var writer = try open()
        var ahead = AheadFileWriter(directory: log)
        for number in UInt32(0)..<8 {
            try commitAhead(number, size: 5_000_000, with: &ahead, to: &writer)
            try commit(100 + number, size: 100, to: &writer)
            try writer.trim(below: writer.end)
        }
        writer.finishOldFiles()
        #expect(try log.bases().count == 1)
        #expect(try read(from: writer.begin, to: writer.end).batches == [7, 107])
        writer.close()
        // The current file and a spare.
        #expect(try FileSystem.list(directory.path).count <= 2)
    }

    /// The head has outgrown the room that was reserved for it.
    @Test func aRecordWhoseHeadHasNoRoomIsWrittenAgain() throws {
        var writer = try open()
        var ahead = AheadFileWriter(directory: log)
        try commit(1, size: 100, to: &writer)
        try commitAhead(2, size: 5_000_000, headBytes: 10_000, with: &ahead, to: &writer)
        #expect(try log.bases() == [0])
        #expect(try read(from: 0, to: writer.end).batches == [1, 2])
        writer.close()
        #expect(try FileSystem.list(directory.path).allSatisfy { !log.isAhead($0) })
    }

    /// The process died before it renamed the file, or the machine before the new name was durable.
    @Test func aCommittedAheadFileIsFoundUnderItsOldName() throws {
        for isFresh in [false, true] {
            var writer = try open()
            let begin = writer.end
            var ahead = AheadFileWriter(directory: log)
            if !isFresh { try commit(1, size: 100, to: &writer) }
            let base = writer.end
            try commitAhead(2, size: 100_000, followedBy: [3], with: &ahead, to: &writer)
            try commit(4, size: 100, to: &writer)
            let end = writer.end
            writer.close()
            try FileSystem.rename(log.file(base: base), to: log.ahead(7))
            // The file in whose place it came.
            if isFresh { _ = try File(log.file(base: base), .replace) }
            let recovery = try LogRecovery.run(log, salt: Self.salt) { _ in }
            #expect(recovery.end == end && recovery.damaged.isEmpty && recovery.tornBytes == 0)
            let expected: [UInt32] = isFresh ? [2, 3, 4] : [1, 2, 3, 4]
            #expect(try read(from: begin, to: end).batches == expected)
        }
    }

    @Test func anUncommittedAheadFileIsNotInTheLog() throws {
        var writer = try open()
        var ahead = AheadFileWriter(directory: log)
        try commit(1, size: 100, to: &writer)
        var group = LogGroup(aheadRecordBytes: 100_000)
        append(2, size: 100_000, to: &group)
        _ = try ahead.write(&group, headBytes: 0)
        writer.close()
        var second = try open()
        #expect(try FileSystem.list(directory.path).allSatisfy { !log.isAhead($0) })
        try commit(3, size: 100, to: &second)
        second.close()
        #expect(try recovered().batches == [1, 3])
    }

    /// A process died while it prepared a file, or after it named one and before it wrote to it.
    @Test func filesLeftByADeadProcessAreHarmless() throws {
        var writer = try open()
        try commit(1, size: 100, to: &writer)
        let end = writer.end
        writer.close()
        do {
            let unfinished = try File(log.unfinishedSpare, .replace)
            try [UInt8(1), 2, 3].withUnsafeBytes { try unfinished.write($0, at: 0) }
            let named = try File(log.file(base: end), .replace)
            try [UInt8](repeating: 0xAB, count: 5_000).withUnsafeBytes {
                try named.write($0, at: 0)
            }
        }
        var second = try open()
        #expect(second.end == end)
        try commit(2, size: 100, to: &second)
        second.close()
        let found = try recovered()
        #expect(found == Found(heads: [1, 2], batches: [1, 2]))
    }
}
