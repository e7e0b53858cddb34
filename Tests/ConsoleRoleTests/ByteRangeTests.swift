import Testing

@testable import ConsoleRole

/// Tests which part of a file a header asks for.
@Suite struct ByteRangeTests {
    @Test(arguments: [
        (nil, ByteRange.whole), ("bytes=0-0", .part(0..<1)), ("bytes=2-5", .part(2..<6)),
        ("bytes=5-", .part(5..<10)), ("bytes=9-100", .part(9..<10)), ("bytes=-3", .part(7..<10)),
        ("bytes=-100", .part(0..<10)), ("Bytes= 1 - 2", .part(1..<3)),
        ("bytes=0-\(Int.max)", .part(0..<10)),
        ("bytes=0-99999999999999999999", .part(0..<10)), ("bytes=10-", .unsatisfiable),
        ("bytes=99999999999999999999-", .unsatisfiable), ("bytes=-0", .unsatisfiable),
    ]) func aRangeIsAPart(_ header: String?, _ range: ByteRange) {
        #expect(ByteRange(header, size: 10) == range)
    }

    @Test(arguments: [
        "", "bytes", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,4-5", "bytes=a-b", "lines=0-1",
        "bytes=+1-2", "bytes=--3", "bytes=1-2-3",
    ]) func whatIsNoSingleRangeIsIgnored(_ header: String) {
        #expect(ByteRange(header, size: 10) == .whole)
    }

    @Test func anEmptyFileHasNoPart() {
        #expect(ByteRange("bytes=0-", size: 0) == .unsatisfiable)
        #expect(ByteRange("bytes=-1", size: 0) == .unsatisfiable)
        #expect(ByteRange(nil, size: 0) == .whole)
    }
}
