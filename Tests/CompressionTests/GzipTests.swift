import Compression
import Testing
import TraceModel

@Suite struct GzipTests {
    /// Text that compresses, with some noise.
    private static func sample(_ count: Int) -> [UInt8] {
        var state: UInt32 = 1
        return (0..<count).map { index in
            state = state &* 1_664_525 &+ 1_013_904_223
            return index % 7 == 0 ? UInt8(truncatingIfNeeded: state >> 24) : UInt8(index % 50)
        }
    }

    private static func compress(_ bytes: [UInt8]) throws -> [UInt8] {
        try bytes.withUnsafeBytes { (buffer) throws(TraceError) in try Gzip.compress(buffer) }
    }

    private static func expand(_ bytes: [UInt8], limit: Int = 1 << 24) throws -> [UInt8] {
        try bytes.withUnsafeBytes { (buffer) throws(TraceError) in
            try Gzip.expand(buffer, limit: limit)
        }
    }

    @Test(arguments: [0, 1, 1_000, 65_536, 262_144, 262_145, 1_000_003])
    func whatIsCompressedExpandsAgain(
        count: Int
    ) throws {
        let bytes = Self.sample(count)
        let compressed = try Self.compress(bytes)
        #expect(try Self.expand(compressed) == bytes)
        if count > 1_000 { #expect(compressed.count < count) }
    }

    @Test(arguments: [(1, 1), (1, 4_096), (3, 7), (65_536, 1), (65_536, 100)])
    func piecesOfAnySizeReadTheSame(
        _ inputBytes: Int,
        _ outputBytes: Int
    ) throws {
        let bytes = Self.sample(5_000)
        let compressed = try Self.compress(bytes)
        var position = 0
        let reader = try GunzipReader { chunk in
            let count = min(inputBytes, chunk.count, compressed.count - position)
            chunk.copyBytes(from: compressed[position..<position + count])
            position += count
            return count
        }
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: outputBytes)
        while case let count = try reader.read(into: &chunk), count > 0 {
            output.append(contentsOf: chunk[..<count])
        }
        #expect(output == bytes)
        #expect(try reader.read(into: &chunk) == 0)
    }

    @Test(arguments: [0, 1, 1_000, 65_536, 300_000], [1, 777, 65_536, 1 << 20])
    func whatIsCompressedInPiecesExpandsAgain(count: Int, pieceBytes: Int) throws {
        let bytes = Self.sample(pieceBytes == 1 ? count / 100 : count)
        let writer = try GzipWriter()
        var compressed: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            bytes[start..<min(start + pieceBytes, bytes.count)].withUnsafeBytes {
                writer.compress($0, isLast: false) { compressed.append(contentsOf: $0) }
            }
        }
        writer.compress(UnsafeRawBufferPointer(start: nil, count: 0), isLast: true) {
            compressed.append(contentsOf: $0)
        }
        #expect(try Self.expand(compressed) == bytes)
    }

    @Test func membersBehindOneAnotherReadAsOne() throws {
        let first = Self.sample(300_000)
        let second = Self.sample(17)
        let empty = try Self.compress([])
        let joined = try Self.compress(first) + empty + Self.compress(second) + empty
        #expect(try Self.expand(joined) == first + second)
    }

    @Test func everyCutAndEveryFlippedBitIsTold() throws {
        let bytes = Self.sample(400)
        let compressed = try Self.compress(bytes)
        for length in 0..<compressed.count {
            #expect(throws: TraceError.self) { try Self.expand(Array(compressed[..<length])) }
        }
        // Some bits say nothing about the content (time, system, padding); a change of any other is detected.
        var harmless = 0
        for position in compressed.indices {
            for bit in 0..<8 {
                var damaged = compressed
                damaged[position] ^= 1 << UInt8(bit)
                guard let expanded = try? Self.expand(damaged) else { continue }
                #expect(expanded == bytes, "byte \(position), bit \(bit)")
                harmless += 1
            }
        }
        #expect(harmless < 80)
        #expect(throws: TraceError.self) { try Self.expand(compressed + Array("tail".utf8)) }
    }

    @Test func aBombStopsAtTheLimit() throws {
        let bomb = try Self.compress([UInt8](repeating: 0, count: 4 << 20))
        #expect(bomb.count < 100_000)
        do {
            _ = try Self.expand(bomb, limit: (4 << 20) - 1)
            Issue.record("the limit did not hold")
        } catch let error as TraceError { #expect(error.code == .exhausted) }
        #expect(try Self.expand(bomb, limit: 4 << 20).count == 4 << 20)
    }
}
