import OperatorTools
import Testing
import TraceModel

struct ChromeTraceReaderTests {
    private func read(_ json: String, piece: Int = 7) throws -> Recording {
        var reader = ChromeTraceReader(BytesInPieces(json, piece: piece))
        return try reader.read()
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
            #expect(recording.threads == [RecordedThread(pid: 9, tid: 1)])
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
        #expect(try read(json).unmatchedEnds == 1)
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
            {"ph":"C","ts":2,"pid":9},7,{"name":"no phase"},{"ph":"X","name":"n","ts":"x","pid":1},
            {"ph":"X","name":"n","ts":1,"pid":"main"},{"ph":"X","name":"n","ts":1,"dur":-1,"pid":1}]
            """
        let recording = try read(json)
        #expect(recording.skippedByPhase == ["M": 1, "C": 2])
        #expect(recording.malformed == 5)
        #expect(recording.calls.isEmpty)
        #expect(recording.span == nil)
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
            {"ph":"X","name":"f","ts":1,"dur":1,"pid":8,"args":{"name":"not p","sort_index":1}}]
            """
        let recording = try read(json)
        #expect(recording.processNames == [701: "/device:µ"])
        #expect(recording.threadNames == [RecordedThread(pid: 701, tid: 12): "XLA Ops"])
        #expect(recording.processSortIndexes == [701: Int32.max, 9: -3])
        #expect(recording.skippedByPhase == ["M": 3])
        #expect(recording.names == ["f"])
        let long = String(repeating: "n", count: Limits.nameBytesMax + 1)
        let cut = try read(
            #"[{"ph":"M","name":"process_name","pid":1,"args":{"name":"\#(long)"}}]"#
        )
        #expect(cut.processNames[1]?.utf8.count == Limits.nameBytesMax)
    }

    @Test(arguments: ["", "  ", "17", "{\"a\":1}", "\"text\""])
    func notATrace(json: String) {
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
        #expect(RecordingPlacement.choose(for: base, start: nil, modified: 5) == .base(77))
        #expect(RecordingPlacement.choose(for: base, start: 3, modified: 5) == .start(3))
        let plain = try read("[\(x("f", "10", "2")),\(x("g", "11", "5"))]")
        let span = try #require(plain.span)
        #expect(RecordingPlacement.choose(for: plain, start: nil, modified: 99) == .end(99))
        #expect(RecordingPlacement.end(1_000_000).shift(span: span) == 1_000_000 - 16_000)
        #expect(RecordingPlacement.start(1_000_000).shift(span: span) == 1_000_000 - 10_000)
    }
}
