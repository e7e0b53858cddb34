import OperatorTools
import Testing
import TraceModel
import TraceTime

struct ArgumentTextTests {
    @Test func addresses() {
        #expect(HostPort("127.0.0.1:9091")?.description == "127.0.0.1:9091")
        #expect(HostPort("[::1]:80")?.host == "::1")
        #expect(HostPort("[::1]:80")?.description == "[::1]:80")
        #expect(HostPort("collector:50051")?.port == 50051)
    }

    @Test(arguments: ["", "host", ":1", "host:", "host:0", "host:65536", "::1:80", "a b:1", "[]:1"])
    func noAddress(
        text: String
    ) { #expect(HostPort(text) == nil) }

    @Test(arguments: [("10", 10), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120), ("1h", 3600)])
    func spans(
        text: String,
        seconds: Double
    ) { #expect(TimeSpan(text)?.seconds == seconds) }

    @Test(arguments: ["", "s", "0", "-1s", "1d", "nan", "inf"]) func noSpan(text: String) {
        #expect(TimeSpan(text) == nil)
    }

    @Test func startTimes() {
        #expect(StartTime("1700000000.5")?.nanoseconds == 1_700_000_000_500_000_000)
        #expect(StartTime("2023-11-14T22:13:20Z")?.nanoseconds == 1_700_000_000_000_000_000)
        #expect(StartTime("2023-11-14T22:13:20.250Z")?.nanoseconds == 1_700_000_000_250_000_000)
        #expect(StartTime("2023-11-14T23:13:20+01:00")?.nanoseconds == 1_700_000_000_000_000_000)
        // Exact, where a double would not be.
        #expect(StartTime("1777636860.123456789")?.nanoseconds == 1_777_636_860_123_456_789)
        #expect(StartTime("1777636860.1234567899")?.nanoseconds == 1_777_636_860_123_456_789)
        for wrong in ["", "yesterday", "-1", "nan", "2023-11-14"] {
            #expect(StartTime(wrong) == nil, "\(wrong)")
        }
    }

    @Test func boundsInSecondsOrWithAZoneNeedNoCluster() throws {
        struct NotAsked: Error {}
        func moment(_ text: String) throws -> EpochNanoseconds? {
            try TimeBound(text)?.nanoseconds { () throws -> TimeZoneRules in throw NotAsked() }
        }
        #expect(try moment("1700000000.5") == 1_700_000_000_500_000_000)
        #expect(try moment("2023-11-14T22:13:20Z") == 1_700_000_000_000_000_000)
        #expect(throws: NotAsked.self) { try moment("2023-11-14 22:13:20") }
        for wrong in ["", "yesterday", "2023-11-14", "2023-11-14T22:13:20", "2023/11/14 22:13:20"] {
            #expect(TimeBound(wrong) == nil, "\(wrong)")
        }
    }

    /// The zone is the whole process's, so that all tests of this target have UTC. Other zones are tested
    /// from outside.
    @Test func boundsInLocalTimeAreOfTheZone() throws {
        let zone = try TimeZoneRules.configure("UTC")
        func moment(_ text: String) throws -> EpochNanoseconds? {
            try #require(TimeBound(text)).nanoseconds { zone }
        }
        #expect(try moment("2023-11-14 22:13:20") == 1_700_000_000_000_000_000)
        #expect(try moment("2023-11-14 22:13:20.5") == 1_700_000_000_500_000_000)
        #expect(try moment("2023-11-14 22:13:20.000000001") == 1_700_000_000_000_000_001)
        for wrong in [
            "2023-13-14 22:13:20", "2023-11-14 22:13:2x", "2023-11-14 22:13:20.",
            "2023-11-14 22:13:20.0000000001",
            "2023-11-14 22:13:20,5", "1969-11-14 22:13:20",
        ] { #expect(try moment(wrong) == nil, "\(wrong)") }
    }
}
