import Compression
import Foundation
import Testing
import TraceModel

@testable import TraceFiles

/// Merging several traces of calls into one.
struct FinalFileMergeTests {
    fileprivate static let start = 1_760_000_000_000_000

    private static func entry(
        _ time: Int,
        _ cookie: Int,
        name: String = "f",
        tid: Int = 7
    ) -> String {
        """
        {"ts":\(start + time),"pid":7,"tid":\(tid),"ph":"B","cat":"function","name":"\(name)",\
        "readable_time":"00:00:00.000","args":{"cookie":\(cookie),"call_count":1}}
        """
    }

    private static func exit(_ time: Int, _ cookie: Int, name: String = "f", tid: Int = 7) -> String
    {
        """
        {"ts":\(start + time),"pid":7,"tid":\(tid),"ph":"E","cat":"function","name":"\(name)",\
        "readable_time":"00:00:00.000","args":{"cookie":\(cookie)}}
        """
    }

    private static func continued(
        _ time: Int,
        _ cookie: Int,
        name: String = "f",
        tid: Int = 7
    ) -> String {
        """
        {"ts":\(start + time),"pid":7,"tid":\(tid),"ph":"B","cat":"continued","name":"\(name)",\
        "args":{"cookie":\(cookie)}}
        """
    }

    /// An exit in a file that does not repeat the begin of its call, which was at `began`.
    private static func exitAlone(
        _ time: Int,
        _ cookie: Int,
        name: String = "f",
        began: Int,
        tid: Int = 7
    ) -> String {
        """
        {"ts":\(start + time),"pid":7,"tid":\(tid),"ph":"i","cat":"function","name":"\(name)",\
        "readable_time":"00:00:00.000","args":{"duration":\(Double(time - began) / 1e3),\
        "cookie":\(cookie),"call_count":1,"avg_duration_us":0,"event_type":1,\
        "began":\(start + began)}}
        """
    }

    private static func at(_ time: Int) -> EpochNanoseconds {
        EpochNanoseconds(start + time) * 1_000
    }

    @Test func filesThatOverlapAreMerged() throws {
        let archive = try PublishedTraces()
        try archive.add(1, [Self.entry(10, 1), Self.exit(30, 1)])
        try archive.add(1, host: "b", [Self.entry(5, 2), Self.exit(20, 2)], isCompressed: true)
        try archive.add(2, host: "c", [Self.entry(25, 3), Self.exit(40, 3)])
        let all = ["B5 2", "B10 1", "E20 2", "M1", "B25 3", "E30 1", "M1", "E40 3", "M2"]
        #expect(try archive.read() == all)
        #expect(try archive.read(filesMax: 2) == all)
        let error = #expect(throws: TraceError.self) { try archive.read(filesMax: 1) }
        #expect(error?.code == .exhausted)
        #expect(try archive.read(from: Self.at(31), filesMax: 1).contains("E40 3"))
        #expect(try archive.read(to: Self.at(5), filesMax: 1).contains("B5 2"))
    }

    @Test func aContinuedCallBeginsOnce() throws {
        let archive = try PublishedTraces()
        let outer = "\\\"outer\\\" <1>"
        try archive.add(1, [Self.entry(10, 1, name: outer), Self.entry(11, 2), Self.entry(12, 3)])
        // Before the first event of its window, and after it.
        let repeated = [Self.continued(10, 1, name: outer), Self.continued(11, 2)]
        try archive.add(2, repeated + [Self.exit(20, 2)])
        try archive.add(3, [Self.exit(9, 9), Self.continued(10, 1, name: outer), Self.exit(30, 1)])
        try archive.add(4, [Self.continued(12, 3), Self.exit(40, 3)])
        let calls = ["B10 1", "B11 2", "B12 3", "E20 2", "E30 1", "E40 3"]
        func events() throws -> [String] {
            try archive.read(filesMax: 2).filter { !$0.hasPrefix("M") && $0 != "E9 9" }
        }
        #expect(try events() == calls)
        // If the first begin is gone, the next one replaces it.
        try archive.remove(.function, window: 1)
        #expect(try events() == calls)
        // A call of another host is a different call.
        try archive.add(1, host: "b", [Self.entry(10, 1, name: outer), Self.exit(11, 1)])
        #expect(try events().filter { $0 == "B10 1" }.count == 2)
    }

