import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import RouterRole

/// Tests the de-duplication window against a naive one, and at its limits.
@Suite struct DedupWindowTests {
    private static let span = UInt64(Limits.dedupSequencesMax)

    private func restored(_ window: DedupWindow) throws -> DedupWindow {
        var buffer = RawBuffer()
        window.encode(into: &buffer)
        var copy = DedupWindow()
        copy.insert(client: [0xEE], sequence: 9, digest: 9)
        window.encodeBegins(into: &buffer)
        var reader = StateReader(buffer.bytes)
        try copy.restore(from: &reader)
        try copy.restoreBegins(from: &reader)
        #expect(reader.remaining == 0)
        return copy
    }

    /// Returns a sequence near the greatest, near the window's lower edge, or far ahead.
    private func sequence(near greatest: UInt64, _ generator: inout SeededGenerator) -> UInt64 {
        switch Int.random(in: 0..<21, using: &generator) {
        case 0..<8: return greatest + 1
        case 8..<13: return greatest - min(greatest - 1, .random(in: 0..<8, using: &generator))
        case 13..<17:
            let edge = Self.span - 3 + .random(in: 0..<6, using: &generator)
            return greatest > edge ? greatest - edge : 1
        case 17: return greatest + .random(in: 1...3 * Self.span, using: &generator)
        case 18: return greatest + Self.span / 2 + .random(in: 0...1, using: &generator)
        case 19: return .max - .random(in: 0..<3 * Self.span, using: &generator)
        default: return max(1, .random(in: 0...greatest, using: &generator))
        }
    }

