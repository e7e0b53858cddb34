import Testing
import TraceModel

@testable import TraceProcessing

@Suite struct OwnedNameTests {
    @Test func aNameDiffersInAnyByteAndInLength() {
        for count in 0...40 {
            let text = (0..<count).map { _ in UInt8.random(in: 0...255) }
            // In memory of exactly this size, so that a sanitizer sees one byte too far.
            text.withUnsafeBytes { bytes in
                let name = OwnedName(ByteView(bytes))
                let equal = Array(bytes)
                #expect(equal.withUnsafeBytes { name.equals(ByteView($0)) }, "\(text)")
                #expect((equal + [0]).withUnsafeBytes { !name.equals(ByteView($0)) }, "\(text)")
                for at in 0..<count {
                    var other = equal
                    other[at] ^= 1 << UInt8.random(in: 0..<8)
                    #expect(other.withUnsafeBytes { !name.equals(ByteView($0)) }, "\(text), \(at)")
                }
            }
        }
    }

    /// A name is what was set last, whatever memory it has from before or from a name that has gone.
    @Test func memoryIsUsedAgain() {
        let texts = ["", "a", "sixteen bytes ok", "more than sixteen bytes", "bash", "é", ""]
        for first in texts {
            for second in texts {
                var gone = owned(first)
                var name = OwnedName(.empty)
                name.takeMemory(of: &gone)
                #expect(name.view.isEmpty)
                for text in [second, first, second] {
                    Array(text.utf8).withUnsafeBytes { name.set(ByteView($0)) }
                    #expect(name.view.string == text)
                    #expect(name.isPlain == owned(text).isPlain)
                }
            }
        }
    }

    private func owned(_ text: String) -> OwnedName {
        var name = OwnedName(.empty)
        Array(text.utf8).withUnsafeBytes { name.set(ByteView($0)) }
        return name
    }
}
