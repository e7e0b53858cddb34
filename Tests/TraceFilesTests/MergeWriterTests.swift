import Foundation
import SystemIO
import Testing

@testable import TraceFiles

/// Whole blocks are written past the page cache, and the rest through it: the file equals the appended text.
struct MergeWriterTests {
    @Test(arguments: [0, 1, 4_095, 4_096, 200_000, 1_234_567, 3 << 20])
    func theFileEqualsTheAppendedText(
        _ size: Int
    ) throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/out"
        let writer = try MergeWriter(path, bufferBytes: 2 * File.directBytesMin)
        var random = SeededGenerator(seed: UInt64(size))
        var expected: [UInt8] = []
        while expected.count < size {
            let count = min(Int(random.next() % 9_000), size - expected.count)
            let row = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            row.withUnsafeBytes { writer.text.append($0) }
            expected += row
            try writer.rowEnded()
            #expect(writer.textCount == expected.count)
            #expect(writer.text.count < 2 * File.directBytesMin + File.blockBytes)
        }
        try writer.finish()
        #expect(writer.count == expected.count)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(expected))
    }
}
