import Compression
import Foundation
import Testing
import TraceModel

@testable import TraceFiles

/// Several traces of calls as one.
struct FinalFileMergeTests {
    private static let start = 1_760_000_000_000_000

    /// Traces as windows leave them, in a data directory.
    private final class Archive {
        let directory: TemporaryDirectory
        private let path: String

        init() throws {
            directory = try TemporaryDirectory()
            path = "\(directory.path)/output/json"
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true
            )
        }

        func add(
            _ window: Int,
            host: String = "a",
            _ events: [String],
            isCompressed: Bool = false
        ) throws {
            let head = """
                {"displayTimeUnit":"ms","metadata":{"resource":"function","host":"\(host)"},\
                "traceEvents":[
                """
            let name = #"{"ph":"M","pid":7,"name":"process_name","args":{"name":"\#(window)"}}"#
            let text = head + "\n" + (events + [name]).joined(separator: ",\n") + "\n]}\n"
            let file = "\(path)/function_trace_\(1_000 + window)_\(host).json"
            let data = Data(text.utf8)
            guard isCompressed else { return try data.write(to: URL(filePath: file)) }
            let packed = try data.withUnsafeBytes { try Gzip.compress($0) }
            try Data(packed).write(to: URL(filePath: file + ".gz"))
        }

        func remove(_ window: Int) throws {
            let file = "\(path)/function_trace_\(1_000 + window)_a.json"
            try FileManager.default.removeItem(atPath: file)
        }

        /// The events in their order, as `<phase><microseconds> <cookie>`; names as `M<window>`.
        func read(
            from: EpochNanoseconds? = nil,
            to: EpochNanoseconds? = nil,
            filesMax: Int = 8
        ) throws -> [String] {
            var data = Data()
            let reader = TraceFileReader(
                TraceSelection(resource: .function, from: from, to: to),
                root: directory.path,
                filesMax: filesMax
            ) { data.append(contentsOf: $0) }
            try reader.writeJSON()
            let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
            let events = try #require(object?["traceEvents"] as? [[String: Any]])
            return events.map { event in
                let phase = event["ph"] as? String ?? "?"
                let arguments = event["args"] as? [String: Any] ?? [:]
                if phase == "M" { return "M\(arguments["name"] ?? "")" }
                let time = (event["ts"] as? Int ?? 0) - start
                return "\(phase)\(time) \(arguments["cookie"] ?? "")"
            }
        }
    }

    private static func entry(_ time: Int, _ cookie: Int, name: String = "f") -> String {
        """
        {"ts":\(start + time),"pid":7,"tid":7,"ph":"B","cat":"function","name":"\(name)",\
        "readable_time":"00:00:00.000","args":{"cookie":\(cookie),"call_count":1}}
        """
    }

    private static func exit(_ time: Int, _ cookie: Int) -> String {
        """
        {"ts":\(start + time),"pid":7,"tid":7,"ph":"E","cat":"function","name":"f",\
        "readable_time":"00:00:00.000","args":{"cookie":\(cookie)}}
        """
    }

    private static func continued(_ time: Int, _ cookie: Int, name: String = "f") -> String {
        """
        {"ts":\(start + time),"pid":7,"tid":7,"ph":"B","cat":"continued","name":"\(name)",\
        "args":{"cookie":\(cookie)}}
        """
    }

    private static func at(_ time: Int) -> EpochNanoseconds {
        EpochNanoseconds(start + time) * 1_000
    }

    @Test func filesThatOverlapAreMerged() throws {
        let archive = try Archive()
        try archive.add(1, [Self.entry(10, 1), Self.exit(30, 1)])
        try archive.add(1, host: "b", [Self.entry(5, 2), Self.exit(20, 2)], isCompressed: true)
        try archive.add(2, [Self.entry(25, 3), Self.exit(40, 3)])
        let all = ["B5 2", "B10 1", "E20 2", "M1", "B25 3", "E30 1", "M1", "E40 3", "M2"]
        #expect(try archive.read() == all)
        #expect(try archive.read(filesMax: 2) == all)
        let error = #expect(throws: TraceError.self) { try archive.read(filesMax: 1) }
        #expect(error?.code == .exhausted)
        #expect(try archive.read(from: Self.at(31), filesMax: 1).contains("E40 3"))
        #expect(try archive.read(to: Self.at(5), filesMax: 1).contains("B5 2"))
    }

    @Test func aCallThatGoesOnIsOpenedOnce() throws {
        let archive = try Archive()
        let outer = "\\\"outer\\\" <1>"
        try archive.add(1, [Self.entry(10, 1, name: outer), Self.entry(11, 2), Self.entry(12, 3)])
        // Below the first event of its window, and behind it.
        let repeated = [Self.continued(10, 1, name: outer), Self.continued(11, 2)]
        try archive.add(2, repeated + [Self.exit(20, 2)])
        try archive.add(3, [Self.exit(9, 9), Self.continued(10, 1, name: outer), Self.exit(30, 1)])
        try archive.add(4, [Self.continued(12, 3), Self.exit(40, 3)])
        let calls = ["B10 1", "B11 2", "B12 3", "E20 2", "E30 1", "E40 3"]
        func events() throws -> [String] {
            try archive.read(filesMax: 2).filter { !$0.hasPrefix("M") && $0 != "E9 9" }
        }
        #expect(try events() == calls)
        // Where the first opening is gone, the next one stands for it.
        try archive.remove(1)
        #expect(try events() == calls)
        // Another host's call is another call.
        try archive.add(1, host: "b", [Self.entry(10, 1, name: outer), Self.exit(11, 1)])
        #expect(try events().filter { $0 == "B10 1" }.count == 2)
    }

    /// A call as old as the process makes no window overlap with the first one.
    @Test func manyWindowsOfOneLongCallFollowOneAnother() throws {
        let archive = try Archive()
        try archive.add(0, [Self.entry(0, 1), Self.exit(1, 5)])
        for window in 1...40 {
            try archive.add(window, [Self.continued(0, 1), Self.exit(window * 10, 5)])
        }
        let events = try archive.read(filesMax: 2).filter { !$0.hasPrefix("M") }
        #expect(events == ["B0 1", "E1 5"] + (1...40).map { "E\($0 * 10) 5" })
    }
}
