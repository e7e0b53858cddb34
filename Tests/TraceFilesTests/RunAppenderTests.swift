import SystemIO
import TestSupport
import Testing

@testable import TraceFiles

/// Appends of any size produce the same file, whichever way they are written.
@Suite struct RunAppenderTests {
    @Test func appendsContinueTheFile() throws {
        let directory = try TemporaryDirectory()
        let file = try File("\(directory.path)/run", .readWrite)
        var random = SeededGenerator(seed: 11)
        var appender = RunAppender()
        var expected: [UInt8] = []
        var checksum: UInt32 = 0
        var left = 0
        for _ in 0..<40 {
            var bytes = [UInt8](repeating: 0, count: Int(random.next() % 900_000) + 1)
            for at in stride(from: 0, to: bytes.count, by: 97) {
                bytes[at] = UInt8(truncatingIfNeeded: random.next())
            }
            // The next append overwrites what a failed one left.
            let lost = [UInt8](repeating: 0xEE, count: 5_000)
            try lost.withUnsafeBytes { try file.write($0, at: expected.count) }
            // As for a trace, whose last separator is added to the checksum by the next append.
            let end = expected.count
            checksum = expected[(end - left)...].withUnsafeBytes {
                Checksum.crc32c($0, after: checksum)
            }
            left = min(2, bytes.count)
            try append(bytes, at: end, after: checksum, leaving: left, to: file, &appender, &random)
            expected += bytes
            checksum = appender.checksum
            #expect(checksum == expected.dropLast(left).withUnsafeBytes { Checksum.crc32c($0) })
        }
        try file.truncate(to: expected.count)
        let found = try FileSystem.contents("\(directory.path)/run")
        #expect(found == expected)
    }

    /// Appends in pieces of any length, as rows are.
    private func append(
        _ bytes: [UInt8],
        at end: Int,
        after checksum: UInt32,
        leaving: Int,
        to file: borrowing File,
        _ appender: inout RunAppender,
        _ random: inout SeededGenerator
    ) throws {
        try appender.begin(file, at: end, bytes: bytes.count, after: checksum, leaving: leaving)
        var rest = bytes[...]
        while !rest.isEmpty {
            let span = rest.prefix(Int(random.next() % 300_000) + 1)
            try Array(span).withUnsafeBytes { try appender.append($0, to: file) }
            rest = rest.dropFirst(span.count)
        }
        try appender.end(file)
    }

    @Test func largeContentIsPublishedCompletely() throws {
        let directory = try TemporaryDirectory()
        for count in [65_535, 65_536, 65_537, 200_000, 1 << 20] {
            var content = RawBuffer(capacity: count, alignment: File.blockBytes)
            for at in 0..<count { content.append(byte: UInt8(truncatingIfNeeded: at / 3)) }
            try FileSystem.publish("\(directory.path)/content", content.bytes)
            #expect(try FileSystem.contents("\(directory.path)/content") == Array(content.bytes))
        }
    }
}
