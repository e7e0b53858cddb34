import SystemIO
import TestSupport
import Testing

/// Compares the growable buffer with an array.
@Suite struct RawBufferTests {
    @Test(arguments: 0..<40 as Range<UInt64>) func equalsAnArray(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var buffer = RawBuffer(capacity: Int.random(in: 1...64, using: &generator))
        var array: [UInt8] = []
        for step in 0..<400 {
            change(&buffer, &array, &generator)
            #expect(buffer.count == array.count && buffer.count <= buffer.capacity)
            let isSame = buffer.bytes.elementsEqual(array)
            #expect(isSame, "seed \(seed), step \(step)")
            if !isSame { return }
        }
    }

    private func change(
        _ buffer: inout RawBuffer,
        _ array: inout [UInt8],
        _ generator: inout SeededGenerator
    ) {
        switch Int.random(in: 0..<14, using: &generator) {
        case 0..<4:
            let bytes = generator.bytes(0...300)
            bytes.withUnsafeBytes { buffer.append($0) }
            array += bytes
        case 4:
            buffer.append(byte: 7)
            array.append(7)
        case 5:
            let value = generator.next()
            buffer.append(integer: value)
            withUnsafeBytes(of: value.littleEndian) { array += Array($0) }
        case 6:
            buffer.append("a literal")
            array += Array("a literal".utf8)
        case 7:
            let text = String(repeating: "ü", count: Int.random(in: 0...9, using: &generator))
            buffer.append(text)
            array += Array(text.utf8)
        case 8:
            let bytes = generator.bytes(0...20)
            buffer.append(counted: bytes)
            withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { array += Array($0) }
            array += bytes
        case 9:
            let room = Int.random(in: 0...5_000, using: &generator)
            let used = Int.random(in: 0...min(room, 50), using: &generator)
            buffer.reserve(room).initializeMemory(as: UInt8.self, repeating: 0xEE, count: used)
            buffer.commit(used)
            array += [UInt8](repeating: 0xEE, count: used)
        case 10:
            let count = Int.random(in: 0...array.count, using: &generator)
            buffer.truncate(to: count)
            array.removeLast(array.count - count)
        case 11:
            let count = Int.random(in: 0...array.count, using: &generator)
            buffer.removeFirst(count)
            array.removeFirst(count)
        case 12:
            guard let index = array.indices.randomElement(using: &generator) else { return }
            buffer.mutableBytes[index] ^= 0xFF
            array[index] ^= 0xFF
        default:
            buffer.removeAll()
            array.removeAll()
            buffer.shrink(keeping: Int.random(in: 1...100, using: &generator))
        }
    }

    @Test func memoryIsReleasedOnlyWhenEmpty() {
        var buffer = RawBuffer(capacity: 16)
        buffer.append(integer: UInt64(1))
        _ = buffer.reserve(10_000)
        let grown = buffer.capacity
        #expect(grown >= 10_008)
        buffer.shrink(keeping: 32)
        #expect(buffer.capacity == grown)
        buffer.removeAll()
        buffer.shrink(keeping: 32)
        #expect(buffer.capacity == 32)
        buffer.shrink(keeping: 64)
        #expect(buffer.capacity == 32)
    }

    @Test func aBufferWithoutMemoryGrows() {
        var buffer = RawBuffer()
        buffer.shrink(keeping: 0)
        buffer.append("abc")
        #expect(Array(buffer.bytes) == Array("abc".utf8))
    }

    @Test func memoryForDirectWritesIsAligned() {
        var buffer = RawBuffer(capacity: 100, alignment: 4_096)
        for _ in 0..<3 {
            #expect(Int(bitPattern: buffer.bytes.baseAddress) % 4_096 == 0)
            _ = buffer.reserve(buffer.capacity + 1)
        }
    }
}
