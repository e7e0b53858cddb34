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
}
