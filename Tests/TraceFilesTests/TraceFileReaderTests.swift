import Compression
import Foundation
import Testing
import TraceModel

@testable import TraceFiles

/// Compares what is read from final files with the events that were written.
struct TraceFileReaderTests {
    /// Two windows of two workers, merged into final files.
    private struct Archive {
        let group: WorkerGroup
        let events: [SyntheticEvent]

        init() throws {
            events = SyntheticEvent.make(900, seed: 5, disorderNanoseconds: 20_000)
            group = try WorkerGroup(2)
            try finish(events[..<450], window: 7)
            try finish(events[450...], window: 8)
        }

        private func finish(_ events: ArraySlice<SyntheticEvent>, window: UInt64) throws {
            try group.apply(Array(events))
            let stem = "\(WorkerGroup.stem)_\(window)"
            let files = try group.managers.flatMap {
                try $0.closeWindow(stem: stem, nextWindow: window + 1)
            }
            _ = try group.merger.merge(resource: .gpu, window: window, stem: stem, files: files)
        }

        /// Replaces each final file by a compressed one.
        func compress() throws {
            for directory in ["json", "csv"] {
                for (name, data) in try group.directory.files(below: "output/\(directory)") {
                    let path = "\(group.directory.path)/output/\(directory)/\(name)"
                    try Data(data.withUnsafeBytes { try Gzip.compress($0) }).write(
                        to: URL(filePath: path + ".gz")
                    )
                    try FileManager.default.removeItem(atPath: path)
                }
            }
        }

        func document(
            _ selection: TraceSelection,
            _ read: (TraceFileReader) throws -> Void
        ) throws -> (data: Data, rows: UInt64) {
            var data = Data()
            let reader = TraceFileReader(selection, root: group.directory.path) {
                data.append(contentsOf: $0)
            }
            try read(reader)
            return (data, reader.rowCount)
        }

        func json(_ selection: TraceSelection) throws -> [[String: Any]] {
            let (data, rows) = try document(selection) { try $0.writeJSON() }
            let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
            let events = try #require(object?["traceEvents"] as? [[String: Any]])
            #expect(UInt64(events.filter { $0["ph"] as? String == "i" }.count) == rows)
            return events
        }

        /// The numbers of the events in the table, in order.
        func csv(_ selection: TraceSelection) throws -> [Int] {
            let (data, rows) = try document(selection) { try $0.writeCSV() }
            var lines = String(decoding: data, as: UTF8.self).components(separatedBy: "\"line ")
            #expect(lines.removeFirst().hasPrefix("Timestamp,PID,Text,host,Timestamp(ns)\r\n"))
            #expect(lines.count == Int(rows))
            return lines.compactMap { Int($0.prefix { $0.isNumber }) }
        }

        func expected(_ selection: TraceSelection) -> [Int] {
            events.filter { event in
                (selection.from.map { event.ts >= $0 } ?? true)
                    && (selection.to.map { event.ts <= $0 } ?? true)
                    && (selection.pid.map { event.pid == $0 } ?? true)
            }.map(\.number).sorted()
        }
    }

    private static func numbers(_ events: [[String: Any]]) -> [Int] {
        events.filter { $0["ph"] as? String == "i" }.compactMap {
            ($0["args"] as? [String: Any])?["n"] as? Int
        }
    }

    private static let middle = SyntheticEvent.baseTime + 337_500
    private static let selections = [
        TraceSelection(resource: .gpu), TraceSelection(resource: .gpu, pid: 3),
        TraceSelection(resource: .gpu, from: middle - 100_000, to: middle + 50_000),
        TraceSelection(resource: .gpu, from: middle, pid: 2),
        TraceSelection(resource: .gpu, to: middle, pid: 99),
        TraceSelection(
            resource: .gpu,
            from: SyntheticEvent.baseTime + 3_000,
            to: SyntheticEvent.baseTime + 3_000
        ),
    ]

    @Test(arguments: [false, true]) func selectedEventsAreReadBack(isCompressed: Bool) throws {
        let archive = try Archive()
        if isCompressed { try archive.compress() }
        for selection in Self.selections {
            let events = try archive.json(selection)
            #expect(Self.numbers(events).sorted() == archive.expected(selection))
            #expect(try archive.csv(selection).sorted() == archive.expected(selection))
            let names = events.filter { $0["ph"] as? String == "M" }
            #expect(
                names.allSatisfy {
                    selection.pid == nil || $0["pid"] as? Int == selection.pid.map(Int.init)
                }
            )
            #expect(names.isEmpty == (selection.pid == 99))
        }
        #expect(archive.expected(Self.selections[2]).count > 10)
    }

    /// Across windows and hosts.
    @Test func rowsAreSortedByTime() throws {
        let archive = try Archive()
        let selection = TraceSelection(resource: .gpu)
        let table = try archive.csv(selection).map { archive.events[$0].ts }
        #expect(table == table.sorted())
        let trace = Self.numbers(try archive.json(selection)).map { archive.events[$0].ts }
        #expect(trace == trace.sorted())
        // The windows overlap, so the order is the merge's work.
        let times = archive.events.map(\.ts)
        #expect(times[..<450].max() ?? 0 > times[450...].min() ?? 0)
    }

    @Test func noFilesMakeAnEmptyDocument() throws {
        let archive = try Archive()
        #expect(try archive.json(TraceSelection(resource: .cpu)).isEmpty)
        let (data, rows) = try archive.document(TraceSelection(resource: .cpu)) {
            try $0.writeCSV()
        }
        #expect(data.isEmpty && rows == 0)
    }

    @Test func damageIsReported() throws {
        let archive = try Archive()
        let selection = TraceSelection(resource: .gpu)
        let json = "\(archive.group.directory.path)/output/json"
        try Data("{\"displayTimeUnit\":[\n{\"ts\":x}\n]}\n".utf8).write(
            to: URL(filePath: json + "/gpu_trace_a.json")
        )
        #expect(throws: TraceError.self) { try archive.document(selection) { try $0.writeJSON() } }
        try archive.compress()
        let csv =
            "\(archive.group.directory.path)/output/csv/gpu_trace_\(WorkerGroup.stem)_7.csv.gz"
        let whole = try Data(contentsOf: URL(filePath: csv))
        try whole.dropLast(20).write(to: URL(filePath: csv))
        #expect(throws: TraceError.self) { try archive.document(selection) { try $0.writeCSV() } }
    }

    /// Rows larger than the buffer, including a CSV row whose quoted field spans the buffer's end.
    @Test func largeRowsAreReadBackCompletely() throws {
        let directory = try TemporaryDirectory()
        let field = String(repeating: "a\r\n,\"\"b", count: 150_000)
        let row = "1,3,\"\(field)\",beta,1000000"
        let table = "Timestamp,PID,Text,host,Timestamp(ns)\r\n\(row)\r\n2,4,b,beta,2000000\r\n"
        let path = "\(directory.path)/output/csv"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Data(table.utf8).write(to: URL(filePath: path + "/gpu_trace_1.csv"))
        for pid in [3, 4] as [UInt32] {
            var data = Data()
            let selection = TraceSelection(resource: .gpu, pid: pid)
            let reader = TraceFileReader(selection, root: directory.path) {
                data.append(contentsOf: $0)
            }
            try reader.writeCSV()
            let expected = pid == 3 ? row : "2,4,b,beta,2000000"
            let text = String(decoding: data, as: UTF8.self)
            #expect(
                text.utf8.elementsEqual(
                    ("Timestamp,PID,Text,host,Timestamp(ns)\r\n" + expected + "\r\n").utf8
                )
            )
        }
    }
}
