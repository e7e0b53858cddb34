import SystemIO
import Testing
import TraceModel
import TraceWire

@testable import TraceProcessing

/// Names that are made to fall together cost no more than others.
@Suite(.serialized) struct NameHashTests {
    private static let count = 60_000

    /// Names of 16 bytes with one and the same `StableHash`: the second word makes up for what the first one did.
    private static let colliding: [[UInt8]] = (0..<UInt64(count)).map { number in
        let first = number | 0x6162_6364_0000_0000
        let length: UInt64 = 16
        let state = StableHash.mix(length &* 0x9E37_79B9_7F4A_7C15 ^ first)
        let second = state ^ 0x0123_4567_89AB_CDEF
        return withUnsafeBytes(of: (first.littleEndian, second.littleEndian)) { Array($0) }
    }

    private static let ordinary: [[UInt8]] = (0..<count).map { number in
        Array("service::f\(100_000 + number)".utf8)
    }

    @Test func namesMadeForOneHashFallApartUnderAnother() {
        let stable = Set(Self.colliding.map { Self.stable($0) })
        #expect(stable.count == 1)
        let keyed = Self.colliding.map { name in name.withUnsafeBytes { NameHash.of(ByteView($0)) }
        }
        #expect(Set(keyed).count == Self.count)
        #expect(Self.longestProbe(keyed) < 128)
    }

    /// Names that are hashed four words at a time: each byte counts, and so does their number.
    @Test func longNamesThatDifferInOneByteFallApart() {
        for count in [127, 128, 129, 159, 160, 161, 4_096] {
            var name = [UInt8](repeating: 0x61, count: count)
            var seen: Set<UInt64> = []
            for position in 0..<count {
                name[position] = 0x62
                seen.insert(name.withUnsafeBytes { NameHash.of(ByteView($0)) })
                name[position] = 0x61
            }
            seen.insert(name.withUnsafeBytes { NameHash.of(ByteView($0)) })
            name.append(0x61)
            seen.insert(name.withUnsafeBytes { NameHash.of(ByteView($0)) })
            #expect(seen.count == count + 2)
        }
        let keyed = (0..<Self.count).map { number in
            let name = Array("\(number)".utf8) + [UInt8](repeating: 0x78, count: 300)
            return name.withUnsafeBytes { NameHash.of(ByteView($0)) }
        }
        #expect(Self.longestProbe(keyed) < 128)
    }

    @Test func smallNumbersAndHighOnesSpread() {
        for shift in stride(from: 0, to: 48, by: 3) {
            let keyed = (0..<UInt64(Self.count)).map { NameHash.mix($0 << UInt64(shift)) }
            #expect(Self.longestProbe(keyed) < 512, "shifted by \(shift)")
        }
    }

    @Test func theSecretDecides() async {
        await #expect(processExitsWith: .success) {
            let name: StaticString = "main"
            let view = ByteView(start: UnsafeRawPointer(name.utf8Start), count: 4)
            var seen: Set<UInt64> = [NameHash.of(view), NameHash.mix(1)]
            for byte: UInt8 in 0..<64 {
                NameHash.key(with: [UInt8](repeating: 0, count: 15) + [byte])
                seen.formUnion([NameHash.of(view), NameHash.mix(1)])
                NameHash.key(with: [byte + 1] + [UInt8](repeating: 0, count: 15))
                seen.formUnion([NameHash.of(view), NameHash.mix(1)])
            }
            precondition(seen.count == 2 + 64 * 4, "\(seen.count)")
        }
    }

    @Test func functionsWithNamesMadeToCollideAreAppliedAsQuicklyAsOthers() throws {
        let usual = try Self.time(of: Self.ordinary)
        let hostile = try Self.time(of: Self.colliding)
        #expect(hostile <= 5 * usual, "\(hostile) ns for \(usual) ns")
    }

    private static func stable(_ name: [UInt8]) -> UInt64 {
        name.withUnsafeBytes { StableHash.of(ByteView($0)) }
    }

    /// How far a search goes at most in a table of them that is half full.
    private static func longestProbe(_ hashes: [UInt64]) -> Int {
        var size = 8
        while size < hashes.count * 2 { size *= 2 }
        var isTaken = [Bool](repeating: false, count: size)
        var longest = 0
        for hash in hashes {
            var at = Int(truncatingIfNeeded: hash) & (size - 1)
            var steps = 0
            while isTaken[at] {
                at = (at + 1) & (size - 1)
                steps += 1
            }
            isTaken[at] = true
            longest = max(longest, steps)
        }
        return longest
    }

    /// Nanoseconds for one batch of calls of these functions.
    private static func time(of names: [[UInt8]]) throws -> Int64 {
        let directory = try ContractDirectory()
        let worker = try ContractWorker(.function, root: directory.path)
        let start: EpochNanoseconds = 1_760_000_000_000_000_000
        let events = names.enumerated().map { index, name in
            let time = start + EpochNanoseconds(index) * 1_000
            return Self.event(name, at: time)
        }
        let batch = ContractBatch(host: "web", events: events, arrival: start, lsn: 1)
        let begin = WallClock.monotonic()
        let count = try worker.apply(batch)
        #expect(count == names.count)
        return WallClock.monotonic() - begin
    }
    /// A name that stands for others in what the encoder takes: these are no text.
    private static let stand = "0123456789abcdef"

    private static func event(_ name: [UInt8], at time: EpochNanoseconds) -> ContractEvent {
        var function = BatchEncoder.Function()
        function.timestamp = ContractEvent.timestamp(time)
        function.functionName = stand
        function.tgid = 7
        function.pid = 7
        var encoder = BatchEncoder()
        encoder.append(function)
        var bytes = Array(encoder.bytes)
        if let range = bytes.firstRange(of: Array(stand.utf8)) {
            bytes.replaceSubrange(range, with: name)
        }
        return ContractEvent(host: "web", pid: 7, time: time, bytes: bytes)
    }
}
