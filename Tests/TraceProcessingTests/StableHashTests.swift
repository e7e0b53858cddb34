import Testing
import TraceModel

@testable import TraceProcessing

@Suite struct StableHashTests {
    /// Byte by byte: what checkpoints of all versions hold.
    private static func plain(_ name: [UInt8]) -> UInt64 {
        guard !name.isEmpty else { return 0x9E37_79B9_7F4A_7C15 }
        var hash = UInt64(name.count) &* 0x9E37_79B9_7F4A_7C15
        let whole = name.count / 8 * 8
        for at in stride(from: 0, to: whole, by: 8) {
            let word = name[at..<at + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            hash = StableHash.mix(hash ^ word)
        }
        let rest = name[whole...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return StableHash.mix(hash ^ rest ^ 0xD6E8_FEB8_6659_FD93)
    }

    @Test func namesOfEveryLengthKeepTheirHash() {
        for count in 0...70 {
            let name = (0..<count).map { _ in UInt8.random(in: 0...255) }
            // In memory of exactly this size, so that a sanitizer sees one byte too far.
            let hash = name.withUnsafeBytes { StableHash.of(ByteView($0)) }
            #expect(hash == Self.plain(name), "\(name)")
        }
        // With an address and without one: what is saved without a name comes back so.
        let text: StaticString = "main"
        let none = ByteView(start: UnsafeRawPointer(text.utf8Start), count: 0)
        #expect(StableHash.of(none) == Self.plain([]) && StableHash.of(.empty) == Self.plain([]))
        // As the first version had it, should the rule above be changed with it.
        #expect(Self.plain(Array("main".utf8)) == 0xB222_F9DD_D68C_464A)
    }
}