    @Test(arguments: 0..<30 as Range<UInt64>) func saysWhatANaiveWindowSays(seed: UInt64) throws {
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
                // The owner continues with its own sequences, even after far ones arrived.
                if sequence < .max / 2 {
                    greatest[client] = max(greatest[client, default: 0], sequence)
                }
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

    /// A jump moves the window if the latest sequence stays inside; a larger jump starts another range.
    @Test func aFarJumpBeginsARangeOfItsOwn() throws {
        for jump in [Self.span / 2, Self.span / 2 + 1, Self.span, 1 << 40, UInt64.max - 10] {
            var window = DedupWindow()
            for sequence in UInt64(1)...10 {
                window.insert(client: [1], sequence: sequence, digest: 7)
            }
            window.insert(client: [1], sequence: 10 + jump, digest: 7)
            let later = try restored(window)
            for window in [window, later] {
                #expect(window.check(client: [1], sequence: 10 + jump, digest: 7) == .duplicate)
                #expect(window.check(client: [1], sequence: 9 + jump, digest: 7) == .new)
                #expect(window.check(client: [1], sequence: 10, digest: 7) == .duplicate)
                #expect(window.check(client: [1], sequence: 11, digest: 7) == .new, "\(jump)")
            }
        }
    }

    /// A client that sends huge sequences under another's name does not affect the owner, also after a restart.
    @Test func aStrangerCannotShutTheOwnerOut() throws {
        var window = DedupWindow()
        func send(_ sequence: UInt64, _ digest: UInt64) -> DedupWindow.Verdict {
            let verdict = window.check(client: [1], sequence: sequence, digest: digest)
            if verdict == .new { window.insert(client: [1], sequence: sequence, digest: digest) }
            return verdict
        }
        for sequence in UInt64(1)...20 { #expect(send(sequence, 7) == .new) }
        for stranger in [UInt64.max, 1 << 63, 1 << 40, 5_000, 1 << 50, 1 << 51, 1 << 52, 1 << 53] {
            #expect(send(stranger, 9) == .new)
            window = try restored(window)
        }
        for sequence in UInt64(1)...20 { #expect(send(sequence, 7) == .duplicate) }
        for sequence in UInt64(21)...3_000 {
            #expect(send(sequence, 7) == .new)
            #expect(send(sequence, 7) == .duplicate)
        }
        #expect(send(20, 7) == .belowWindow)
    }

    /// The same holds if it sends them before the owner has started.
    @Test func aStrangerWhoComesFirstShutsNobodyOutEither() {
        var window = DedupWindow()
        window.insert(client: [1], sequence: .max, digest: 9)
        #expect(window.check(client: [1], sequence: 1, digest: 7) == .new)
        // If a client can have counted up to this sequence, lower ones may have been sent before.
        window.insert(client: [2], sequence: 1_000, digest: 9)
        #expect(window.check(client: [2], sequence: 1, digest: 7) == .belowWindow)
        #expect(window.check(client: [2], sequence: 900, digest: 7) == .new)
    }

    /// Checks a head that a router without ranges has written, and a head that such a router can read.
    @Test func headsAreReadBothWays() throws {
        var window = DedupWindow()
        for sequence in UInt64(300)...302 {
            window.insert(client: [1], sequence: sequence, digest: 7)
        }
        window.insert(client: [2], sequence: 1, digest: 8)
        var old = RawBuffer()
        window.encode(into: &old)
        var expected = RawBuffer()
        expected.append(integer: UInt32(2))
        for (name, sequences, digest) in [(UInt8(1), UInt64(300)...302, UInt64(7)), (2, 1...1, 8)] {
            expected.append(byte: 1)
            expected.append(byte: name)
            expected.append(integer: sequences.upperBound)
            expected.append(integer: UInt16(sequences.count))
            for sequence in sequences {
                expected.append(integer: sequence)
                expected.append(integer: digest)
            }
        }
        #expect(Array(old.bytes) == Array(expected.bytes))
        var copy = DedupWindow()
        var reader = StateReader(expected.bytes)
        try copy.restore(from: &reader)
        #expect(reader.remaining == 0)
        #expect(copy.check(client: [1], sequence: 301, digest: 7) == .duplicate)
        // Sequences that an older router considered below the window still are.
        #expect(copy.check(client: [1], sequence: 46, digest: 7) == .belowWindow)
        #expect(copy.check(client: [1], sequence: 47, digest: 7) == .new)
    }

    /// The cost of an eviction does not depend on the number of ranges, and replaying a head gives the same window.
    @Test func aFullWindowStaysTheSameWhetherReplayedOrNot() throws {
        var generator = SeededGenerator(seed: 4)
        var window = DedupWindow()
        var replayed = DedupWindow()
        for step in 0..<3 * Limits.dedupRangesMax {
            let client = Array(
                "\(Int.random(in: 0..<2 * Limits.dedupRangesMax, using: &generator))".utf8
            )
            let sequence = UInt64.random(in: 1...1_000, using: &generator)
            guard window.check(client: client, sequence: sequence, digest: 7) == .new else {
                continue
            }
            window.insert(client: client, sequence: sequence, digest: 7)
            replayed.insert(client: client, sequence: sequence, digest: 7)
            if step % 2_048 == 0 { replayed = try restored(replayed) }
        }
        #expect(window.evictions > 0)
        var one = RawBuffer()
        var other = RawBuffer()
        window.encode(into: &one)
        window.encodeBegins(into: &one)
        replayed.encode(into: &other)
        replayed.encodeBegins(into: &other)
        #expect(Array(one.bytes) == Array(other.bytes))
    }

    @Test func theRangeSilentForLongestIsForgotten() throws {
        var window = DedupWindow()
        func name(_ number: Int) -> [UInt8] { Array("client \(number)".utf8) }
        for number in 0..<Limits.dedupRangesMax {
            window.insert(client: name(number), sequence: 1, digest: 7)
        }
        #expect(window.evictions == 0)
        // The client has sent again and is no longer the oldest, also after the window was stored.
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

    /// The largest window, all clients with all sequences, fits into a log file's head.
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
        window.encodeBegins(into: &buffer)
        let perClient = (buffer.count - 4) / clients
        #expect(perClient * Limits.dedupRangesMax + 4_096 < Limits.logFileHeadBytesMax)
    }

    @Test func aBatchTakenBackIsNewAgain() {
        var window = DedupWindow()
        window.insert(client: [1], sequence: 5, digest: 7)
        window.remove(client: [1], sequence: 5)
        #expect(window.check(client: [1], sequence: 5, digest: 7) == .new)
        // The entry that has replaced it in the ring stays.
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
