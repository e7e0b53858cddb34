import IngestLog
import SystemIO
import Testing
import TraceModel

/// A log in a temporary directory that is written, damaged and read back.
@Suite struct LogTests {
    private static let salt: UInt32 = 0xC0FF_EE01

    /// Runs `body` with a fresh directory and removes it afterwards.
    private func withDirectory(_ body: (LogDirectory) throws -> Void) throws {
        let path = "/tmp/ingest-log-test-\(UInt64.random(in: .min ... .max))"
        try FileSystem.createDirectory(path)
        defer {
            for name in (try? FileSystem.list(path)) ?? [] {
                try? FileSystem.remove("\(path)/\(name)")
            }
            try? FileSystem.removeDirectory(path)
        }
        try body(LogDirectory(path: path))
    }

    private func open(_ directory: LogDirectory) throws -> LogWriter {
        let recovery = try LogRecovery.run(directory, salt: Self.salt) { _ in }
        return try LogWriter(directory: directory, salt: Self.salt, recovery: recovery)
    }

    private func append(_ text: String, host: String = "h", to group: inout LogGroup) {
        let body = Array(text.utf8)
        let target = group.append(.batch, arrival: 42, bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyBytes(from: body)
        Array(host.utf8).withUnsafeBytes { group.setHost($0) }
    }

    private func commit(_ texts: [String], to writer: inout LogWriter) throws {
        var group = LogGroup()
        for text in texts { append(text, to: &group) }
        let before = writer.counts
        try writer.commit(
            &group,
            countsAt: { index in
                var counts = before
                counts.accepted[0] += UInt64(index + 1)
                return counts
            },
            head: { $0.append("head") }
        )
    }

    private func bodies(_ directory: LogDirectory) throws -> [String] {
        var texts: [String] = []
        _ = try LogRecovery.run(directory, salt: Self.salt) { record in
            guard record.type == .batch else { return }
            texts.append(String(decoding: record.body, as: UTF8.self))
        }
        return texts
    }

    @Test func recordsAreReadInOrderWithTheirCounts() throws {
        try withDirectory { directory in
            var writer = try open(directory)
            #expect(writer.end == 0)
            try commit(["a", "", "some longer text"], to: &writer)
            try commit(["b"], to: &writer)
            let end = writer.end
            writer.close()

            var seen: [String] = []
            let recovery = try LogRecovery.run(directory, salt: Self.salt) { record in
                guard record.type == .batch else {
                    #expect(String(decoding: record.body, as: UTF8.self) == "head")
                    return
                }
                #expect(String(decoding: record.host, as: UTF8.self) == "h")
                #expect(record.arrival == 42)
                seen.append(String(decoding: record.body, as: UTF8.self))
            }
            #expect(seen == ["a", "", "some longer text", "b"])
            #expect(recovery.end == end)
            #expect(recovery.counts.accepted[0] == 4)
        }
    }

    @Test func aReaderStartsAnywhereAndStopsAtTheLimit() throws {
        try withDirectory { directory in
            var writer = try open(directory)
            try commit((0..<100).map { "record \($0)" }, to: &writer)
            let middle = writer.end
            try commit((100..<200).map { "record \($0)" }, to: &writer)
            var reader = LogReader(directory: directory, salt: Self.salt, from: middle)
            var texts: [String] = []
            while true {
                let bytes = try reader.next(budget: 1_000, limit: writer.end)
                if bytes.isEmpty { break }
                for record in LogRecords(bytes) {
                    texts.append(String(decoding: record.body, as: UTF8.self))
                }
            }
            #expect(texts == (100..<200).map { "record \($0)" })
            writer.close()
        }
    }

    @Test func everyRestartBeginsAFileAndAllFilesAreRead() throws {
        try withDirectory { directory in
            for round in 0..<5 {
                var writer = try open(directory)
                try commit(["round \(round)"], to: &writer)
                writer.close()
            }
            #expect(try bodies(directory) == (0..<5).map { "round \($0)" })
            #expect(try directory.bases().count == 5)
        }
    }

    @Test func recordsLargerThanAFileAndTheFilesBehindThemAreRead() throws {
        try withDirectory { directory in
            var writer = try open(directory)
            let large = String(repeating: "x", count: Limits.logFileBytes + 4_096)
            try commit(["before"], to: &writer)
            try commit([large], to: &writer)
            try commit(["after"], to: &writer)
            writer.close()
            let read = try bodies(directory)
            #expect(read.map(\.utf8.count) == [6, large.utf8.count, 5])
        }
    }

    /// Wherever the last record is cut, the records before it remain, and the next start continues after them.
    @Test func aTornTailIsCutAtAnyPosition() throws {
        try withDirectory { directory in
            var writer = try open(directory)
            try commit(["kept"], to: &writer)
            let end = Int(writer.end)
            try commit(["torn away"], to: &writer)
            let size = Int(writer.end) - end
            writer.close()
            let path = directory.file(base: 0)
            let whole = try FileSystem.contents(path)
            for cut in 0..<size {
                let file = try File(path, .readWrite)
                let zeros = [UInt8](repeating: 0, count: size - cut)
                try zeros.withUnsafeBytes { try file.write($0, at: end + cut) }
                // The record's own padding may be cut without harm to the record.
                let expected = cut >= 128 + 1 + 9 ? ["kept", "torn away"] : ["kept"]
                #expect(try bodies(directory) == expected, "cut at \(cut)")
                try whole[end..<end + size].withUnsafeBytes { try file.write($0, at: end) }
            }
        }
    }

    @Test func everyFlippedBitOfTheLastRecordIsDetected() throws {
        try withDirectory { directory in
            var writer = try open(directory)
            try commit(["kept"], to: &writer)
            let start = Int(writer.end)
            try commit(["flipped!"], to: &writer)
            writer.close()
            let path = directory.file(base: 0)
            let whole = try FileSystem.contents(path)
            for position in start..<start + 128 + 9 {
                for bit in 0..<8 {
                    let flipped = [whole[position] ^ (1 << bit)]
                    let file = try File(path, .readWrite)
                    try flipped.withUnsafeBytes { try file.write($0, at: position) }
                    #expect(try bodies(directory) == ["kept"], "byte \(position) bit \(bit)")
                    try whole[position...position].withUnsafeBytes {
                        try file.write($0, at: position)
                    }
                }
            }
        }
    }

    /// A record that an older file contained at the same position does not belong to the new file.
    @Test func oldRecordsOfARecycledFileAreIgnored() throws {
        try withDirectory { directory in
            var writer = try open(directory)
            try commit((0..<50).map { "old \($0)" }, to: &writer)
            writer.close()
            var second = try open(directory)
            try commit(["new"], to: &second)
            try second.trim(below: second.end)
            second.close()
            var third = try open(directory)
            try commit(["newest"], to: &third)
            third.close()
            #expect(try bodies(directory) == ["new", "newest"])
        }
    }

    @Test func recordsOfAnotherLogAreRefused() throws {
        try withDirectory { directory in
            var writer = try open(directory)
            try commit(["a"], to: &writer)
            writer.close()
            let foreign = try LogRecovery.run(directory, salt: 7) { _ in
                Issue.record("a record with another salt was read")
            }
            #expect(foreign.end == 0)
        }
    }

    @Test func readingDamageBelowTheLimitNamesTheLSN() throws {
        try withDirectory { directory in
            var writer = try open(directory)
            try commit(["a"], to: &writer)
            let damaged = writer.end
            try commit(["b"], to: &writer)
            let file = try File(directory.file(base: 0), .readWrite)
            try [UInt8(0xFF)].withUnsafeBytes { try file.write($0, at: Int(damaged) + 129) }
            var reader = LogReader(directory: directory, salt: Self.salt, from: damaged)
            do {
                _ = try reader.next(budget: 1_000, limit: writer.end)
                Issue.record("damage was not seen")
            } catch let error as TraceError {
                #expect(error.code == .corrupt)
                #expect(error.message.contains("LSN \(damaged)"))
            }
            writer.close()
        }
    }

    /// Flips one byte in each record in turn. Damage in records that were durable before a later group is set aside by
    /// its exact range, and the log goes on; damage of the last group ends the log.
    @Test func damageIsSetAsideByItsExactRange() throws {
        try withDirectory { directory in
            var writer = try open(directory)
            var starts: [LSN] = []
            for number in 0..<4 {
                starts.append(writer.end)
                try commit(["record \(number)"], to: &writer)
                if number == 0 { starts[0] = writer.end - 144 }
            }
            let end = writer.end
            writer.close()
            let path = directory.file(base: 0)
            let whole = try FileSystem.contents(path)
            for number in 0..<4 {
                for offset in [0, 16, 40, 130] {
                    let position = Int(starts[number]) + offset
                    let file = try File(path, .readWrite)
                    try [whole[position] ^ 0x10].withUnsafeBytes {
                        try file.write($0, at: position)
                    }
                    var seen: [String] = []
                    let recovery = try LogRecovery.run(directory, salt: Self.salt) { record in
                        guard record.type == .batch else { return }
                        seen.append(String(decoding: record.body, as: UTF8.self))
                    }
                    let others = (0..<4).filter { $0 != number }.map { "record \($0)" }
                    let next = number < 3 ? starts[number + 1] : end
                    #expect(seen == others, "record \(number), byte \(offset)")
                    #expect(recovery.damaged == (number < 3 ? [starts[number]..<next] : []))
                    #expect(recovery.end == (number < 3 ? end : starts[3]))
                    try whole[position...position].withUnsafeBytes {
                        try file.write($0, at: position)
                    }
                }
            }
        }
    }

    /// If the rest of a file is gone, reading continues with the next file.
    @Test func damageUpToTheNextFileIsSkipped() throws {
        try withDirectory { directory in
            var writer = try open(directory)
            try commit(["a"], to: &writer)
            let lost = writer.end
            try commit(["b"], to: &writer)
            let size = Int(writer.end - lost)
            writer.close()
            var second = try open(directory)
            let next = second.end
            try commit(["c"], to: &second)
            second.close()
            let file = try File(directory.file(base: 0), .readWrite)
            try [UInt8](repeating: 0xAA, count: size).withUnsafeBytes {
                try file.write($0, at: Int(lost))
            }
            let recovery = try LogRecovery.run(directory, salt: Self.salt) { _ in }
            #expect(recovery.damaged == [lost..<next])
            var reader = LogReader(
                directory: directory,
                salt: Self.salt,
                from: 0,
                damaged: recovery.damaged
            )
            var seen: [String] = []
            while true {
                let bytes = try reader.next(budget: 1 << 20, limit: recovery.end)
                if bytes.isEmpty { break }
                for record in LogRecords(bytes) where record.type == .batch {
                    seen.append(String(decoding: record.body, as: UTF8.self))
                }
            }
            #expect(seen == ["a", "c"])
        }
    }

    @Test func barriersRoundTrip() throws {
        let map = SlotMap(workers: [.function: 3, .io: 2])
        let barrier = BarrierPayload(
            window: 7,
            reason: .command,
            stem: "20251122_101500_2",
            slotMap: map
        )
        var buffer = RawBuffer()
        barrier.encode(into: &buffer)
        #expect(try BarrierPayload(decoding: buffer.bytes) == barrier)
        for length in 0..<buffer.count {
            #expect(throws: TraceError.self) {
                try BarrierPayload(
                    decoding: UnsafeRawBufferPointer(rebasing: buffer.bytes[..<length])
                )
            }
        }
    }

