import TestSupport
import Testing
import TraceModel

/// Names cut to their bound.
@Suite struct ByteViewTests {
    private func cut(_ bytes: [UInt8], at limit: Int) -> [UInt8] {
        bytes.withUnsafeBytes { Array(ByteView($0).cut(at: limit).buffer) }
    }

    @Test func cutsBetweenScalars() {
        let text = "aé€😀b" + String(repeating: "ü", count: 20)
        for limit in 0...text.utf8.count + 2 {
            var expected = ""
            for scalar in text.unicodeScalars {
                let longer = expected + String(scalar)
                if longer.utf8.count > limit { break }
                expected = longer
            }
            #expect(cut(Array(text.utf8), at: limit) == Array(expected.utf8), "at \(limit)")
        }
    }

    @Test func shortBytesStayWhole() {
        #expect(cut([1, 2, 3], at: 3) == [1, 2, 3])
        #expect(cut([1, 2, 3], at: 4) == [1, 2, 3])
        #expect(cut([], at: 0) == [])
        #expect(ByteView.empty.cut(at: 0).isEmpty && ByteView.empty.string == "")
    }

    /// Bytes that are no UTF-8 are cut too, and never read outside.
    @Test(arguments: 0..<10 as Range<UInt64>) func cutsAnythingToTheLimit(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let bytes = generator.bytes(0...40)
            let limit = Int.random(in: 0...45, using: &generator)
            let result = cut(bytes, at: limit)
            #expect(result.count <= limit && bytes.starts(with: result))
        }
        #expect(cut([UInt8](repeating: 0x80, count: 9), at: 5) == [])
    }
}
