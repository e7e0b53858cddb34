import SystemIO
import Testing
import TraceModel

/// Reads stored state, and never beyond its end.
@Suite struct StateReaderTests {
    private func written() -> [UInt8] {
        var buffer = RawBuffer()
        buffer.append(integer: UInt8(1))
        buffer.append(integer: Int64(-2))
        buffer.append(counted: [3, 4])
        buffer.append(integer: UInt16(0x0506))
        return Array(buffer.bytes)
    }

    private struct Read: Equatable {
        var byte: UInt8
        var long: Int64
        var run: [UInt8]
        var short: UInt16
    }

    private func read(_ bytes: [UInt8]) throws -> Read {
        try bytes.withUnsafeBytes { bytes in
            var reader = StateReader(bytes)
            let result = Read(
                byte: try reader.integer(UInt8.self),
                long: try reader.integer(Int64.self),
                run: Array(try reader.counted()),
                short: try reader.integer(UInt16.self)
            )
            #expect(reader.remaining == 0)
            return result
        }
    }

    @Test func roundTrips() throws {
        #expect(try read(written()) == Read(byte: 1, long: -2, run: [3, 4], short: 0x0506))
    }

    @Test func everyCutIsDetected() {
        let bytes = written()
        for length in bytes.indices {
            let error = #expect(throws: TraceError.self) { try read(Array(bytes[..<length])) }
            #expect(error?.code == .corrupt)
        }
    }

    @Test func lengthsBeyondTheEndAreRefused() {
        for length in [3, Int.max, -1, Int.min] {
            let error = #expect(throws: TraceError.self) {
                try [UInt8(1), 2].withUnsafeBytes { bytes in
                    var reader = StateReader(bytes)
                    _ = try reader.bytes(length)
                }
            }
            #expect(error?.code == .corrupt)
        }
        #expect(throws: TraceError.self) { try read([1] + [UInt8](repeating: 0xFF, count: 20)) }
    }

    /// A failed read consumes nothing.
    @Test func aFailureConsumesNothing() throws {
        try [UInt8(9), 8].withUnsafeBytes { bytes in
            var reader = StateReader(bytes)
            #expect(throws: TraceError.self) { try reader.integer(UInt32.self) }
            #expect(reader.remaining == 2)
            let byte = try reader.integer(UInt8.self)
            #expect(byte == 9)
        }
    }

    @Test func numbersOfAnyLengthRoundTrip() throws {
        let numbers = (UInt64(0)..<64).flatMap { bit -> [UInt64] in
            [1 << bit, (1 << bit) - 1, UInt64.max << bit]
        }
        var buffer = RawBuffer()
        for number in numbers { buffer.append(varint: number) }
        var reader = StateReader(buffer.bytes)
        for number in numbers { try #expect(reader.varint() == number) }
        #expect(reader.isAtEnd)
    }

    /// Too short, and more than 64 bits.
    @Test(arguments: [
        [], [0x80], [UInt8](repeating: 0xFF, count: 9), [UInt8](repeating: 0xFF, count: 12),
    ])
    func invalidNumbersAreRefused(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            var reader = StateReader(bytes)
            let error = #expect(throws: TraceError.self) { try reader.varint() }
            #expect(error?.code == .corrupt && reader.remaining == bytes.count)
        }
    }
}
