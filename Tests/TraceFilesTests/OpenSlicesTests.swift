import Testing

@testable import TraceFiles

/// Pairs of begins and ends, and the names of open calls.
struct OpenSlicesTests {
    private func with<Result>(
        _ name: String,
        _ cookie: Int64,
        _ phase: EventRow.Call.Phase,
        _ body: (EventRow.Call) -> Result
    ) -> Result {
        Array(name.utf8).withUnsafeBytes {
            body(EventRow.Call(phase: phase, cookie: cookie, name: $0, isContinued: false))
        }
    }

    private func open(_ slices: OpenSlices) -> [String] {
        slices.slices.map { "\(String(decoding: slices.name(of: $0), as: UTF8.self)) \($0.order)" }
    }

    @Test func anEndClosesTheInnermostOfItsCookieAndName() {
        var slices = OpenSlices()
        let begun: [(String, Int64)] = [
            ("\"outer\"", 1), ("\"a\"", 2), ("\"middle\"", 3), ("\"a\"", 2), ("\"b\"", 2),
            ("\"\"", 4),
        ]
        for (order, (name, cookie)) in begun.enumerated() {
            with(name, cookie, .begin) { slices.begin($0, ts: 0, order: UInt64(order)) }
        }
        func end(_ name: String, _ cookie: Int64) -> Bool {
            with(name, cookie, .end) { slices.end($0) }
        }
        #expect(!end("\"a\"", 1))
        #expect(!end("\"c\"", 2))
        #expect(!end("\"middle", 3))
        #expect(open(slices).count == 6)
        #expect(end("\"a\"", 2))
        #expect(open(slices) == ["\"outer\" 0", "\"a\" 1", "\"middle\" 2", "\"b\" 4", "\"\" 5"])
        #expect(end("\"\"", 4))
        #expect(end("\"outer\"", 1))
        #expect(open(slices) == ["\"a\" 1", "\"middle\" 2", "\"b\" 4"])
        with("\"last\"", 5, .begin) { slices.begin($0, ts: 0, order: 6) }
        #expect(end("\"a\"", 2))
        #expect(!end("\"a\"", 2))
        #expect(open(slices) == ["\"middle\" 2", "\"b\" 4", "\"last\" 6"])
        for (name, cookie) in [("\"last\"", 5), ("\"middle\"", 3), ("\"b\"", 2)] {
            #expect(end(name, Int64(cookie)))
        }
        #expect(open(slices).isEmpty)
    }

    /// The end that closes a call without an exit has no category. Readers must accept it as an end.
    @Test func anEndWithoutCategoryEndsTheCall() throws {
        let row = #"{"ts":1,"pid":1,"tid":2,"ph":"E","name":"lost","args":{"cookie":3}}"#
        try Array(row.utf8).withUnsafeBytes { row in
            let event = try #require(EventRow(row))
            let call = try #require(event.call)
            #expect(call.phase == .end && call.cookie == 3 && !call.isContinued && event.tid == 2)
            #expect(String(decoding: call.name, as: UTF8.self) == "\"lost\"")
        }
        let begin = #"{"ts":1,"pid":1,"tid":2,"ph":"B","name":"lost","args":{"cookie":3}}"#
        Array(begin.utf8).withUnsafeBytes { #expect(EventRow($0)?.call == nil) }
    }
}
