import SystemIO
import Testing
import TraceModel

@testable import RouterRole

/// Tests how shares reuse memory.
@Suite struct SharePoolTests {
    private let pool = SharePool()

    private func base(_ payload: SharePayload) -> UnsafeMutableRawPointer { payload.buffer.base }

    @Test func aShareThatIsDoneGivesItsMemoryToTheNext() {
        var first: SharePayload? = SharePayload(capacity: 1 << 20, from: pool)
        first?.buffer.append(byte: 7)
        let memory = first.map(base)
        let other = SharePayload(capacity: 1 << 20, from: pool)
        #expect(base(other) != memory)
        first = nil
        let next = SharePayload(capacity: 900_000, from: pool)
        #expect(base(next) == memory)
        #expect(next.buffer.count == 0 && next.buffer.capacity >= 1 << 20)
    }

    @Test func whatIsTooSmallOrMuchTooLargeStays() {
        let bytes = 1 << 20
        pool.give(pool.take(bytes))
        #expect(pool.take(bytes + 1).buffer.capacity > bytes)
        #expect(pool.take(bytes / 4 - 1).buffer.capacity <= SharePool.blockBytesMin)
        #expect(pool.take(bytes / 4).buffer.capacity == bytes)
    }

    @Test func itKeepsNoMoreThanItsBoundAndTheLatest() {
        let bytes = Limits.sharePoolBytesMax / 4
        let blocks = (0..<6).map { _ in pool.take(bytes) }
        for block in blocks { pool.give(block) }
        let known = Set(blocks.map(ObjectIdentifier.init))
        let again = (0..<5).map { _ in pool.take(bytes) }.filter {
            known.contains(ObjectIdentifier($0))
        }
        #expect(again.count == 4)
        #expect(again[0] === blocks[5] && again[3] === blocks[2])
    }

    @Test func oneLargerThanAllItKeepsIsNotKept() {
        let block = pool.take(Limits.sharePoolBytesMax + 1)
        pool.give(block)
        #expect(pool.take(Limits.sharePoolBytesMax) !== block)
    }
}
