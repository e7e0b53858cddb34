import OperatorTools
import Testing
import TraceModel

struct ChromeTraceReaderTests {
    private func read(_ json: String, piece: Int = 7) throws -> Recording {
        var reader = ChromeTraceReader(BytesInPieces(json, piece: piece))
        return try reader.read()
    }

    /// The threads with calls, by their ids on the wire.
    private func ids(_ recording: Recording) -> [String] {
        recording.calls.map {
            let thread = recording.threads[Int($0.thread)]
            return "\(recording.processes[Int(thread.process)].pid)/\(thread.tid)"
        }
    }

    /// Each event that was read is imported or skipped for a reason.
    private func expectAccount(_ recording: Recording, read: Int, imported: Int) {
        #expect(recording.eventsRead == read)
        #expect(recording.eventsImported == imported)
        #expect(recording.eventsSkipped == read - imported)
    }

    /// The edges as `>name@ns` and `<name@ns`, in order.
    private func edges(_ json: String) throws -> [String] {
        var recording = try read(json)
        var timeline = CallTimeline(&recording)
        var found: [String] = []
        while let edge = timeline.next() {
            let name = recording.names[Int(edge.name)]
            found.append("\(edge.isEntry ? ">" : "<")\(name)@\(edge.time)")
        }
        return found
    }

    private func x(_ name: String, _ ts: String, _ dur: String, tid: Int = 1) -> String {
        #"{"ph":"X","name":"\#(name)","ts":\#(ts),"dur":\#(dur),"pid":9,"tid":\#(tid)}"#
    }

    @Test func objectAndArrayReadAlike() throws {
        let event = x("f", "1.5", "2")
        for json in [
            "[\(event)]", "{\"traceEvents\":[\(event)]}",
            "{\"displayTimeUnit\":\"ms\",\"other\":{\"a\":[1]},\"traceEvents\": [ \(event) ] , \"z\":1}",
        ] {
            let recording = try read(json)
            #expect(recording.calls.map(\.start) == [1500])
            #expect(recording.calls.map(\.end) == [3500])
            #expect(recording.names == ["f"])
            #expect(ids(recording) == ["9/1"])
            #expect(!recording.isUnterminated)
        }
    }

    /// Whatever byte it is cut behind, what was whole before stays.
    @Test func cutOffAnywhere() throws {
        let first = "[" + x("f", "1", "2")
        let json = first + ",\n" + x("g", "3", "4")
        for length in first.count...json.count {
            let recording = try read(String(json.prefix(length)))
            #expect(recording.isUnterminated)
            #expect(recording.names.first == "f")
            #expect(recording.calls.count == (length == json.count ? 2 : 1))
        }
        #expect(try !read(first + ",]").isUnterminated)
    }

