import Compression
import Testing
import TraceModel

@Suite struct ZstdTests {
    /// Text that compresses, with some noise.
    private static func sample(_ count: Int) -> [UInt8] {
        var state: UInt32 = 1
        return (0..<count).map { index in
            state = state &* 1_664_525 &+ 1_013_904_223
            return index % 7 == 0 ? UInt8(truncatingIfNeeded: state >> 24) : UInt8(index % 50)
        }
    }

    private static func compress(_ bytes: [UInt8], pieceBytes: Int = 1 << 20) throws -> [UInt8] {
        let writer = try ZstdWriter()
        var compressed: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            bytes[start..<min(start + pieceBytes, bytes.count)].withUnsafeBytes {
                writer.compress($0, isLast: false) { compressed.append(contentsOf: $0) }
            }
        }
        writer.compress(UnsafeRawBufferPointer(start: nil, count: 0), isLast: true) {
            compressed.append(contentsOf: $0)
        }
        return compressed
    }

    private static func expand(
        _ compressed: [UInt8],
        inputBytes: Int = 65_536,
        outputBytes: Int = 4_096
    ) throws -> [UInt8] {
        var position = 0
        let reader = try ZstdReader { chunk in
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
        #expect(try reader.read(into: &chunk) == 0)
        return output
    }

    @Test(arguments: [0, 1, 1_000, 65_536, 300_000], [777, 65_536, 1 << 20])
    func whatIsCompressedInPiecesExpandsAgain(
        count: Int,
        pieceBytes: Int
    ) throws {
        let bytes = Self.sample(count)
        let compressed = try Self.compress(bytes, pieceBytes: pieceBytes)
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
        let read = try Self.expand(compressed, inputBytes: inputBytes, outputBytes: outputBytes)
        #expect(read == bytes)
    }

    @Test func framesBehindOneAnotherReadAsOne() throws {
        let (first, second) = (Self.sample(300_000), Self.sample(17))
        let joined = try Self.compress(first) + Self.compress([]) + Self.compress(second)
        #expect(try Self.expand(joined) == first + second)
    }

    @Test func everyCutAndEveryFlippedBitIsTold() throws {
        let bytes = Self.sample(400)
        let compressed = try Self.compress(bytes)
        for length in 0..<compressed.count {
            #expect(throws: TraceError.self) { try Self.expand(Array(compressed[..<length])) }
        }
        for position in compressed.indices {
            for bit in 0..<8 {
                var damaged = compressed
                damaged[position] ^= 1 << UInt8(bit)
                guard let expanded = try? Self.expand(damaged) else { continue }
                #expect(expanded == bytes, "byte \(position), bit \(bit)")
            }
        }
        #expect(throws: TraceError.self) { try Self.expand(compressed + Array("tail".utf8)) }
    }

    @Test func aFilesCompressionShowsInItsNameAndItsFirstBytes() throws {
        #expect(FileCompression(ofPath: "a/b.json.zst") == .zstd)
        #expect(FileCompression(ofPath: "a/b.json.gz") == .gzip)
        #expect(FileCompression(ofPath: "a/b.json") == nil)
        #expect(FileCompression(magic: try Self.compress([1]).prefix(4)) == .zstd)
        #expect(FileCompression(magic: Array("{\"di".utf8)) == nil)
        #expect(FileCompression(magic: []) == nil)
    }
}
