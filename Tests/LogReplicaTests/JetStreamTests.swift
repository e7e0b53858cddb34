import ConfigurationText
import Testing
import TraceModel

@testable import LogReplica

/// Tests addresses, conditions, and what answers mean. The messages themselves are tested against real servers
/// (`Tests/EndToEnd/test_log_replica.py`).
@Suite struct JetStreamTests {
    @Test func addressesAreSeparatedByCommas() throws {
        let servers = try #require(ReplicaAddresses("nats://a,b:4333,u:p@c:1?monitor=2"))
        #expect(
            servers.list.map(\.url) == ["nats://a:4222", "nats://b:4333", "nats://u:p@c:1"]
        )
        #expect(servers.list.map(\.monitor.description) == ["a:8222", "b:8222", "c:2"])
        let sixes = try #require(ReplicaAddresses("tls://[::1]:1,[::1]:2?monitor=3,[::1]:4"))
        #expect(sixes.list.map(\.url) == ["tls://[::1]:1", "tls://[::1]:2", "tls://[::1]:4"])
        #expect(sixes.list.map(\.monitor.description) == ["[::1]:8222", "[::1]:3", "[::1]:8222"])
    }

    @Test(arguments: [
        "", "a,b,c", "nats://a,b", "http://a,b,c", "nats://a,,b", "nats://a,b,c?monitor=x",
        "nats://a b,c,d",
    ])
    func whatIsNoAddressIsRefused(_ text: String) {
        #expect(ReplicaAddresses(text) == nil)
    }

    private func report(_ json: String) throws -> JetStreamServers.Report {
        JetStreamServers.Report(try ConfigurationParser.parse(Array(json.utf8), file: "varz"))
    }

    private func varz(_ version: String, _ always: String) -> String {
        """
        {"server_name": "n1", "version": "\(version)", "jetstream": {"config":
         {"max_memory": 1, "sync_interval": 120000000000\(always)}}}
        """
    }

    @Test func serversThatMayLoseMessagesAreRefused() throws {
        #expect(try report(varz("2.15.0", ", \"sync_always\": true")).objection == nil)
        #expect(try report(varz("3.0.1-beta", ", \"sync_always\": true")).objection == nil)
        for (version, always) in [
            ("2.15.0", ""), ("2.15.0", ", \"sync_always\": false"),
            ("2.14.9", ", \"sync_always\": true"), ("", ", \"sync_always\": true"),
        ] {
            guard case .unsuitable = try report(varz(version, always)).objection else {
                Issue.record("version \"\(version)\" with \"\(always)\" is taken")
                continue
            }
        }
    }

    @Test(arguments: [
        (0, "{\"stream\":\"S\",\"seq\":5}", AppendOutcome.stored(5)),
        (0, "{\"stream\":\"S\",\"seq\":5,\"duplicate\":true}", .stored(5)),
        (
            0, "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong\"},\"seq\":0}",
            .refused
        ),
        (0, "{\"error\":{\"code\":400,\"err_code\":10164,\"description\":\"wrong\"}}", .refused),
        (
            0, "{\"error\":{\"code\":409,\"err_code\":10158,\"description\":\"d\"}}",
            .unknown("d (10158)")
        ),
        (
            0, "{\"error\":{\"code\":503,\"description\":\"not leader\"}}",
            .unknown("not leader (0)")
        ),
        (0, "{\"stream\":\"S\",\"seq\":0}", .unknown("NATS names no position")),
        (503, "", .unknown("no NATS server leads the stream")),
    ])
    func onlyWhatIsSureCounts(_ status: Int, _ text: String, _ outcome: AppendOutcome) {
        #expect(JetStreamAnswer.outcome(status: status, Array(text.utf8)) == outcome)
    }

    @Test func anAnswerThatIsNoJSONIsUnknown() {
        guard case .unknown = JetStreamAnswer.outcome(status: 0, Array("+OK".utf8)) else {
            Issue.record("it counts")
            return
        }
    }
}
