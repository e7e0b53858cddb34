import OperatorTools
import Testing

struct TraceClockTests {
    @Test(
        arguments: [
            ("0", 0), ("1", 1000), ("1.5", 1500), ("1544775821.249", 1_544_775_821_249),
            ("1700000000000000.123", 1_700_000_000_000_000_123), ("1.5e3", 1_500_000),
            ("0.0004", 0), ("0.0006", 1),
            ("-2.5", -2500), ("12.", 12000),
        ] as [(String, Int64)]
    ) func microseconds(text: String, expected: Int64) {
        #expect(TraceClock.nanoseconds(microseconds: Array(text.utf8)) == expected)
    }

    @Test(arguments: ["", "x", "1.2.3", "NaN", "Infinity", "99999999999999999999", "1e300"])
    func noMicroseconds(
        text: String
    ) { #expect(TraceClock.nanoseconds(microseconds: Array(text.utf8)) == nil) }

    @Test func epochSeconds() {
        #expect(TraceClock.epochSeconds(0) == "0.000000")
        #expect(TraceClock.epochSeconds(1_700_000_000_000_001_000) == "1700000000.000001")
        #expect(TraceClock.epochSeconds(1_700_000_000_000_001_002) == "1700000000.000001002")
        #expect(TraceClock.epochSeconds(-5) == "0.000000")
    }
}
