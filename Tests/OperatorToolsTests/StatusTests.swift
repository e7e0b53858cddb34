import Foundation
import OperatorTools
import Testing
import TraceModel

struct StatusTests {
    private static let body = """
        {"ready":true,"router":{"pid":11,"lsn":5},"aggregator":{"pid":12},"workers":[
        {"name":"function.0","resource":"function","index":0,"pid":13,"up":true,"lag_bytes":1234567,
        "skew_ratio":1.256},
        {"name":"cpu.0","resource":"cpu","index":0,"pid":null,"up":false,"lag_bytes":0}],
        "received_events":10,"written_events":7,"deduplicated_events":1,"dead_lettered_events":1,
        "rejected_events":1,"of_a_later_version":[1]}
        """

    @Test func theObjectIsPassedOnWhole() throws {
        let answer = try StatusQuery.answer(Array(Self.body.utf8))
        #expect(answer.status.ready)
        #expect(answer.status.router.pid == 11)
        #expect(answer.status.workers.map(\.lagBytes) == [1_234_567, 0])
        #expect(answer.problem == nil)
        #expect(!answer.json.contains("\n"))
        #expect(answer.json.contains("\"of_a_later_version\":[1]"))
        #expect(answer.json.contains("\"lsn\":5"))
    }

    @Test(arguments: ["", "[]", "{}", "not json"]) func whatIsNoStatusIsAnError(body: String) {
        #expect(throws: TraceError.self) { try StatusQuery.answer(Array(body.utf8)) }
    }

    @Test func theTableShowsEveryWorker() throws {
        let status = try StatusQuery.answer(Array(Self.body.utf8)).status
        let lines = StatusTable(status, terminal: .output).text.split(separator: "\n")
        #expect(lines.contains { $0.contains("function.0") && $0.contains("1,234,567") })
        #expect(lines.contains { $0.contains("function.0") && $0.hasSuffix("   1.26") })
        #expect(lines.contains { $0.contains("cpu.0") && $0.contains("down") })
        #expect(lines.contains { $0.contains("Events written") && $0.hasSuffix(" 7") })
    }

    @Test func theTableSaysWhatIsBeingMerged() throws {
        func line(_ merging: String) throws -> String? {
            let body = Self.body.replacing("\"of_a_later_version\":[1]", with: merging)
            let status = try StatusQuery.answer(Array(body.utf8)).status
            return StatusTable(status, terminal: .output).text.split(separator: "\n").first {
                $0.hasPrefix("Merging")
            }
            .map(String.init)
        }
        let current =
            #""current":{"resource":"io","window":12,"merged_bytes":1000,"total_bytes":25000}"#
        #expect(
            try line(#""merging":{"waiting_windows":3,\#(current)}"#)
                == "Merging     io window 12, 1,000 of 25,000 bytes; 3 windows wait"
        )
        #expect(try line(#""merging":{"waiting_windows":1}"#) == "Merging     1 window waits")
        #expect(try line(#""merging":{"waiting_windows":0}"#) == "Merging     nothing waits")
        #expect(try line(#""older":1"#) == nil)
    }

    @Test func nobodyThereIsStillAnObject() throws {
        let answer = StatusQuery(dataDirectory: "/nonexistent", metrics: nil).run()
        let object = try JSONSerialization.jsonObject(with: Data(answer.json.utf8))
        let keys = try #require(object as? [String: Any])
        #expect(keys["ready"] as? Bool == false)
        #expect((keys["router"] as? [String: Any])?["pid"] is NSNull)
        #expect((keys["aggregator"] as? [String: Any])?["pid"] is NSNull)
        #expect(keys["known"] as? Bool == false)
        let counts = ["written", "deduplicated", "dead_lettered", "rejected"].map { "\($0)_events" }
        #expect(counts.map { keys[$0] as? Int } == [0, 0, 0, 0])
        // Who waits for received = written + the others must not take this for quiet.
        #expect(keys["received_events"] as? Int == -1)
        #expect((keys["workers"] as? [Any])?.isEmpty == true)
        #expect(answer.problem?.contains("--data") == true)
    }

    @Test func theTableSaysWhatIsNotKnownAndWhoIsLost() throws {
        let unknown = StatusTable(.unknown, terminal: .output).text.split(separator: "\n")
        #expect(unknown.first?.hasSuffix("not known") == true)
        #expect(unknown.filter { $0.hasPrefix("Events ") }.allSatisfy { $0.hasSuffix("not known") })
        let body = Self.body.replacing(
            #""up":false,"lag_bytes":0"#,
            with: #""up":false,"lag_bytes":0,"lost":"its checkpoint is damaged""#
        )
        let status = try StatusQuery.answer(Array(body.utf8)).status
        let lines = StatusTable(status, terminal: .output).text.split(separator: "\n")
        #expect(lines.contains { $0.hasPrefix("cpu.0") && $0.contains(" lost ") })
        #expect(lines.contains("cpu.0 is down for good: its checkpoint is damaged"))
    }

    @Test func theAggregatorIsFoundThroughItsFile() throws {
        let server = try CannedHTTPServer(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                + "\(Self.body.utf8.count)\r\n\r\n\(Self.body)"
        )
        defer { server.close() }
        let data = FileManager.default.temporaryDirectory.appendingPathComponent(
            "status-\(UUID().uuidString)"
        )
        defer { try? FileManager.default.removeItem(at: data) }
        let run = data.appendingPathComponent("run")
        try FileManager.default.createDirectory(at: run, withIntermediateDirectories: true)
        try Data("127.0.0.1:\(server.port)\n".utf8).write(
            to: run.appendingPathComponent("aggregator.addr")
        )
        let answer = StatusQuery(dataDirectory: data.path, metrics: nil).run()
        #expect(answer.problem == nil)
        #expect(answer.status.receivedEvents == 10)
        #expect(server.request().hasPrefix("GET /status HTTP/1.1\r\n"))
    }

    @Test(arguments: [
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "",
    ]) func otherAnswersAreProblems(response: String) throws {
        let server = try CannedHTTPServer(response)
        defer { server.close() }
        let metrics = try #require(HostPort("127.0.0.1:\(server.port)"))
        let answer = StatusQuery(dataDirectory: "", metrics: metrics).run()
        #expect(answer.problem != nil)
        #expect(answer.status == .unknown)
    }
}