    /// A call as old as the process must not make all windows overlap.
    @Test func windowsOfOneLongCallDoNotOverlap() throws {
        let archive = try PublishedTraces()
        try archive.add(0, [Self.entry(0, 1), Self.exit(1, 5)])
        for window in 1...40 {
            try archive.add(window, [Self.continued(0, 1), Self.exit(window * 10, 5)])
        }
        let events = try archive.read(filesMax: 2).filter { !$0.hasPrefix("M") }
        #expect(events == ["B0 1", "E1 5"] + (1...40).map { "E\($0 * 10) 5" })
    }

    /// An exit is an instant in a window that does not repeat its call, and an end in the merged document.
    @Test func anExitWithoutRepeatedBeginEndsItsCall() throws {
        let archive = try PublishedTraces()
        // Call 9 is recursive: the inner call ends first.
        try archive.add(
            1,
            [Self.entry(10, 1), Self.entry(11, 9), Self.entry(12, 9), Self.entry(13, 2)]
        )
        try archive.add(2, [Self.continued(10, 1), Self.exitAlone(20, 2, began: 13)])
        try archive.add(
            3,
            [
                Self.exitAlone(30, 9, began: 12), Self.exitAlone(31, 9, began: 11),
                Self.exitAlone(32, 1, began: 10),
                Self.exitAlone(33, 5, began: 4),
            ]
        )
        func events(from: Int? = nil, to: Int? = nil) throws -> [String] {
            try archive.read(from: from.map(Self.at), to: to.map(Self.at)).filter {
                !$0.hasPrefix("M")
            }
        }
        let ends = ["E20 2", "E30 9", "E31 9", "E32 1"]
        // The exit of a call that began before the first file ends nothing.
        #expect(try events() == ["B10 1", "B11 9", "B12 9", "B13 2"] + ends + ["i33 5"])
        #expect(
            try events(from: 25) == ["B25 1", "B25 9", "B25 9", "E30 9", "E31 9", "E32 1", "i33 5"]
        )
        #expect(
            try events(from: 25, to: 30) == ["B25 1", "B25 9", "B25 9", "E30 9", "E30 ", "E30 "]
        )
        #expect(try events(from: 32, to: 33) == ["B32 1", "E32 1", "i33 5"])
        try archive.remove(.function, window: 1)
        #expect(
            try events() == ["B10 1", "i20 2", "i30 9", "i31 9", "E32 1", "i33 5"],
            "a window's repetition stands for the beginning that is gone"
        )
    }

    /// The begin of the call is in no file that is left.
    @Test func aRepeatedCallIsClippedWhereItsWindowBeginsLater() throws {
        let archive = try PublishedTraces()
        try archive.add(2, [Self.continued(10, 1), Self.entry(30, 2), Self.exit(40, 1)])
        try archive.add(3, [Self.continued(30, 2), Self.exit(50, 2)])
        let events = try archive.read(from: Self.at(20)).filter { !$0.hasPrefix("M") }
        #expect(events == ["B20 1", "B30 2", "E40 1", "E50 2"])
    }

    // MARK: Clipping

    private static let outer = "\\\"outer\\\" <1>"

    /// Two windows. Call 1 continues from the first into the second, call 3 never ends, call 6 belongs to another
    /// thread, call 7 to another host.
    private func clippable() throws -> PublishedTraces {
        let archive = try PublishedTraces()
        try archive.add(
            1,
            [
                Self.entry(10, 1, name: Self.outer), Self.entry(11, 2), Self.exit(14, 2),
                Self.entry(15, 3),
                Self.entry(16, 6, tid: 8), Self.exit(18, 6, tid: 8),
            ]
        )
        try archive.add(
            2,
            [
                Self.continued(10, 1, name: Self.outer), Self.continued(15, 3), Self.entry(30, 4),
                Self.exit(32, 4),
                Self.exit(40, 1, name: Self.outer),
            ]
        )
        try archive.add(2, host: "b", [Self.entry(12, 7), Self.exit(35, 7)])
        return archive
    }

    private func clipped(
        _ archive: PublishedTraces,
        from: Int?,
        to: Int?,
        filesMax: Int = 8
    ) throws -> [String] {
        try archive.read(from: from.map(Self.at), to: to.map(Self.at), filesMax: filesMax).filter {
            !$0.hasPrefix("M")
        }
    }

    @Test func callsOpenAtTheStartBeginThere() throws {
        let archive = try clippable()
        let rest = ["B30 4", "E32 4", "E35 7", "E40 1"]
        #expect(try clipped(archive, from: 20, to: nil) == ["B20 1", "B20 7", "B20 3"] + rest)
        // One file per host is open at a time.
        #expect(
            try clipped(archive, from: 20, to: nil, filesMax: 2) == ["B20 1", "B20 7", "B20 3"]
                + rest
        )
        // A span in a window that contains only continued calls.
        #expect(try clipped(archive, from: 19, to: 19).prefix(3) == ["B19 1", "B19 7", "B19 3"])
        // An event exactly at the start belongs to the span.
        #expect(
            try clipped(archive, from: 14, to: nil).prefix(4) == [
                "B14 1", "B14 2", "B14 7", "E14 2",
            ]
        )
        #expect(try clipped(archive, from: 10, to: nil).prefix(2) == ["B10 1", "B11 2"])
        // After the end of every other call.
        #expect(try clipped(archive, from: 41, to: nil) == ["B41 3"])
    }

    @Test func callsOpenAtTheEndEndThere() throws {
        let archive = try clippable()
        #expect(
            try clipped(archive, from: nil, to: 15) == [
                "B10 1", "B11 2", "B12 7", "E14 2", "B15 3", "E15 ", "E15 ", "E15 ",
            ]
        )
        #expect(
            try clipped(archive, from: 20, to: 31) == [
                "B20 1", "B20 7", "B20 3", "B30 4", "E31 ", "E31 ", "E31 ", "E31 ",
            ]
        )
        // A call that ends at the end of the span has an end event of its own.
        #expect(
            try clipped(archive, from: 31, to: 40) == [
                "B31 1", "B31 7", "B31 3", "B31 4", "E32 4", "E35 7", "E40 1", "E40 ",
            ]
        )
        #expect(try clipped(archive, from: nil, to: 9).isEmpty)
    }

    @Test func clippedEventsHaveTheFormOfRepeatedOnesAndAreMarked() throws {
        let archive = try clippable()
        let events = try archive.events(
            TraceSelection(resource: .function, from: Self.at(20), to: Self.at(21), host: "a")
        ).filter { $0["ph"] as? String != "M" }
        let name = "\"outer\" <1>"
        #expect(events.map { $0["name"] as? String } == [name, "f", "f", name])
        #expect(events.map { $0["ph"] as? String } == ["B", "B", "E", "E"])
        #expect(events.map { $0["cat"] as? String } == ["continued", "continued", nil, nil])
        #expect(
            events.prefix(2).map { ($0["args"] as? [String: Int]) } == [
                ["cookie": 1, "began": Self.start + 10], ["cookie": 3, "began": Self.start + 15],
            ]
        )
        #expect(events.suffix(2).allSatisfy { $0["args"] as? [String: Bool] == ["clipped": true] })
        #expect(events.allSatisfy { $0["pid"] as? Int == 7 && $0["tid"] as? Int == 7 })
    }

    @Test func selectionAppliesToClippedCalls() throws {
        let archive = try clippable()
        func cookies(_ pid: UInt32?, _ host: String?) throws -> [Int] {
            try archive.events(
                TraceSelection(
                    resource: .function,
                    from: Self.at(20),
                    to: Self.at(20),
                    pid: pid,
                    host: host
                )
            ).compactMap { ($0["args"] as? [String: Any])?["cookie"] as? Int }
        }
        #expect(try cookies(nil, nil) == [1, 7, 3])
        #expect(try cookies(7, "b") == [7])
        #expect(try cookies(nil, "a") == [1, 3])
        #expect(try cookies(8, nil).isEmpty)
        #expect(try cookies(nil, "c").isEmpty)
    }

    /// A late row makes a later window begin before an earlier one.
    @Test func overlappingWindowsAreClippedTogether() throws {
        let archive = try PublishedTraces()
        try archive.add(1, [Self.entry(10, 1), Self.exit(50, 9)])
        try archive.add(2, [Self.continued(10, 1), Self.exit(60, 9)])
        try archive.add(
            3,
            [Self.entry(8, 5), Self.exit(9, 5), Self.continued(10, 1), Self.exit(55, 1)]
        )
        #expect(try clipped(archive, from: 54, to: 54) == ["B54 1", "E54 "])
        #expect(try clipped(archive, from: 9, to: 9) == ["B9 5", "E9 5"])
        #expect(try clipped(archive, from: 57, to: 60) == ["E60 9"])
        // The window in which the call began is gone.
        try archive.remove(.function, window: 1)
        #expect(try clipped(archive, from: 54, to: 54) == ["B54 1", "E54 "])
        #expect(try clipped(archive, from: 57, to: 60) == ["E60 9"])
    }

    /// For any span, the document equals the part of the whole document in that span.
    @Test func anySpanEqualsThatPartOfTheWhole() throws {
        var random = SeededGenerator(seed: 11)
        let archive = try PublishedTraces()
        var open: [(began: Int, cookie: Int, tid: Int)] = []
        var next = 0
        for window in 0..<6 {
            var rows = open.map { Self.continued($0.began, $0.cookie, tid: $0.tid) }
            for time in stride(from: window * 50, to: window * 50 + 50, by: 2) {
                let tid = Int.random(in: 7...9, using: &random)
                let last = open.lastIndex { $0.tid == tid }
                if let last, Bool.random(using: &random) {
                    rows.append(Self.exit(time, open.remove(at: last).cookie, tid: tid))
                } else {
                    next += 1
                    open.append((time, next, tid))
                    rows.append(Self.entry(time, next, tid: tid))
                }
            }
            try archive.add(window, rows, isCompressed: window == 3)
        }
        let whole = try clipped(archive, from: nil, to: nil)
        #expect(whole.count == 150)
        for from in stride(from: -1, to: 300, by: 7) {
            for to in [from, from + 1, from + 30, 400] {
                let parts = try clipped(archive, from: from, to: to)
                #expect(parts == Self.clip(whole, from: from, to: to), "\(from) to \(to)")
            }
        }
    }

    private static func clip(_ rows: [String], from: Int, to: Int) -> [String] {
        var open: [String] = []
        var before: [String] = []
        var inside: [String] = []
        for row in rows {
            let parts = row.dropFirst().split(separator: " ").map { Int($0) ?? 0 }
            guard parts[0] <= to else { break }
            if row.hasPrefix("B") {
                open.append("\(parts[1])")
            } else {
                open.removeAll { $0 == "\(parts[1])" }
            }
            if parts[0] < from { before = open } else { inside.append(row) }
        }
        return before.map { "B\(from) \($0)" } + inside + open.map { _ in "E\(to) " }
    }
}