    @Test func calleesComeBeforeTheirCallers() throws {
        // viztracer writes a call when it returns, so inner calls stand first.
        let json = "[\(x("inner", "2", "3")),\(x("outer", "1", "9")),\(x("late", "10", "1"))]"
        #expect(
            try edges(json) == [
                ">outer@1000", ">inner@2000", "<inner@5000", "<outer@10000", ">late@10000",
                "<late@11000",
            ]
        )
    }

    @Test func theSameStartNestsTheLongerOutside() throws {
        let json = "[\(x("short", "1", "1")),\(x("long", "1", "5")),\(x("none", "1", "0"))]"
        #expect(
            try edges(json) == [
                ">long@1000", ">short@1000", ">none@1000", "<none@1000", "<short@2000",
                "<long@6000",
            ]
        )
    }

    @Test func beginsAndEndsPairByThread() throws {
        let json = """
            [{"ph":"B","name":"a","ts":1,"pid":9,"tid":1},{"ph":"B","name":"b","ts":2,"pid":9,"tid":2},
            {"ph":"B","name":"c","ts":3,"pid":9,"tid":1},\(x("x", "3.5", "0.25")),
            {"ph":"E","ts":4,"pid":9,"tid":1},{"ph":"E","ts":5,"pid":9,"tid":1},
            {"ph":"E","ts":6,"pid":9,"tid":1}]
            """
        #expect(
            try edges(json) == [
                ">a@1000", ">b@2000", ">c@3000", ">x@3500", "<x@3750", "<c@4000", "<a@5000",
            ]
        )
        #expect(try read(json).skipped == [.endWithoutBegin: 1])
    }

    @Test func aCallThatOutlastsItsCallerIsCut() throws {
        var recording = try read("[\(x("a", "0", "10")),\(x("b", "5", "10"))]")
        var timeline = CallTimeline(&recording)
        var last: CallEdge?
        while let edge = timeline.next() { last = edge }
        #expect(last?.time == 10_000)
        #expect(timeline.truncatedCalls == 1)
        // Rounding is no overlap worth a word.
        var rounded = try read("[\(x("a", "0", "10")),\(x("b", "5", "5.001"))]")
        var quiet = CallTimeline(&rounded)
        while quiet.next() != nil {}
        #expect(quiet.truncatedCalls == 0)
    }

    @Test func cookiesPairAndDiffer() throws {
        var recording = try read(
            "[\(x("f", "1", "9")),\(x("f", "2", "2")),\(x("f", "1", "9", tid: 2))]"
        )
        var timeline = CallTimeline(&recording)
        var open: Set<Int64> = []
        var all: Set<Int64> = []
        var lastTime = Int64.min
        while let edge = timeline.next() {
            #expect(edge.time >= lastTime)
            lastTime = edge.time
            if edge.isEntry {
                #expect(all.insert(edge.cookie).inserted)
                open.insert(edge.cookie)
            } else {
                #expect(open.remove(edge.cookie) != nil)
            }
        }
        #expect(all == [1, 2, 3])
        #expect(open.isEmpty)
    }

    @Test func otherPhasesAndUselessEventsAreCounted() throws {
        let json = """
            [{"ph":"M","name":"process_labels","pid":9,"args":{"labels":"p"}},{"ph":"C","ts":1,"pid":9},
            {"ph":"C","ts":2,"pid":9},7,{"name":"no phase"},{},{"ph":"X","name":"n","ts":"x","pid":1},
            {"ph":"X","name":"n","pid":1},{"ph":"X","name":"n","ts":null,"pid":1},{"ph":"X","name":"n","ts":NaN,"pid":1},
            {"ph":"X","name":"n","ts":1},{"ph":"X","name":"n","ts":1,"pid":[1]},{"ph":"X","name":"n","ts":1,"pid":true},
            {"ph":"X","name":"n","ts":1,"dur":-1,"pid":1},{"ph":"B","ts":1,"pid":1},{"ph":"E","ts":1,"pid":1},
            {"ph":"X","name":"n","ts":1,"pid":1}]
            """
        let recording = try read(json)
        #expect(recording.skippedByPhase == ["M": 1, "C": 2])
        #expect(
            recording.skipped == [
                .notAnObject: 1, .noPhase: 2, .noTime: 4, .noID: 3, .badDuration: 1, .noName: 1,
                .endWithoutBegin: 1,
            ]
        )
        expectAccount(recording, read: 17, imported: 1)
        #expect(recording.calls.map(\.end) == [1_000])
    }

    /// Nothing but a missing one is a duration of 0.
    @Test(arguments: [
        "18446744073709551.615", "9223372036854775.807", #""N/A""#, "null", "true", "{}", "NaN",
        "-inf", "1.#INF",
        "1e400",
    ]) func anUnreadableDurationIsNoCall(duration: String) throws {
        let recording = try read("[\(x("f", "1", duration)),\(x("f", "2", "1.5"))]")
        #expect(recording.skipped == [.badDuration: 1])
        #expect(recording.calls.map(\.end) == [3_500])
        expectAccount(recording, read: 2, imported: 1)
    }

    @Test func namesOfProcessesAndThreadsAreRead() throws {
        let json = """
            [{"args":{"x":[{"name":"no"}],"name":"first"},"ph":"M","name":"process_name","pid":701},
            {"ph":"M","name":"process_name","pid":701,"tid":0,"args":{"name":"/device:\\u00b5"}},
            {"ph":"M","name":"process_sort_index","pid":701,"args":{"sort_index":5000000000}},
            {"ph":"M","name":"process_sort_index","pid":9,"args":{"sort_index":-3}},
            {"ph":"M","name":"thread_name","pid":701,"tid":12,"args":{"name":"XLA Ops"}},
            {"ph":"M","name":"thread_sort_index","pid":701,"tid":12,"args":{"sort_index":1}},
            {"ph":"M","name":"process_name","pid":"Spans","args":{"name":"n"}},
            {"ph":"M","name":"process_name","pid":8,"args":{}},
            {"ph":"X","name":"f","ts":1,"dur":1,"pid":8,"args":{"name":"not p","sort_index":1}},
            {"ph":"X","name":"f","ts":1,"dur":1,"pid":701,"tid":12},{"ph":"X","name":"f","ts":1,"dur":1,"pid":9}]
            """
        let recording = try read(json)
        #expect(
            recording.processes.filter { $0.pid != 0 }.map {
                "\($0.pid) \($0.name ?? "-") \($0.sortIndex)"
            } == [
                "701 /device:µ \(Int32.max)", "9 - -3", "8 - 0",
            ]
        )
        #expect(recording.threads.map { $0.name ?? "-" } == ["XLA Ops", "-", "-"])
        #expect(recording.skippedByPhase == ["M": 2])
        #expect(recording.skipped == [.unusedName: 1])
        expectAccount(recording, read: 11, imported: 8)
        #expect(recording.names == ["f"])
        let long = String(repeating: "n", count: Limits.nameBytesMax + 1)
        let cut = try read(
            #"[{"ph":"M","name":"process_name","pid":1,"args":{"name":"\#(long)"}}]"#
        )
        #expect(cut.processes[0].name?.utf8.count == Limits.nameBytesMax)
    }

    // MARK: Ids

    private func call(pid: String, tid: String) -> String {
        #"{"ph":"X","name":"f","ts":1,"dur":1,"pid":\#(pid),"tid":\#(tid)}"#
    }

    @Test func idsThatFitAreKeptAndOthersGetFreeOnes() throws {
        let events = [
            ("4100", "140212345678592"), ("4100", "140212337285888"), ("7168000000", "3"),
            ("7168000001", "3"),
            (#""CPU functions""#, "1"), ("2", #""stream 7""#), ("2", #""stream 20""#), ("2", "2"),
            ("12.0", "3.0"),
            ("12", "3"), (#""12""#, #""3""#), ("12", "-1"), ("12", #""0x7f01""#),
            ("12", #""0X7F01""#), ("12", "32513"),
            ("0", "5"), ("5", "5"), ("12", "1.5"), ("12", "-1.0"), ("12", "0"),
        ].map { call(pid: $0.0, tid: $0.1) }
        let recording = try read("[\(events.joined(separator: ","))]")
        #expect(
            ids(recording) == [
                "4100/1", "4100/2", "1/3", "3/3", "4/1", "2/1", "2/3", "2/2", "12/3", "12/3",
                "12/3", "12/1", "12/2",
                "12/4", "12/32513", "6/5", "5/5", "12/5", "12/1", "12/0",
            ]
        )
        #expect(
            recording.processes.filter(\.isRenumbered).map(\.id.shown) == [
                "7168000000", "7168000001", "CPU functions", "0",
            ]
        )
        #expect(recording.threads.count { $0.isRenumbered } == 8)
    }

    /// A hexadecimal text is its number where nothing else is.
    @Test func hexadecimalIdsAreTheirNumbers() throws {
        let recording = try read(
            "[\(call(pid: "1", tid: #""0x7f01""#)),\(call(pid: #""0xff""#, tid: "1"))]"
        )
        #expect(ids(recording) == ["1/32513", "255/1"])
    }

    // MARK: Ends

    @Test func anEndWithANameEndsTheCallOfThatName() throws {
        func edge(_ phase: String, _ name: String?, _ ts: Int) -> String {
            #"{"ph":"\#(phase)",\#(name.map { "\"name\":\"\($0)\"," } ?? "")"ts":\#(ts),"pid":9}"#
        }
        let json = [
            edge("B", "outer", 0), edge("B", "middle", 1), edge("B", "lost", 2),
            edge("E", "other", 3),
            edge("E", "middle", 4), edge("B", "outer", 5), edge("E", "", 6), edge("E", "outer", 7),
            edge("E", nil, 8),
            edge("B", "open", 9),
        ].joined(separator: ",")
        #expect(
            try edges("[\(json)]") == [
                ">outer@0", ">middle@1000", ">lost@2000", "<lost@4000", "<middle@4000",
                ">outer@5000", "<outer@6000",
                "<outer@7000", ">open@9000",
            ]
        )
        let recording = try read("[\(json)]")
        #expect(recording.skipped == [.endWithoutBegin: 2])
        #expect(recording.unfinishedCalls == 2)
        expectAccount(recording, read: 10, imported: 8)
    }

    /// No search through all open calls for each end: this takes well under a second.
    @Test func deepRecursionStaysPaired() throws {
        let depth = 20_000
        var json = "["
        for index in 0..<depth { json += #"{"ph":"B","name":"f","ts":\#(index),"pid":9},"# }
        for index in 0..<depth { json += #"{"ph":"E","name":"g","ts":\#(depth + index),"pid":9},"# }
        for index in 0..<depth {
            json += #"{"ph":"E","name":"f","ts":\#(2 * depth + index),"pid":9},"#
        }
        let recording = try read(json + "]", piece: 1 << 16)
        #expect(recording.calls.count == depth && recording.unfinishedCalls == 0)
        #expect(
            recording.calls.allSatisfy {
                $0.end - $0.start == Int64(3 * depth - 1) * 1_000 - 2 * $0.start
            }
        )
        #expect(recording.skipped == [.endWithoutBegin: depth])
    }

    // MARK: Times far away

    @Test func aTimeFarFromAllOthersMovesNothing() throws {
        let epoch = 1_700_000_000_000_000
        let json = [
            x("a", "\(epoch).5", "1000"), x("b", "\(epoch + 2_000)", "1000"),
            x("bad", "0.0", "0.0"),
        ]
        let recording = try read("[\(json.joined(separator: ","))]")
        #expect(RecordingPlacement.choose(for: recording, start: nil, modified: 5) == .epoch)
        #expect(
            recording.calls.map(\.start)
                == [epoch * 1_000 + 500, (epoch + 2_000) * 1_000].map(Int64.init)
        )
        #expect(recording.skipped == [.farAway: 1])
        expectAccount(recording, read: 3, imported: 2)
        // A pair counts as its two events.
        let pair = #"{"ph":"B","name":"f","ts":1,"pid":9},{"ph":"E","ts":2,"pid":9}"#
        let more = try read("[\(pair),\((json[..<2]).joined(separator: ","))]")
        #expect(more.skipped == [.farAway: 2])
        expectAccount(more, read: 4, imported: 2)
    }

    /// Many that are apart are a recording with a pause, whose larger part places it.
    @Test func aPauseOfDaysIsKept() throws {
        let day = 86_400_000_000
        let early = (0..<20).map { x("early", "\($0)", "1") }
        let late = (0..<30).map { x("late", "\(3 * day + $0)", "1") }
        let recording = try read("[\((early + late).joined(separator: ","))]")
        #expect(recording.calls.count == 50 && recording.skipped.isEmpty)
        let span = try #require(recording.span)
        #expect(span.first == Int64(3 * day) * 1_000 && span.last == Int64(3 * day + 30) * 1_000)
    }

    /// Recorders write the largest number for calls that were open at their end.
    @Test func anEndInAnotherCenturyIsNone() throws {
        let json =
            "[\(x("a", "1000", "1000")),\(x("open", "0", "9000000000000000")),\(x("b", "3000", "1000"))]"
        let recording = try read(json)
        #expect(recording.span?.last == 4_000_000)
        #expect(recording.farEnds == 1 && recording.unfinishedCalls == 1)
        #expect(try edges(json).last == "<b@4000000")
        expectAccount(recording, read: 3, imported: 3)
    }

    @Test func whatCannotStandAtItsTimeIsLeftOut() throws {
        var recording = try read("[\((0..<9).map { x("f", "\($0)", "1") }.joined(separator: ","))]")
        recording.leaveOutCallsThatCannotStand(shiftedBy: -5_000)
        #expect(recording.calls.count == 4)
        expectAccount(recording, read: 9, imported: 4)
        recording.leaveOutCallsThatCannotStand(shiftedBy: .max - 8_500)
        #expect(recording.calls.count == 3)
    }

    // MARK: Leniency

    @Test(arguments: [
        "[,EVENT]", "[EVENT,,EVENT2]", "[ , , EVENT , , ]",
        "{,\"traceEvents\":[\n,EVENT\n,EVENT2\n],,}",
        "\u{FEFF}[EVENT]", "\u{FEFF} {\"traceEvents\"\u{FEFF}:[\u{FEFF}EVENT]}",
    ]) func commasAndMarksTooManyPass(json: String) throws {
        for piece in [1, 2, 5, 1 << 16] {
            let text = json.replacing("EVENT2", with: x("g", "3", "1")).replacing(
                "EVENT",
                with: x("f", "1", "2")
            )
            let recording = try read(text, piece: piece)
            #expect(recording.calls.first?.end == 3_000)
            #expect(recording.calls.count == (json.contains("EVENT2") ? 2 : 1))
            #expect(!recording.isUnterminated && recording.strayBytes == 0)
        }
    }

    @Test(arguments: [
        "NaN", "nan", "-NaN", "+nan", "nan(ind)", "-nan(0x8)", "Infinity", "-Infinity", "inf",
        "-inf", "+Inf", "INF",
        "1.#INF", "-1.#IND", "1.#QNAN",
    ]) func numbersThatAreNotFinitePassInEveryPlace(word: String) throws {
        let json = """
            {"other":\(word),"traceEvents":[\(word),{"ph":"X","name":"f","ts":1,"dur":1,"pid":1,"args":{"a":\(word),"b":[\(word)]}},
            {"ph":"X","name":"f","ts":\(word),"pid":1},{"ph":"X","name":"f","ts":1,"pid":1,"dur":\(word)},
            {"ph":"X","name":"f","ts":1,"pid":\(word)},{"ph":"X","name":\(word),"ts":1,"pid":1}]}
            """
        for piece in [1, 3, 1 << 16] {
            let recording = try read(json, piece: piece)
            let isNumber = word.first == "1"
            #expect(recording.skipped[.notAnObject] == 1 && recording.skipped[.noTime] == 1)
            #expect(recording.skipped[.badDuration] == 1)
            #expect(recording.eventsRead == 6 && isNumber || recording.eventsImported == 1)
        }
    }

    @Test func nestingHasNoLimit() throws {
        let deep = String(repeating: "[", count: 5_000) + String(repeating: "]", count: 5_000)
        let json = #"[{"ph":"X","name":"f","ts":1,"dur":1,"pid":1,"args":{"a":\#(deep)}}]"#
        #expect(try read(json, piece: 100).calls.count == 1)
    }

    @Test func whatFollowsTheDocumentIsReadOrCounted() throws {
        let (f, g) = (x("f", "1", "2"), x("g", "3", "4"))
        for (json, calls, stray) in [
            ("[\(f)]\n[\(g)]", 2, 0),
            ("{\"traceEvents\":[\(f)]}{\"traceEvents\":[\(g)],\"a\":1}\n", 2, 0),
            ("[\(f)],\n[\(g)]", 2, 0), ("[\(f)] x", 1, 1), ("[\(f)]\0\0\0\0", 1, 4),
            ("[\(f)]]", 1, 1),
            ("[\(f)] {\"a\": 1} [\(g)]", 2, 8), ("[\(f)] true [\(g)]", 1, 5 + 2 + g.utf8.count),
            ("[\(f)][\(g) oops]   ", 2, 1 + g.utf8.count + 6 + 3),
        ] {
            for piece in [1, 4, 1 << 16] {
                let recording = try read(json, piece: piece)
                #expect(recording.calls.count == calls && recording.strayBytes == stray, "\(json)")
                #expect(!recording.isUnterminated)
            }
        }
        let cut = try read("[\(f)][\(g)")
        #expect(cut.calls.count == 2 && cut.isUnterminated)
    }

    @Test(
        arguments: [
            ([0xFF, 0xFE, 0x5B, 0], "UTF-16LE"), ([0xFE, 0xFF, 0, 0x5B], "UTF-16BE"),
            ([0x5B, 0, 0x7B, 0], "UTF-16LE"),
            ([0, 0x5B, 0, 0x7B], "UTF-16BE"), ([0xFF, 0xFE, 0, 0], "UTF-32LE"),
            ([0, 0, 0xFE, 0xFF], "UTF-32BE"),
            ([0x5B, 0, 0, 0], "UTF-32LE"), ([0, 0, 0, 0x5B], "UTF-32BE"),
        ] as [([UInt8], String)]
    ) func anotherEncodingIsNamed(bytes: [UInt8], name: String) throws {
        var reader = ChromeTraceReader(BytesInPieces(bytes, piece: 1))
        let error = #expect(throws: TraceError.self) { try reader.read() }
        #expect(error?.message == "is \(name), where only UTF-8 is read")
        #expect(error?.remedy?.contains("iconv -f \(name) ") == true)
    }

    @Test(arguments: ["", "  ", "17", "{\"a\":1}", "\"text\""]) func notATrace(json: String) {
        #expect(throws: TraceError.self) { try read(json) }
    }

    @Test func damageInTheMiddleIsAnError() {
        #expect(throws: JSONReadFailure.self) { try read("[\(x("f", "1", "2")) oops]") }
    }

    @Test func placement() throws {
        let epoch = try read("[\(x("f", "1700000000000000.5", "1"))]")
        #expect(RecordingPlacement.choose(for: epoch, start: nil, modified: 5) == .epoch)
        let base = try read(
            "{\"traceEvents\":[\(x("f", "1", "2"))],\"viztracer_metadata\":{\"v\":[1],\"baseTimeNanoseconds\":77}}"
        )
        #expect(
            RecordingPlacement.choose(for: base, start: nil, modified: 5)
                == .base(77, field: "baseTimeNanoseconds")
        )
        #expect(RecordingPlacement.choose(for: base, start: 3, modified: 5) == .start(3))
        let plain = try read("[\(x("f", "10", "2")),\(x("g", "11", "5"))]")
        let span = try #require(plain.span)
        #expect(RecordingPlacement.choose(for: plain, start: nil, modified: 99) == .end(99))
        #expect(RecordingPlacement.end(1_000_000).shift(span: span) == 1_000_000 - 16_000)
        #expect(RecordingPlacement.start(1_000_000).shift(span: span) == 1_000_000 - 10_000)
    }

    @Test func zerosOfOtherRecordersAreRead() throws {
        for (member, time) in [
            (#""beginningOfTime":1795985860227144"#, 1_795_985_860_227_144_000),
            (
                #""otherData":{"bazel_version":"7","profile_start_ts":1795985860227}"#,
                1_795_985_860_227_000_000
            ),
            (#""baseTimeNanoseconds":1795985860227144001"#, 1_795_985_860_227_144_001),
            (#""beginningOfTime":5,"baseTimeNanoseconds":77,"profile_start_ts":1"#, 77),
            (#""beginningOfTime":"1795985860227144.0""#, 1_795_985_860_227_144_000),
            (
                #""otherData":{"bazel_version":"release 7.1.2","profile_finish_ts":1716404412000}"#,
                1_716_404_412_000_000_000
            ),
            (#""profile_start_ts":1716404412208,"profile_finish_ts":5"#, 1_716_404_412_208_000_000),
        ] {
            let recording = try read("{\"traceEvents\":[\(x("f", "1", "2"))],\(member)}")
            let placement = RecordingPlacement.choose(for: recording, start: nil, modified: 5)
            #expect(recording.span.map(placement.shift) == Int64(time))
        }
        for member in [
            #""beginningOfTime":"soon""#, #""beginningOfTime":9223372036854775807"#,
            #""profile_start_ts":-1"#,
        ] {
            let recording = try read("{\"traceEvents\":[\(x("f", "1", "2"))],\(member)}")
            #expect(RecordingPlacement.choose(for: recording, start: nil, modified: 5) == .end(5))
        }
    }
}
