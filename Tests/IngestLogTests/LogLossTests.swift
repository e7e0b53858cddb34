import Glibc
import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import IngestLog

/// Detection of records lost at the end of a log.
@Suite(.serialized) struct LogLossTests {
    private static let salt: UInt32 = 0x10_55E5
    private static let fileBytes = 64 << 10

    private let directory: TemporaryDirectory
    private let log: LogDirectory

    init() throws {
        directory = try TemporaryDirectory()
        log = LogDirectory(path: directory.path)
    }

    private func recover() throws -> LogRecovery {
        try LogRecovery.run(log, salt: Self.salt) { _ in }
    }

    /// A writer of small files that continues at the end of the log.
    private func open() throws -> LogWriter {
        try LogWriter(
            directory: log,
            salt: Self.salt,
            recovery: recover(),
            fileBytes: Self.fileBytes
        )
    }

    private func commit(size: Int, to writer: inout LogWriter) throws {
        var group = LogGroup()
        _ = group.append(.batch, arrival: 1, bodyBytes: size)
        var counts = writer.counts
        counts.accepted[2] += 1
        try writer.commit(&group, countsAt: { _ in counts }, head: { $0.append("head") })
    }

    private func cut(_ base: LSN, to bytes: Int) throws {
        try File(log.file(base: base), .readWrite).truncate(to: bytes)
    }

    @Test func aCutFileIsDetectedWhereverItIsCut() throws {
        var writer = try open()
        for _ in 0..<5 { try commit(size: 1_000, to: &writer) }
        let end = writer.end
        writer.close()
        #expect(try recover().cut == nil)
        let path = log.file(base: 0)
        let whole = try FileSystem.contents(path)
        for bytes in [0, 1, 127, 128, 140, 2_000, Int(end) - 1, Int(end), Self.fileBytes - 1] {
            try whole.withUnsafeBytes { try File(path, .replace).write($0, at: 0) }
            try cut(0, to: bytes)
            let found = try recover()
            let expected = bytes < LogRecord.headerBytes ? 0 : LSN(Self.fileBytes)
            #expect(found.cut == LogCut(path: path, bytes: bytes, end: expected), "\(bytes)")
            #expect(found.end <= LSN(bytes))
        }
    }

    /// Written by a version that did not record the size of its files.
    @Test func aRecordBeyondTheEndOfItsFileRevealsACut() throws {
        var writer = try open()
        for _ in 0..<3 { try commit(size: 1_000, to: &writer) }
        let end = writer.end
        writer.close()
        let path = log.file(base: 0)
        let file = try File(path, .readWrite)
        // Changes the size in the head and, because it covers the size, the checksum. The chain is not checked here.
        var head = Array(try FileSystem.contents(path)[..<Int(LogRecord.stride(payloadBytes: 4))])
        for index in 124..<128 { head[index] = 0 }
        let checksum = head.withUnsafeBytes {
            Checksum.crc32c(UnsafeRawBufferPointer(rebasing: $0[8..<LogRecord.headerBytes + 4]))
        }
        withUnsafeBytes(of: checksum.littleEndian) { head.replaceSubrange(4..<8, with: $0) }
        try head.withUnsafeBytes { try file.write($0, at: 0) }
        #expect(try log.cut(endingAt: end, salt: Self.salt) == nil)
        let last = end - LSN(LogRecord.stride(payloadBytes: 1_000))
        try cut(0, to: Int(end) - 8)
        #expect(try log.cut(endingAt: last, salt: Self.salt)?.end == end)
    }

    @Test func aLogContinuesAfterAFileCutBetweenRecords() throws {
        var writer = try open()
        for _ in 0..<3 { try commit(size: 1_000, to: &writer) }
        let kept = writer.end
        try commit(size: 1_000, to: &writer)
        let middle = writer.end
        writer.close()
        var second = try open()
        try commit(size: 1_000, to: &second)
        let end = second.end
        second.close()
        try cut(0, to: Int(kept))
        let found = try recover()
        #expect(found.damaged == [kept..<middle] && found.end == end && found.cut == nil)
    }

