import Foundation
import SystemIO
import Testing
import TraceModel

@testable import TraceFiles

/// Rows reduced to the original server's columns, and tables of such rows read back.
struct OriginalColumnsTests {
    private static func reduced(_ row: String, of resource: Resource) throws -> String? {
        let columns = try #require(OriginalColumns(of: resource))
        var text = RawBuffer()
        let isRow = Array(row.utf8).withUnsafeBytes { columns.append($0, to: &text) }
        #expect(isRow || text.count == 0)
        return isRow ? String(decoding: text.bytes, as: UTF8.self) : nil
    }

    @Test(arguments: [
        ("1,2,3,4,5,\"a,\r\nb\",host,9\r\n", "1,2,3,4,5\r\n"), ("1,2,3,4,5\r\n", "1,2,3,4,5\r\n"),
        ("1,2,3,4,5\r", "1,2,3,4,5\r\n"), ("1,2,3,4,5", "1,2,3,4,5\r\n"),
        ("1,2,-3,,0.5,,,\r\n", "1,2,-3,0.0,0.5\r\n"),
        ("1,2,3,4,\r\n", "1,2,3,4,0.0\r\n"), (",,,,,6\r\n", "0.0,0.0,0.0,0.0,0.0\r\n"),
    ]) func rowsAreReduced(_ row: String, _ expected: String) throws {
        #expect(try Self.reduced(row, of: .memory)?.utf8.elementsEqual(expected.utf8) == true)
    }

    @Test(arguments: ["", "1,2,3,4", "1,2,3,4\r\n", "1,2,3,4\r\n5"])
    func rowsWithTooFewColumnsAreRejected(
        _ row: String
    ) throws { #expect(try Self.reduced(row, of: .memory) == nil) }

    @Test func gpuHasNoTable() { #expect(OriginalColumns(of: .gpu) == nil) }

    // MARK: Read back

    private static let original = "Timestamp,PID,Alloc_size,Free_Size,Current Usage\r\n"
    private static let all = original.dropLast() + ",TID,Process,host,Timestamp(ns)\r\n"

    private func table(
        of files: [String],
        _ selection: TraceSelection = TraceSelection(resource: .memory),
        columns: CSVColumns = .all
    ) throws -> [String] {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/output/csv"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        for (number, file) in files.enumerated() {
            let name = "\(selection.resource.name)_trace_\(number).csv"
            try Data(file.utf8).write(to: URL(filePath: "\(path)/\(name)"))
        }
        var data = Data()
        let reader = TraceFileReader(selection, root: directory.path) {
            data.append(contentsOf: $0)
        }
        try reader.writeCSV(columns)
        let lines = String(decoding: data, as: UTF8.self).components(separatedBy: "\r\n")
        #expect(lines.isEmpty || lines.last == "")
        #expect(Int(reader.rowCount) == max(0, lines.count - 2))
        return Array(lines.dropLast())
    }

    /// Without the time in nanoseconds, the reader uses the time in milliseconds.
    @Test func filesWithOriginalColumnsAreRead() throws {
        let files = [
            Self.original + "1000,7,1,2,3\r\n3000,7,4,5,6\r\n4000,8,0,0,0\r\n",
            Self.original + "2000,7,9,9,9\r\n3000,6,8,8,8\r\n",
        ]
        let header = String(Self.original.dropLast())
        #expect(
            try table(of: files) == [
                header, "1000,7,1,2,3", "2000,7,9,9,9", "3000,6,8,8,8", "3000,7,4,5,6",
                "4000,8,0,0,0",
            ]
        )
        let selection = TraceSelection(
            resource: .memory,
            from: 2_000_000_000,
            to: 3_999_999_999,
            pid: 7
        )
        #expect(try table(of: files, selection) == [header, "2000,7,9,9,9", "3000,7,4,5,6"])
        #expect(throws: TraceError.self) { try table(of: [Self.original + "x,7,1,2,3\r\n"]) }
        let ofHost = TraceSelection(resource: .memory, host: "web")
        let error = #expect(throws: TraceError.self) { try table(of: files, ofHost) }
        #expect(error?.remedy?.contains("--host") == true)
        #expect(try table(of: [String(Self.all)], ofHost).count == 1)
    }

    @Test func filesOfBothKindsAreReducedToOriginalColumns() throws {
        let files = [
            Self.original + "1000,7,1,2,3\r\n",
            Self.all
                + "500,7,4,,6,1,\"a,b\r\nc\",web,500000001\r\n2000,7,5,5,5,1,,web,2000000000\r\n",
        ]
        let error = #expect(throws: TraceError.self) { try table(of: files) }
        #expect(error?.remedy?.contains("--columns original") == true)
        #expect(
            try table(of: files, columns: .original) == [
                String(Self.original.dropLast()), "500,7,4,0.0,6", "1000,7,1,2,3", "2000,7,5,5,5",
            ]
        )
        #expect(throws: TraceError.self) {
            try table(of: [], TraceSelection(resource: .gpu), columns: .original)
        }
        #expect(try table(of: [], columns: .original).isEmpty)
    }
}
