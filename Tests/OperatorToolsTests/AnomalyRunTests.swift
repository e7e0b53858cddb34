import Compression
import Foundation
import TestSupport
import Testing
import TraceFiles
import TraceModel
import TraceTime

@testable import OperatorTools

/// What `tracectl anomalies` shows of the anomalies files of a data directory.
struct AnomalyRunTests {
    private static let start = 1_760_000_000_000_000

    private static func line(
        _ time: Int,
        _ rule: String,
        _ resource: Resource,
        host: String = "web-1",
        pid: Int = 7,
        message: String = "slow"
    ) -> String {
        """
        {"rule":"\(rule)","resource":"\(resource.name)","host":"\(host)","pid":\(pid),"process":"a\\"b",\
        "ts":\(start + time),"value":12.5,"baseline":null,"score":1.25,"severity":0.625,\
        "message":"\(message)"}
        """
    }

    /// Two windows of functions that overlap in time, one of them compressed, and one of I/O.
    private func archive() throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/output/anomalies"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        func write(_ name: String, _ lines: [String], isCompressed: Bool = false) throws {
            let data = Data((lines.joined(separator: "\n") + "\n").utf8)
            let packed =
                isCompressed ? Data(try data.withUnsafeBytes { try Gzip.compress($0) }) : data
            try packed.write(to: URL(filePath: "\(path)/\(name)"))
        }
        try write(
            "anomalies_20251009_105320_function.jsonl",
            [Self.line(10, "slow_call", .function), Self.line(30, "stuck_call", .function)]
        )
        try write(
            "anomalies_20251009_105321_function.jsonl.gz",
            [
                Self.line(20, "slow_call", .function, host: "web-2"),
                Self.line(40, "slow_call", .function, pid: 8),
            ],
            isCompressed: true
        )
        try write("anomalies_20251009_105320_io.jsonl", [Self.line(25, "agent", .io)])
        // Beside each there is a table.
        try write("anomalies_20251009_105320_io.csv", ["rule,resource,host"])
        return directory
    }

    private func text(
        _ directory: TemporaryDirectory,
        _ selection: AnomalySelection,
        _ format: AnomalyRun.Format = .json
    ) throws -> (text: String, count: Int) {
        var data = Data()
        var count = 0
        try AnomalyRun(dataDirectory: directory.path, selection: selection, format: format).write(
            counting: &count
        ) {
            data.append(contentsOf: $0)
        }
        return (String(decoding: data, as: UTF8.self), count)
    }

    /// The times of the findings in their order.
    private func times(_ change: (inout AnomalySelection) -> Void) throws -> [Int] {
        var selection = AnomalySelection()
        change(&selection)
        let (text, count) = try text(try archive(), selection)
        let times = try text.split(separator: "\n").map { line in
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return (object?["ts"] as? Int ?? 0) - Self.start
        }
        #expect(times.count == count)
        return times
    }

    @Test func allFilesAreOneStreamInOrderOfTime() throws {
        #expect(try times { _ in } == [10, 20, 25, 30, 40])
    }

    @Test func selectionsHold() throws {
        func at(_ time: Int) -> EpochNanoseconds { EpochNanoseconds(Self.start + time) * 1_000 }
        #expect(try times { $0.from = at(20) } == [20, 25, 30, 40])
        #expect(try times { $0.to = at(25) } == [10, 20, 25])
        #expect(try times { $0.rule = "slow_call" } == [10, 20, 40])
        #expect(try times { $0.resource = .io } == [25])
        #expect(try times { $0.host = "web-2" } == [20])
        #expect(try times { $0.pid = 8 } == [40])
        #expect(try times { $0.resource = .gpu }.isEmpty)
        let both = try times {
            $0.rule = "slow_call"
            $0.from = at(11)
            $0.pid = 7
        }
        #expect(both == [20])
    }

    @Test func linesAreAsTheyStandInTheFiles() throws {
        var selection = AnomalySelection()
        selection.resource = .io
        #expect(try text(try archive(), selection).text == Self.line(25, "agent", .io) + "\n")
    }

    @Test func theTableIsForPeople() throws {
        let zone = try TimeZoneRules.configure("UTC")
        var selection = AnomalySelection()
        selection.rule = "stuck_call"
        let (table, count) = try text(try archive(), selection, .table(zone))
        let lines = table.split(separator: "\n")
        try #require(count == 1 && lines.count == 2)
        #expect(
            lines[0].split(separator: " ") == [
                "TIME", "RESOURCE", "RULE", "HOST", "PROCESS", "PID", "SEVERITY", "MESSAGE",
            ]
        )
        #expect(
            lines[1].split(separator: " ") == [
                "2025-10-09", "08:53:20.000", "function", "stuck_call", "web-1", "a\"b", "7",
                "0.62", "slow",
            ]
        )
        // Columns stand below one another.
        for (title, value) in [("RULE", "stuck_call"), ("MESSAGE", "slow")] {
            let head = try #require(lines[0].range(of: title)?.lowerBound)
            let cell = try #require(lines[1].range(of: value)?.lowerBound)
            #expect(
                lines[0].distance(from: lines[0].startIndex, to: head)
                    == lines[1].distance(from: lines[1].startIndex, to: cell)
            )
        }
        selection.pid = 99
        #expect(try text(try archive(), selection, .table(zone)) == ("", 0))
    }

    /// A message with an escape sequence, as an agent may send.
    @Test func nothingInTheTableMovesTheCursor() throws {
        let zone = try TimeZoneRules.configure("UTC")
        let directory = try archive()
        let line = Self.line(5, "agent", .cpu, message: #"\u001b[2J\r\nfine"#)
        try Data((line + "\n").utf8).write(
            to: URL(filePath: "\(directory.path)/output/anomalies/anomalies_1_cpu.jsonl")
        )
        var selection = AnomalySelection()
        selection.resource = .cpu
        let (table, _) = try text(directory, selection, .table(zone))
        #expect(table.hasSuffix("\u{FFFD}[2J\u{FFFD}\u{FFFD}fine\n"))
    }

    @Test func damageIsReported() throws {
        let directory = try archive()
        try Data("{\"rule\":\"slow_call\"\n".utf8).write(
            to: URL(filePath: "\(directory.path)/output/anomalies/anomalies_1_cpu.jsonl")
        )
        #expect(throws: TraceError.self) { try text(directory, AnomalySelection()) }
        let empty = try TemporaryDirectory()
        let run = AnomalyRun(
            dataDirectory: empty.path,
            selection: AnomalySelection(),
            format: .json
        )
        #expect(throws: TraceError.self) { try run.run() }
    }

    @Test func allRulesHaveNames() {
        #expect(AnomalyRun.ruleNames.contains("slow_call"))
        #expect(Set(AnomalyRun.ruleNames).count == AnomalyRun.ruleNames.count)
    }
}