    @Test func aRemovedFileIsNotWrittenAndCanBeRestored() throws {
        var writer = try open()
        try commit(size: 1_000, to: &writer)
        try commit(size: 1_000, to: &writer)
        let end = writer.end
        try FileSystem.remove(log.file(base: 0))
        #expect(throws: SystemError.self) { try writer.check() }
        #expect(throws: SystemError.self) { try commit(size: 1_000, to: &writer) }
        #expect(writer.end == end)
        #expect(try writer.restoreFile())
        writer.close()
        let found = try recover()
        // Includes the commit that was not reported.
        #expect(found.begin == 0 && found.end > end && found.cut == nil && found.damaged.isEmpty)
        #expect(found.counts.accepted[2] == 3)
    }

    @Test func aCutOrReplacedFileIsNotWritten() throws {
        var writer = try open()
        try commit(size: 1_000, to: &writer)
        try cut(0, to: 900)
        #expect(throws: SystemError.self) { try commit(size: 1_000, to: &writer) }
        #expect(try !writer.restoreFile())
        writer.close()
        var second = try open()
        let path = log.file(base: try #require(log.bases().last))
        try commit(size: 1_000, to: &second)
        try FileSystem.rename(path, to: path + ".away")
        _ = try File(path, .replace)
        #expect(throws: SystemError.self) { try second.check() }
        // A file of another origin is not overwritten.
        #expect(throws: SystemError.self) { _ = try second.restoreFile() }
        second.close()
    }

    @Test func aMissingOlderFileIsDetected() throws {
        var writer = try open()
        for _ in 0..<100 { try commit(size: 1_000, to: &writer) }
        #expect(try log.bases().count > 1)
        try writer.check()
        try FileSystem.remove(log.file(base: 0))
        #expect(throws: SystemError.self) { try writer.check() }
        writer.close()
    }

    // MARK: The end noted beside the log

    @Test func theNewestIntactEntryDefinesTheEndOfTheLog() throws {
        try directory.asWorkingDirectory {
            try FileSystem.createDirectory(ClusterPaths.checkpoints)
            #expect(LogEnd.read(salt: 7) == nil)
            var counts = LogCounts()
            do {
                var file = try LogEndFile(salt: 7)
                for end in LSN(1)...3 {
                    counts.accepted[1] = end * 10
                    counts.rejected = end
                    try [UInt8(end), 9].withUnsafeBytes {
                        try file.note(end * 8, counts, state: $0)
                    }
                }
            }
            let found = try #require(LogEnd.read(salt: 7))
            #expect(found.end == 24 && found.counts == counts && found.state == [3, 9])
            #expect(found.isOfThisBoot)
            #expect(LogEnd.read(salt: 8) == nil)
            // The first place in the file is written again by the third write.
            let whole = try FileSystem.contents(ClusterPaths.logEnd)
            for index in 0..<200 {
                var damaged = whole
                damaged[index] ^= 1
                try damaged.withUnsafeBytes {
                    try File(ClusterPaths.logEnd, .replace).write($0, at: 0)
                }
                // The bytes after the places are zeros and do not count.
                #expect(LogEnd.read(salt: 7)?.end == (index < 142 ? 16 : 24), "\(index)")
            }
            try [UInt8]().withUnsafeBytes {
                try File(ClusterPaths.logEnd, .replace).write($0, at: 0)
            }
            #expect(LogEnd.read(salt: 7) == nil)
        }
    }

    // MARK: Incarnations

    @Test func incarnationsGrowWhateverIsLostOrDamaged() throws {
        try directory.asWorkingDirectory {
            let first = try Incarnation.take(for: "io.0")
            // Nearly two centuries ahead of the clock, as after the clock was set back.
            let ahead = try Incarnation.take(for: "io.0", after: 6_000_000_000_000_000_000)
            #expect(first < ahead && ahead == 6_000_000_000_000_000_001)
            let path = ClusterPaths.incarnation(of: "io.0")
            try FileSystem.remove(path)
            #expect(try Incarnation.take(for: "io.0") == ahead + 1)
            try [UInt8(0)].withUnsafeBytes { try File(path, .replace).write($0, at: 0) }
            #expect(try Incarnation.take(for: "io.0") == ahead + 2)
            try FileSystem.remove(path)
            try FileSystem.remove(path + ".mirror")
            let anew = try Incarnation.take(for: "io.0")
            #expect(anew >= first && anew < ahead)
            #expect(try Incarnation.take(for: "io.0", after: .max) > ahead)
            #expect(try Incarnation.take(for: "io.0") > ahead)
            #expect(try Incarnation.take(for: "io.1") < ahead)
        }
    }
}