extension PublishedTraces {
    /// Adds a trace of calls that ends with its process's name.
    fileprivate func add(
        _ window: Int,
        host: String = "a",
        _ events: [String],
        isCompressed: Bool = false
    ) throws {
        let name = #"{"ph":"M","pid":7,"name":"process_name","args":{"name":"\#(window)"}}"#
        try add(
            .function,
            window: window,
            host: host,
            events,
            names: [name],
            isCompressed: isCompressed
        )
    }

    /// Returns the events in order as `<phase><microseconds> <cookie>`, and names as `M<window>`.
    fileprivate func read(
        from: EpochNanoseconds? = nil,
        to: EpochNanoseconds? = nil,
        filesMax: Int = 8
    ) throws -> [String] {
        try events(TraceSelection(resource: .function, from: from, to: to), filesMax: filesMax)
            .map { event in
                let phase = event["ph"] as? String ?? "?"
                let arguments = event["args"] as? [String: Any] ?? [:]
                if phase == "M" { return "M\(arguments["name"] ?? "")" }
                let time = (event["ts"] as? Int ?? 0) - FinalFileMergeTests.start
                return "\(phase)\(time) \(arguments["cookie"] ?? "")"
            }
    }

    fileprivate func events(
        _ selection: TraceSelection,
        filesMax: Int = 8
    ) throws -> [[String: Any]] {
        var data = Data()
        let reader = TraceFileReader(selection, root: directory.path, filesMax: filesMax) {
            data.append(contentsOf: $0)
        }
        try reader.writeJSON()
        let object = try JSONSerialization.jsonObject(with: data) as? [String: Any]
        return try #require(object?["traceEvents"] as? [[String: Any]])
    }
}
