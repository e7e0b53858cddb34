import IngestLog
import SystemIO
import TestSupport
import Testing
import TraceModel

/// Walks along damaged logs, and along a log that is written and trimmed meanwhile.
@Suite struct LogWalkTests {
    private static let salt: UInt32 = 0xC0FF_EE02
    private let temporary: TemporaryDirectory
    private var directory: LogDirectory { LogDirectory(path: temporary.path) }

    init() throws { temporary = try TemporaryDirectory() }

    private func open() throws -> LogWriter {
        let recovery = try LogRecovery.run(directory, salt: Self.salt) { _ in }
        return try LogWriter(directory: directory, salt: Self.salt, recovery: recovery)
    }

    /// Commits one record in its own group and returns its position.
    private func commit(_ text: String, to writer: inout LogWriter) throws -> LSN {
        var group = LogGroup()
        let body = Array(text.utf8)
        let target = group.append(.batch, arrival: 42, bodyBytes: body.count)
        UnsafeMutableRawBufferPointer(start: target, count: body.count).copyBytes(from: body)
        let counts = writer.counts
        try writer.commit(&group, countsAt: { _ in counts }, head: { $0.append("head") })
        return writer.end - LSN(LogRecord.stride(payloadBytes: body.count))
    }

    private func overwrite(_ base: LSN, at lsn: LSN, with bytes: [UInt8]) throws {
        let file = try File(directory.file(base: base), .readWrite)
        try bytes.withUnsafeBytes { try file.write($0, at: Int(lsn - base)) }
    }

    private struct Found: Equatable {
        var texts: [String] = []
        var damaged: [Range<LSN>] = []
        var trimmed: [Range<LSN>] = []
        var unfinished = 0
    }

    /// Walks to the end of the log. `after` runs after the first step.
    private func walk(from start: LSN? = nil, after: () throws -> Void = {}) throws -> Found {
        var found = Found()
        var walk = try LogWalk(directory, salt: Self.salt, from: start)
        var isFirst = true
        while true {
            switch try walk.next() {
            case .records(let bytes):
                for record in LogRecords(bytes) where record.type == .batch {
                    found.texts.append(String(decoding: record.body.prefix(8), as: UTF8.self))
                }
            case .damage(let range): found.damaged.append(range)
            case .trimmed(let range): found.trimmed.append(range)
            case .end(let unfinished):
                found.unfinished = unfinished
                return found
            }
            if isFirst { try after() }
            isFirst = false
        }
    }

    @Test func anEmptyLogHasNoRecords() throws { #expect(try walk() == Found()) }

    @Test func aWalkBeginsInTheFileOfItsStart() throws {
        for round in 0..<3 {
            var writer = try open()
            _ = try commit("round \(round)", to: &writer)
            writer.close()
        }
        let bases = try directory.bases()
        #expect(try walk(from: bases[1] + 1).texts == ["round 1", "round 2"])
        #expect(try walk(from: .max).texts == ["round 2"])
    }

    /// The range ends in a later file than the one that was being read.
    @Test func walkAndReaderSkipADamagedHead() throws {
        var writer = try open()
        _ = try commit("before", to: &writer)
        writer.close()
        writer = try open()
        let behind = try commit("behind", to: &writer)
        _ = try commit("again", to: &writer)
        let end = writer.end
        writer.close()
        let base = try #require(try directory.bases().last)
        try overwrite(base, at: base + 129, with: [0xFF])

        let damaged = [base..<behind]
        #expect(try walk() == Found(texts: ["before", "behind", "again"], damaged: damaged))
        var reader = LogReader(directory: directory, salt: Self.salt, from: 0, damaged: damaged)
        var texts: [String] = []
        while true {
            let bytes = try reader.next(budget: 1 << 20, limit: end)
            if bytes.isEmpty { break }
            for record in LogRecords(bytes) where record.type == .batch {
                texts.append(String(decoding: record.body, as: UTF8.self))
            }
        }
        #expect(texts == ["before", "behind", "again"])
    }

    /// An intact record at the position of another one: only the chain detects it.
    @Test func aReplacedRecordIsDamage() throws {
        func write(_ texts: [String]) throws -> (starts: [LSN], bytes: [UInt8]) {
            var writer = try open()
            let starts = try texts.map { try commit($0, to: &writer) }
            writer.close()
            let path = directory.file(base: 0)
            defer { try? FileSystem.remove(path) }
            return (starts, try FileSystem.contents(path))
        }
        var (starts, bytes) = try write(["first", "second", "third"])
        let other = try write(["first", "SECOND", "third"])
        #expect(starts == other.starts)
        let range = Int(starts[1])..<Int(starts[2])
        bytes.replaceSubrange(range, with: other.bytes[range])
        try bytes.withUnsafeBytes { try FileSystem.publish(directory.file(base: 0), $0) }
        let found = try walk()
        #expect(found.texts == ["first", "third"])
        #expect(found.damaged == [starts[1]..<starts[2]])
    }

    @Test func bytesAfterTheEndAreIdentified() throws {
        var writer = try open()
        _ = try commit("kept", to: &writer)
        let torn = try commit("torn away", to: &writer)
        let end = writer.end
        writer.close()
        try overwrite(0, at: torn + 130, with: [0, 0, 0])
        let found = try walk()
        #expect(found == Found(texts: ["kept"], unfinished: Int(end - torn)))
        let recovery = try LogRecovery.run(directory, salt: Self.salt) { _ in }
        #expect(recovery.end == torn && recovery.tornBytes == Int(end - torn))
    }

    /// A file that is being read is recycled and filled with other bytes.
    @Test func filesTrimmedDuringAReadAreSkipped() throws {
        let large = String(repeating: "x", count: 3 << 19)
        var writer = try open()
        for number in 0..<4 { _ = try commit("old \(number)  " + large, to: &writer) }
        writer.close()
        var next = try open()
        let kept = try commit("kept", to: &next)
        let base = try #require(try directory.bases().last)
        let found = try walk {
            // Without a spare the trimmed file becomes the spare and is overwritten.
            try FileSystem.remove(directory.path + "/spare")
            try next.trim(below: next.end)
            next.finishOldFiles()
            let spare = try File(directory.path + "/spare", .readWrite)
            try [UInt8](repeating: 0, count: Int(base)).withUnsafeBytes {
                try spare.write($0, at: 0)
            }
        }
        #expect(found.texts == ["kept"] && found.damaged.isEmpty)
        #expect(found.trimmed.map(\.upperBound) == [base])
        #expect(base < kept)
        next.close()
    }
}
