import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// Compares the names at the end of a trace with a dictionary.
struct NameTableTests {
    /// More names than the table keeps before it compacts itself, most of them replaced, also after a restart.
    @Test func theLastNameWins() throws {
        var random = SeededGenerator(seed: 8)
        var table = NameTable()
        var expected: [NameTable.Key: String] = [:]
        for number in 0..<30_000 {
            let pid = UInt32.random(in: 1...300, using: &random)
            let tid = UInt32.random(in: 1...4, using: &random)
            let name = "n\(number)"
            switch number % 3 {
            case 0: set(.process(pid), name, in: &table)
            case 1: set(.thread(pid, tid), name, in: &table)
            default: table.sort(pid, Int32(number))
            }
            switch number % 3 {
            case 0: expected[.process(pid)] = name
            case 1: expected[.thread(pid, tid)] = name
            default: expected[.sortIndex(pid)] = "\(number)"
            }
            if number % 10_007 == 0 { table = try restarted(table) }
        }
        let keys = expected.keys.sorted { $0.precedes($1) }
        let lines = keys.map { key in
            let name = expected[key] ?? ""
            let start = "{\"ph\":\"M\",\"pid\":\(key.pid),"
            return switch key.kind {
            case .process: start + "\"name\":\"process_name\",\"args\":{\"name\":\"\(name)\"}},\n"
            case .thread:
                start
                    + "\"tid\":\(key.tid),\"name\":\"thread_name\",\"args\":{\"name\":\"\(name)\"}},\n"
            case .sortIndex:
                start + "\"name\":\"process_sort_index\",\"args\":{\"sort_index\":\(name)}},\n"
            }
        }
        #expect(text(of: table) == lines.joined())
        #expect(text(of: try restarted(table)) == lines.joined())
        // 300 processes have at most 1,800 names; of 30,000 values the table keeps few.
        #expect(table.keptCount < 8_000)
    }

    @Test func anEmptyTableHasNoLines() throws {
        #expect(NameTable().isEmpty)
        #expect(text(of: try restarted(NameTable())).isEmpty)
    }

    private func set(_ key: NameTable.Key, _ name: String, in table: inout NameTable) {
        var name = name
        name.withUTF8 { table.set(key, ByteView(UnsafeRawBufferPointer($0))) }
    }

    private func restarted(_ table: NameTable) throws -> NameTable {
        var state = RawBuffer()
        table.encode(into: &state)
        var reader = StateReader(state.bytes)
        return try NameTable(decoding: &reader)
    }

    private func text(of table: NameTable) -> String {
        var lines = RawBuffer()
        table.appendLines(to: &lines)
        return String(decoding: lines.bytes, as: UTF8.self)
    }
}
