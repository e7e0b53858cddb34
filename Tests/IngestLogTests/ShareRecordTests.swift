import SystemIO
import TestSupport
import Testing
import TraceModel

@testable import IngestLog

/// A share as another process might send it: correct, cut off, or damaged.
@Suite struct ShareRecordTests {
    private struct Piece: Equatable {
        let lsn: LSN
        let arrival: Int64
        let type: LogRecordType
        let host: [UInt8]
        let body: [UInt8]
    }

    /// A few records and the share made of them.
    private func example(seed: UInt64, count: Int) -> (share: [UInt8], pieces: [Piece]) {
        var generator = SeededGenerator(seed: seed)
        var group = LogGroup()
        var pieces: [Piece] = []
        for index in 0..<count {
            let type: LogRecordType = index % 3 == 2 ? .tick : .batch
            let body = type == .tick ? [] : generator.bytes(0...30)
            let host = type == .tick ? [] : generator.bytes(0...Limits.hostBytesMax)
            let target = group.append(type, arrival: Int64(index) - 1, bodyBytes: body.count)
            UnsafeMutableRawBufferPointer(start: target, count: body.count).copyBytes(from: body)
            host.withUnsafeBytes { group.setHost($0) }
            let lsn = 1_000 + LSN(group.offsets[index])
            pieces.append(
                Piece(lsn: lsn, arrival: Int64(index) - 1, type: type, host: host, body: body)
            )
        }
        _ = group.seal(from: 1_000, previousCRC: 0, salt: 1, durable: 0) { _ in LogCounts() }
        var share = RawBuffer(capacity: 8)
        for offset in group.offsets {
            let record = group.record(at: offset)
            let body = record.body
            let target = ShareRecord.append(record, bodyBytes: body.count, to: &share)
            UnsafeMutableRawBufferPointer(start: target, count: body.count).copyMemory(from: body)
        }
        return (Array(share.bytes), pieces)
    }

    /// Walks bytes at the very end of their allocation, so that a sanitizer detects reads beyond them, and checks that
    /// the returned views are inside.
    @discardableResult private func walk(_ share: [UInt8]) throws -> [Piece] {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: share.count, alignment: 8)
        defer { memory.deallocate() }
        memory.copyBytes(from: share)
        let bytes = UnsafeRawBufferPointer(memory)
        var pieces: [Piece] = []
        try ShareRecord.forEach(in: bytes) { record in
            #expect(lies(record.host, in: bytes) && lies(record.body, in: bytes))
            guard let type = record.type else { return }
            pieces.append(
                Piece(
                    lsn: record.lsn,
                    arrival: record.arrival,
                    type: type,
                    host: Array(record.host),
                    body: Array(record.body)
                )
            )
        }
        return pieces
    }

    private func lies(_ part: UnsafeRawBufferPointer, in whole: UnsafeRawBufferPointer) -> Bool {
        guard let start = part.baseAddress, let begin = whole.baseAddress else { return false }
        return start >= begin && start + part.count <= begin + whole.count
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func recordsRoundTrip(seed: UInt64) throws {
        let (share, pieces) = example(seed: seed, count: 12)
        #expect(try walk(share) == pieces)
        #expect(share.count % 8 == 0)
    }

    @Test func anEmptyShareHasNoRecords() throws { #expect(try walk([]).isEmpty) }

    @Test func everyCutInsideARecordIsRefused() throws {
        let (share, pieces) = example(seed: 3, count: 6)
        var whole: Set<Int> = [0]
        var end = 0
        for piece in pieces {
            end += (ShareRecord.headerBytes + piece.host.count + piece.body.count + 7) / 8 * 8
            whole.insert(end)
        }
        #expect(end == share.count)
        for length in 0..<share.count {
            let cut = Array(share[..<length])
            if whole.contains(length) {
                #expect(try pieces.starts(with: walk(cut)))
            } else {
                let error = #expect(throws: TraceError.self, "cut at \(length)") { try walk(cut) }
                #expect(error?.code == .corrupt)
            }
        }
    }

    @Test func decreasingLSNsAreRefused() throws {
        let (share, _) = example(seed: 4, count: 1)
        #expect(try walk(share).count == 1)
        #expect(throws: TraceError.self) { try walk(share + share) }
    }

    /// Any bytes give either an error or records inside the share, and never a read outside.
    @Test(arguments: 0..<40 as Range<UInt64>) func damageNeverReadsOutside(seed: UInt64) throws {
        let (share, _) = example(seed: seed, count: 8)
        var generator = SeededGenerator(seed: seed &+ 1_000)
        for _ in 0..<200 {
            var damaged = share
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                let position = Int.random(in: damaged.indices, using: &generator)
                damaged[position] = UInt8.random(in: 0...255, using: &generator)
            }
            do { try walk(damaged) } catch let error as TraceError {
                #expect(error.code == .corrupt)
            }
        }
    }

    /// The greatest lengths must not overflow.
    @Test func theGreatestLengthsAreRefused() throws {
        var (share, _) = example(seed: 5, count: 1)
        for position in [16, 17, 18, 19, 22, 23] { share[position] = 0xFF }
        #expect(throws: TraceError.self) { try walk(share) }
    }
}