    // MARK: Copies

    @Test func aCopyOfTheLogContinuesIt() throws {
        try withDirectory { directory in
            var copied: [UInt8] = []
            for text in ["one", "two", "three"] {
                var writer = try open(directory)
                var group = LogGroup()
                append(text, to: &group)
                try writer.commit(
                    &group,
                    countsAt: { _ in LogCounts() },
                    copy: { bytes, lsn in
                        #expect(lsn == LSN(copied.count))
                        copied += bytes
                        return true
                    },
                    head: { $0.append("head") }
                )
                writer.close()
            }
            // Another disk has lost the end, or everything; the bytes come in pieces that are no records.
            for kept in [0, 1] {
                try withDirectory { other in
                    if kept > 0 {
                        let base = try directory.bases()[0]
                        try FileSystem.copy(directory.file(base: base), to: other.file(base: base))
                    }
                    let end = try LogRecovery.run(other, salt: Self.salt) { _ in }.end
                    var copy = try LogCopy(other, at: end)
                    for start in stride(from: Int(end), to: copied.count, by: 77) {
                        try copied[start..<min(start + 77, copied.count)].withUnsafeBytes {
                            try copy.write($0)
                        }
                    }
                    try copy.finish()
                    #expect(copy.end == LSN(copied.count))
                    #expect(try bodies(other) == ["one", "two", "three"])
                    var writer = try open(other)
                    try commit(["four"], to: &writer)
                    writer.close()
                    #expect(try bodies(other) == ["one", "two", "three", "four"])
                }
            }
        }
    }

    @Test func aCopyMayGoBackToABeginOfARecord() throws {
        try withDirectory { directory in
            var copied: [UInt8] = []
            var writer = try open(directory)
            for text in ["one", "two"] {
                var group = LogGroup()
                append(text, to: &group)
                try writer.commit(
                    &group,
                    countsAt: { _ in LogCounts() },
                    copy: { bytes, _ in
                        copied += bytes
                        return true
                    },
                    head: { $0.append("head") }
                )
            }
            writer.close()
            try withDirectory { other in
                var copy = try LogCopy(other, at: 0)
                try copied.withUnsafeBytes { try copy.write($0) }
                copy.move(to: 0)
                try copied.dropLast(20).withUnsafeBytes { try copy.write($0) }
                try copied.suffix(20).withUnsafeBytes { try copy.write($0) }
                try copy.finish()
                #expect(try bodies(other) == ["one", "two"])
            }
        }
    }

    @Test func bytesThatAreNoLogAreNotCopied() throws {
        try withDirectory { directory in
            var copy = try LogCopy(directory, at: 0)
            #expect(throws: SystemError.self) {
                try [UInt8](repeating: 7, count: 200).withUnsafeBytes { try copy.write($0) }
            }
        }
    }
}
