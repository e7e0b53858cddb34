import SystemIO
import Testing
import TraceModel

@testable import TraceSummaries

/// The numbers of a row: how they are added and stored.
struct SummaryValuesTests {
    private static func encoded(_ values: SummaryValues) -> [UInt8] {
        var buffer = RawBuffer()
        values.encode(into: &buffer)
        return Array(buffer.bytes)
    }

    private static func decoded(_ bytes: [UInt8], isFixed: Bool = false) throws -> SummaryValues {
        try bytes.withUnsafeBytes {
            var reader = StateReader($0)
            let values = try SummaryValues(decoding: &reader, isFixed: isFixed)
            #expect(reader.isAtEnd)
            return values
        }
    }

    @Test func numbersRoundTrip() throws {
        var values = SummaryValues()
        #expect(Self.encoded(values) == [0])
        #expect(try Self.decoded([0]) == values)
        (values[1], values[4]) = (300, 1)
        #expect(Self.encoded(values) == [5, 0, 0xAC, 2, 0, 0, 1])
        #expect(try Self.decoded(Self.encoded(values)) == values)
        for column in 0..<SummaryValues.count { values[column] = .max }
        #expect(Self.encoded(values).count == SummaryValues.encodedBytesMax)
        #expect(try Self.decoded(Self.encoded(values)) == values)
        #expect(throws: TraceError.self) { try Self.decoded([UInt8(SummaryValues.count) + 1]) }
        #expect(throws: TraceError.self) { try Self.decoded([2, 7]) }
    }

    @Test func theFormOf010HasEightNumbers() throws {
        var bytes: [UInt8] = []
        for column in UInt8(1)...8 { bytes += [column, 0, 0, 0, 0, 0, 0, 1] }
        let values = try Self.decoded(bytes, isFixed: true)
        for column in 0..<SummaryValues.count {
            let expected: UInt64 = column < 8 ? (1 << 56) + UInt64(column + 1) : 0
            #expect(values[column] == expected)
        }
    }

    @Test func theSmallestNumber() throws {
        let connections = SummarySchema.tables(of: .network)[1]
        let opened = try #require(connections.columns.firstIndex { $0.kind == .min })
        var values = SummaryValues()
        for (number, expected) in [(0, 0), (9, 9), (0, 9), (12, 9), (4, 4)] as [(UInt64, UInt64)] {
            var other = SummaryValues()
            other[opened] = number
            connections.combine(other, into: &values, isLater: number == 0)
            #expect(values[opened] == expected)
        }
    }
}
