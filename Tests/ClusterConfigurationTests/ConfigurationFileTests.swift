import Testing
import TraceModel

@testable import ClusterConfiguration

struct ConfigurationFileTests {
    private func problems(_ text: String) -> [String] {
        ConfigurationFile(Array(text.utf8), file: "c.json").problems.map(\.description)
    }

    @Test func everySettingCanStandInAFile() {
        let text = """
            {
              "grpc": "[::1]:6000", "metrics": "localhost:6001", "workers": { "function": 4, "gpu": 1 },
              "inactivity_timeout": 60, "log_budget": 268435456, "time_zone": "UTC", "state_limit": "1G",
              "series_limit": 500,
              "default_semantics": "cumulative", "csv_columns": "original",
              "csv_formula_guard": true, "compress": "gzip", "retain_age": "7d", "retain_bytes": "off",
              "object_store": "s3://traces/production", "cell": "east",
              "log_replica": "nats://a,b:4333,c?monitor=1",
              "console": "off", "perfetto_ui": "http://localhost:10000/",
              "edge": "auto", "tls_cert": "off", "tls_key": "off", "tls_client_ca": "off",
              "token_file": "off", "plain": "off", "trusted_proxy": "10.0.0.0/8",
              "require_host_identity": true
            }
            """
        let file = ConfigurationFile(Array(text.utf8), file: "c.json")
        #expect(file.problems.isEmpty)
        let keys = Setting.all.filter(\.isInFile).map(\.name).filter { $0 != "workers" }
        for key in keys { #expect(file.layer[key] != nil, "\(key)") }
        #expect(file.layer["workers.function"]?.value == .number(4))
        #expect(file.layer["workers.cpu"] == nil)
        #expect(file.layer["csv_formula_guard"]?.value == .isOn(true))
        #expect(file.layer["time_zone"]?.source == .file(line: 3))
    }

    @Test func bytesThatAreNoTextAreReportedWithTheirLine() {
        let bytes = Array("{\n  \"time_zone\": \"U".utf8) + [0xFF] + Array("C\"\n}\n".utf8)
        let problems = ConfigurationFile(bytes, file: "c.json").problems.map(\.description)
        #expect(problems == ["c.json:2: it is no valid UTF-8"])
    }

    @Test func allThatIsWrongIsSaidWithLineAndField() {
        let text = """
            {
              "grpc": "nowhere",
              "workers": {
                "function": 0,
                "disk": 1
              },
              "retain_age": 7,
              "colour": "red",
              "csv_formula_guard": "on"
            }
            """
        let said = problems(text)
        #expect(said.count == 6)
        let expected = [
            "c.json:2: grpc ", "c.json:4: workers.function ", "c.json:5: workers.disk ",
            "c.json:7: retain_age ",
            "c.json:8: colour is not known", "c.json:9: csv_formula_guard ",
        ]
        for (line, begin) in zip(said, expected) { #expect(line.hasPrefix(begin), "\(line)") }
    }

    @Test(arguments: [
        #""grpc": 50051"#, #""grpc": "127.0.0.1:0""#, #""inactivity_timeout": "60""#,
        #""inactivity_timeout": -1"#,
        #""inactivity_timeout": 1.5"#, #""log_budget": 1024"#, #""time_zone": "Mars/Olympus""#,
        #""time_zone": "..""#,
        #""compress": "rar""#, #""compress": null"#, #""retain_age": "0d""#, #""retain_age": "7w""#,
        #""retain_bytes": "1.5G""#, #""workers": "function=2""#, #""workers": {"function": 65}"#,
        #""workers": {"function": 1.5}"#, #""config": "other.json""#,
        #""object_store": "traces""#, #""object_store": "s3://t/p""#, #""cell": "all""#,
        #""cell": "a/b""#, #""log_replica": "nats://a,b""#, #""log_replica": "a,b,c""#,
    ]) func noValue(member: String) {
        #expect(problems("{\n\(member)\n}").count == 1)
        #expect(problems("{\n\(member)\n}").first?.hasPrefix("c.json:2: ") == true)
    }

    @Test func aMisspelledKeyIsRecognised() {
        let said = problems("{\n\"retain_agee\": \"7d\",\n\"workers\": { \"memroy\": 2 }\n}")
        #expect(
            said == [
                "c.json:2: retain_agee is not known; did you mean retain_age?",
                "c.json:3: workers.memroy is no resource; did you mean memory?",
            ]
        )
    }

    @Test func whatIsNoJSONIsSaidWithItsLine() {
        #expect(problems("{\n\"grpc\": \"a:1\",\n}") == ["c.json:3: a key in quotes is expected"])
        #expect(problems("[]").first?.hasPrefix("c.json:1: the file must be an object") == true)
        #expect(problems("{\"grpc\": \"a:1\", \"grpc\": \"a:2\"}").count == 1)
    }

    @Test func bothAddressesAreNotTheSame() {
        #expect(
            problems("{\n\"grpc\": \"a:1\",\n\"metrics\": \"a:1\"}").first?.contains(":3: metrics")
                == true
        )
        #expect(problems("{\n\"grpc\": \"127.0.0.1:9091\"}").first?.contains(":2: grpc") == true)
        #expect(problems("{\"grpc\": \"a:1\", \"metrics\": \"a:2\"}").isEmpty)
    }
}
