import Testing

@testable import TraceFiles

/// Names and open calls with more threads than are remembered.
struct PartThreadsTests {
    private func row<Result>(
        _ pid: Int,
        _ tid: Int?,
        _ phase: String = "i",
        _ body: (EventRow) throws -> Result
    ) throws -> Result {
        let thread = tid.map { "\"tid\":\($0)," } ?? ""
        let text = """
            {"ts":5,"pid":\(pid),\(thread)"ph":"\(phase)","cat":"function","name":"f",\
            "args":{"cookie":\(tid ?? 0)}}
            """
        return try Array(text.utf8).withUnsafeBytes { try body(try #require(EventRow($0))) }
    }

    @Test func idleThreadsAreForgottenAndOpenCallsKept() throws {
        // Room for four open calls.
        var threads = PartThreads(openBytesMax: 4 * 163)
        func take(_ row: EventRow) {
            let position = threads.position(of: row)
            threads.take(row, at: position)
        }
        for tid in [7, 8] {
            try row(1, tid, "B") { row in
                let position = threads.position(of: row)
                threads.setNamed(position, inPart: 1)
                threads.take(row, at: position)
            }
        }
        for tid in [3, nil] {
            try row(2, tid) { row in
                let position = threads.position(of: row)
                let again = threads.position(of: row)
                #expect(again == position)
                threads.setNamed(position, inPart: 1)
                #expect(threads.isNamed(position, inPart: 1))
                #expect(!threads.isNamed(position, inPart: 2))
            }
        }
        for tid in 100..<200 {
            let position = try row(3, tid) { threads.position(of: $0) }
            #expect(position < 10)
        }
        for tid in [3, nil] {
            try row(2, tid) { row in
                let position = threads.position(of: row)
                #expect(!threads.isNamed(position, inPart: 1), "forgotten")
            }
        }
        for tid in [7, 8] {
            try row(1, tid) { row in
                let position = threads.position(of: row)
                #expect(threads.isNamed(position, inPart: 1))
            }
        }
        #expect(threads.openCalls.map(\.tid) == [7, 8])
        try row(1, 7, "E", take)
        #expect(threads.openCalls.map(\.tid) == [8])
        // A forgotten thread may come back.
        for tid in 100..<200 {
            try row(3, tid, "B", take)
            try row(3, tid, "E", take)
        }
        #expect(threads.openCalls.map(\.tid) == [8])
    }
}
