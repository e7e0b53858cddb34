import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// A `RowWriter` writes the same text as the functions of `RawBuffer`.
struct RowWriterTests {
    private static let names = [
        "", "f", "seven77", "eight888", "fifteen 15 1515", "sixteen 16 16161", "=1+1",
        "a,b\r\n\"c\"", "tab\tand \u{1}",
        "Grüße, 世界", String(repeating: "n", count: 32), String(repeating: "n", count: 33),
        String(repeating: "n", count: 64), String(repeating: "n", count: 65),
        String(repeating: "long ", count: 5_000),
    ]

    private func bytes(_ text: borrowing RawBuffer) -> [UInt8] { Array(text.bytes) }

    private func view(_ text: String, _ body: (ByteView) -> Void) {
        var text = text
        text.withUTF8 { body(ByteView(UnsafeRawBufferPointer($0))) }
    }

    @Test func numbersAndNamesMatchRawBuffer() throws {
        let group = try WorkerGroup(1, budget: FileBudget())
        let rows = group.managers[0].json(try group.managers[0].host("a"))
        var random = SeededGenerator(seed: 3)
        var numbers: [UInt64] = [0, 9, 10, 99, 100, 999, 1_000, 9_999, 10_000, .max]
        for bits in 1..<64 { numbers.append(random.next() >> UInt64(bits)) }
        var expected = RawBuffer()
        var row = rows.target.beginRow()
        for number in numbers {
            let signed = Int64(truncatingIfNeeded: number)
            let double = Double(signed) / 1e3
            row.appendDecimal(number)
            row.appendDecimal(signed)
            row.appendMicroseconds(ns: signed)
            row.appendHex(number)
            row.appendJSONDouble(double)
            row.appendCSVDouble(1 / double)
            row.append(NumberText(number))
            row.append(NumberText(signed))
            row.append(NumberText(-(signed >> 1)))
            row.appendJSONDouble(DoubleText(double))
            row.appendCSVDouble(DoubleText(1 / double))
            row.appendCSVDouble(DoubleText(Double(signed)))
            expected.appendDecimal(number)
            expected.appendDecimal(signed)
            expected.appendMicroseconds(ns: signed)
            expected.appendHex(number)
            expected.appendJSONDouble(double)
            expected.appendCSVDouble(1 / double)
            expected.appendDecimal(number)
            expected.appendDecimal(signed)
            expected.appendDecimal(-(signed >> 1))
            expected.appendJSONDouble(double)
            expected.appendCSVDouble(1 / double)
            expected.appendCSVDouble(Double(signed))
            // A name also reserves room for the numbers after it.
            for name in Self.names {
                view(name) {
                    let replaced = row.appendJSONString($0)
                    #expect(replaced == expected.appendJSONString($0))
                    row.appendCSVField($0, guardsFormulas: true)
                    expected.appendCSVField($0, guardsFormulas: true)
                    row.append($0)
                    expected.append($0.buffer)
                }
            }
            row.append("},")
            row.dropComma()
            expected.append("}")
        }
        rows.target.endRow(row, ts: 1, pid: 1)
        expected.append(",\n")
        #expect(bytes(rows.text) == bytes(expected))
        rows.target.endRow(rows.target.beginRow(), ts: 2, pid: 1)
        #expect(rows.text.count == expected.count + 2)
    }

    @Test func invalidTextIsRepairedAndCounted() throws {
        let group = try WorkerGroup(1, budget: FileBudget())
        let rows = group.managers[0].json(try group.managers[0].host("a"))
        var row = rows.target.beginRow()
        let replaced = [UInt8]([0x61, 0xFF, 0x62, 0xC0]).withUnsafeBytes {
            row.appendJSONString(ByteView($0))
        }
        rows.target.endRow(row, ts: 1, pid: 1)
        #expect(replaced == 2)
        #expect(bytes(rows.text) == Array("\"a\u{FFFD}b\u{FFFD}\",\n".utf8))
    }
}
