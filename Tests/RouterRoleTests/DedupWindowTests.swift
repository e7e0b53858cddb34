import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import RouterRole

/// The de-duplication window against a naive one, and at its edges.
@Suite struct DedupWindowTests {
    private static let span = UInt64(Limits.dedupSequencesMax)

    private func restored(_ window: DedupWindow) throws -> DedupWindow {
        var buffer = RawBuffer()
        window.encode(into: &buffer)
        var copy = DedupWindow()
        copy.insert(client: [0xEE], sequence: 9, digest: 9)
        var reader = StateReader(buffer.bytes)
        try copy.restore(from: &reader)
        #expect(reader.remaining == 0)
        return copy
    }

    /// Sequences near the greatest, at the window's lower edge, or far ahead.
    private func sequence(near greatest: UInt64, _ generator: inout SeededGenerator) -> UInt64 {
        switch Int.random(in: 0..<20, using: &generator) {
        case 0..<8: return greatest + 1
        case 8..<13: return greatest - min(greatest - 1, .random(in: 0..<8, using: &generator))
        case 13..<17:
            let edge = Self.span - 3 + .random(in: 0..<6, using: &generator)
            return greatest > edge ? greatest - edge : 1
        case 17: return greatest + .random(in: 1...3 * Self.span, using: &generator)
        case 18: return greatest + Self.span
        default: return max(1, .random(in: 0...greatest, using: &generator))
        }
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func saysWhatANaiveWindowSays(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var window = DedupWindow()
        var naive = NaiveDedupWindow()
        var greatest: [UInt8: UInt64] = [:]
        for step in 0..<3_000 {
            let client = UInt8.random(in: 0..<5, using: &generator)
            let sequence = sequence(near: greatest[client, default: 1], &generator)
            let digest = UInt64.random(in: 1...2, using: &generator)
            let verdict = window.check(client: [client], sequence: sequence, digest: digest)
            let expected = naive.check(client: [client], sequence: sequence, digest: digest)
            try #require(verdict == expected, "seed \(seed), step \(step), sequence \(sequence)")
            if verdict == .new {
                window.insert(client: [client], sequence: sequence, digest: digest)
                naive.insert(client: [client], sequence: sequence, digest: digest)
                greatest[client] = max(greatest[client, default: 0], sequence)
            }
            if step % 1_000 == 500 { window = try restored(window) }
        }
    }

    @Test func theWindowEndsWhereItSaysItDoes() {
        var window = DedupWindow()
        for sequence in 1...Self.span { window.insert(client: [1], sequence: sequence, digest: 7) }
        #expect(window.check(client: [1], sequence: 1, digest: 7) == .duplicate)
        #expect(window.check(client: [1], sequence: 1, digest: 8) == .differs)
        window.insert(client: [1], sequence: Self.span + 1, digest: 7)
        #expect(window.check(client: [1], sequence: 1, digest: 7) == .belowWindow)
        #expect(window.check(client: [1], sequence: 2, digest: 7) == .duplicate)
        #expect(window.check(client: [2], sequence: 1, digest: 7) == .new)
    }

    @Test func aJumpBeyondTheWindowForgetsAllBelow() throws {
        for jump in [Self.span - 1, Self.span, Self.span + 1, 1 << 40, UInt64.max - 10] {
            var window = DedupWindow()
            for sequence in UInt64(1)...10 {
                window.insert(client: [1], sequence: sequence, digest: 7)
            }
            window.insert(client: [1], sequence: 10 + jump, digest: 7)
            let later = try restored(window)
            for window in [window, later] {
                #expect(window.check(client: [1], sequence: 10 + jump, digest: 7) == .duplicate)
                #expect(window.check(client: [1], sequence: 9 + jump, digest: 7) == .new)
                let last = window.check(client: [1], sequence: 10, digest: 7)
                #expect(last == (jump < Self.span ? .duplicate : .belowWindow), "jump \(jump)")
            }
        }
    }

    @Test func theClientSilentForLongestIsForgotten() throws {
        var window = DedupWindow()
        func name(_ number: Int) -> [UInt8] { Array("client \(number)".utf8) }
        for number in 0..<Limits.dedupClientsMax {
            window.insert(client: name(number), sequence: 1, digest: 7)
        }
        #expect(window.evictions == 0)
        // Heard again: no longer the oldest; also after the window was stored.
        window.insert(client: name(0), sequence: 2, digest: 7)
        window = try restored(window)
        window.insert(client: name(-1), sequence: 1, digest: 7)
        window.insert(client: name(-2), sequence: 1, digest: 7)
        #expect(window.evictions == 2)
        #expect(window.check(client: name(0), sequence: 2, digest: 7) == .duplicate)
        #expect(window.check(client: name(1), sequence: 1, digest: 7) == .new)
        #expect(window.check(client: name(2), sequence: 1, digest: 7) == .new)
        #expect(window.check(client: name(3), sequence: 1, digest: 7) == .duplicate)
    }

    /// The whole window, every client with every sequence, fits a log file's head.
    @Test func aFullWindowFitsTheHead() {
        var window = DedupWindow()
        let clients = 64
        for client in 0..<clients {
            var name = [UInt8](repeating: 1, count: Limits.clientIDBytesMax)
            name[0] = UInt8(client)
            for sequence in 1...Self.span {
                window.insert(client: name, sequence: sequence, digest: .max)
            }
        }
        var buffer = RawBuffer()
        window.encode(into: &buffer)
        let perClient = (buffer.count - 4) / clients
        #expect(perClient * Limits.dedupClientsMax + 4_096 < Limits.logFileHeadBytesMax)
    }

    @Test func aBatchTakenBackIsNewAgain() {
        var window = DedupWindow()
        window.insert(client: [1], sequence: 5, digest: 7)
        window.remove(client: [1], sequence: 5)
        #expect(window.check(client: [1], sequence: 5, digest: 7) == .new)
        // What has taken its place in the ring stays.
        window.insert(client: [1], sequence: 5, digest: 7)
        window.insert(client: [1], sequence: 5 + Self.span, digest: 8)
        window.remove(client: [1], sequence: 5)
        #expect(window.check(client: [1], sequence: 5 + Self.span, digest: 8) == .duplicate)
        window.remove(client: [2], sequence: 5)
    }

    @Test func digestsTellBatchesApart() {
        func digest(_ bytes: [UInt8]) -> UInt64 {
            bytes.withUnsafeBytes { DedupWindow.digest(of: $0) }
        }
        #expect(digest([]) != 0)
        #expect(digest([0]) != digest([]))
        #expect(digest([0]) != digest([0, 0]))
        #expect(digest([1, 2]) != digest([2, 1]))
    }

    @Test func aWindowCutOffIsRefused() throws {
        var window = DedupWindow()
        window.insert(client: [1, 2, 3], sequence: 5, digest: 7)
        window.insert(client: [4], sequence: 1, digest: 7)
        var buffer = RawBuffer()
        window.encode(into: &buffer)
        for length in 0..<buffer.count {
            var reader = StateReader(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<length]))
            var copy = DedupWindow()
            #expect(throws: TraceError.self) { try copy.restore(from: &reader) }
        }
    }
}
