import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import IngestLog

/// Records laid out in memory before they have a position in a log.
@Suite struct LogGroupTests {
    private static let salt: UInt32 = 0x51D3

    private func append(_ body: [UInt8], host: [UInt8], to group: inout LogGroup) {
        let target = group.append(.batch, arrival: 7, bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyBytes(from: body)
        host.withUnsafeBytes { group.setHost($0) }
    }

    /// Seals the group at `start` and reads every record back.
    private func sealed(
        _ group: inout LogGroup,
        from start: LSN = 0
    ) throws -> [(body: [UInt8], host: [UInt8])] {
        _ = group.seal(from: start, previousCRC: 0, salt: Self.salt, durable: start) { index in
            var counts = LogCounts()
            counts.accepted[1] = UInt64(index)
            return counts
        }
        var found: [(body: [UInt8], host: [UInt8])] = []
        var lsn = start
        for offset in group.offsets {
            #expect(start + LSN(offset) == lsn)
            let bytes = UnsafeRawBufferPointer(rebasing: group.buffer.bytes[offset...])
            let check = RecordCheck.check(bytes, at: lsn, salt: Self.salt)
            let record = group.record(at: offset)
            try #require(check == .valid(stride: record.stride), "record \(found.count)")
            #expect(record.counts.accepted[1] == UInt64(found.count))
            found.append((Array(record.body), Array(record.host)))
            lsn += LSN(record.stride)
        }
        #expect(Int(lsn - start) == group.byteCount)
        return found
    }

    @Test func hostsOfAllLengthsFollowTheirBodies() throws {
        var generator = SeededGenerator(seed: 1)
        var group = LogGroup(capacity: 4_096)
        var expected: [(body: [UInt8], host: [UInt8])] = []
        for length in 0...Limits.hostBytesMax {
            let body = generator.bytes(0...40)
            let host = generator.bytes(length...length)
            append(body, host: host, to: &group)
            expected.append((body, host))
        }
        let found = try sealed(&group)
        #expect(found.map(\.body) == expected.map(\.body))
        #expect(found.map(\.host) == expected.map(\.host))
    }

    /// A group whose first record was summed up before has the same bytes; what was removed is not used again.
    @Test func aPayloadMayBeSummedBefore() throws {
        var generator = SeededGenerator(seed: 2)
        let bodies = (0..<3).map { _ in generator.bytes(1_000...9_000) }
        for removesFirst in [false, true] {
            var plain = LogGroup()
            var summed = LogGroup()
            append(bodies[0], host: [1, 2], to: &plain)
            append(bodies[0], host: [1, 2], to: &summed)
            summed.sumFirstPayload()
            for body in bodies[1...] {
                append(body, host: [3], to: &plain)
                append(body, host: [3], to: &summed)
            }
            if removesFirst {
                plain.remove { $0 == 0 }
                summed.remove { $0 == 0 }
            }
            #expect(try sealed(&summed, from: 77).count == (removesFirst ? 2 : 3))
            _ = try sealed(&plain, from: 77)
            #expect(Array(plain.buffer.bytes) == Array(summed.buffer.bytes))
            summed.removeAll(keeping: 0)
            append(bodies[1], host: [], to: &summed)
            #expect(try sealed(&summed).map(\.body) == [bodies[1]])
        }
    }

    /// The body may fit into the buffer while the host does not.
    @Test func aHostThatGrowsTheBufferKeepsItsRecordIntact() throws {
        let capacity = 4_096
        for spare in 0...Limits.hostBytesMax {
            var group = LogGroup(capacity: capacity)
            let before = [UInt8](repeating: 1, count: 64)
            append(before, host: [], to: &group)
            let room = capacity - group.byteCount - LogRecord.headerBytes - spare
            let body = (0..<room).map { UInt8(truncatingIfNeeded: $0) }
            let host = [UInt8](repeating: 3, count: Limits.hostBytesMax)
            append(body, host: host, to: &group)
            let found = try sealed(&group)
            #expect(found.map(\.body) == [before, body], "room for \(spare) bytes more")
            #expect(found.map(\.host) == [[], host])
        }
    }

    @Test func aRevertedRecordLeavesNoTrace() throws {
        var generator = SeededGenerator(seed: 2)
        var group = LogGroup(capacity: 4_096)
        var expected: [[UInt8]] = []
        for round in 0..<200 {
            let body = generator.bytes(0...300)
            append(body, host: generator.bytes(0...20), to: &group)
            if round % 3 == 1 { group.discardLast() } else { expected.append(body) }
        }
        #expect(try sealed(&group, from: 8_000).map(\.body) == expected)
        group.removeAll(keeping: 4_096)
        #expect(group.isEmpty && group.byteCount == 0)
        group.discardLast()
        append([9], host: [8], to: &group)
        #expect(try sealed(&group).map(\.body) == [[9]])
    }

    @Test func paddingIsZeroInReusedMemory() {
        var group = LogGroup(capacity: 4_096)
        for _ in 0..<2 {
            for length in 1..<9 {
                append(
                    [UInt8](repeating: 0xFF, count: length),
                    host: [UInt8](repeating: 0xFF, count: 9 - length),
                    to: &group
                )
                let record = group.record(at: group.offsets[length - 1])
                let end = group.offsets[length - 1] + LogRecord.headerBytes + record.payloadBytes
                #expect(group.buffer.bytes[end...].allSatisfy { $0 == 0 })
                #expect(group.byteCount % 8 == 0)
            }
            group.removeAll(keeping: 4_096)
        }
    }
}
