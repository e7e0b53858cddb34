import Glibc
import Testing
import TraceModel
import TraceTime

extension ZoneTests {
    /// Random local times against glibc: `timegm` in UTC, in other zones `localtime_r` of the result.
    @Suite struct LocalTimePropertyTests {
        @Test func utcAgreesWithTimegm() throws {
            var parser = TimestampParser(zone: try TimeZoneRules.configure("UTC"))
            let seed = UInt64.random(in: 1...UInt64.max)
            var random = LocalTimes(state: seed)
            for _ in 0..<20_000 {
                var parts = random.next()
                let text = LocalTimes.text(parts)
                let parsed = parse(text, &parser)
                #expect(
                    parsed.nanoseconds == Int64(timegm(&parts)) * nanosecondsPerSecond,
                    "\(text), seed \(seed)"
                )
            }
        }

        @Test(arguments: [
            "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
            "America/St_Johns",
            "Pacific/Apia", "Africa/Casablanca",
        ]) func zonesAgreeWithGlibc(zone: String) throws {
            var parser = TimestampParser(zone: try TimeZoneRules.configure(zone))
            let seed = UInt64.random(in: 1...UInt64.max)
            var random = LocalTimes(state: seed)
            var skipped = 0
            for _ in 0..<10_000 {
                let parts = random.next()
                let text = LocalTimes.text(parts)
                let parsed = parse(text, &parser)
                #expect(parsed.kind == .valid, "\(text) in \(zone), seed \(seed)")
                let second = Int(parsed.nanoseconds / nanosecondsPerSecond)
                guard LocalTimes.local(second) == text else {
                    // Only a local time that exists nowhere may come back as another one.
                    let elsewhere = stride(from: second - 90_000, through: second + 90_000, by: 900)
                    #expect(
                        !elsewhere.contains { LocalTimes.local($0) == text },
                        "\(text) in \(zone), seed \(seed)"
                    )
                    skipped += 1
                    continue
                }
                for earlier in [1_800, 3_600, 7_200] {
                    #expect(
                        LocalTimes.local(second - earlier) != text,
                        "\(text) in \(zone) has an earlier instant, seed \(seed)"
                    )
                }
            }
            #expect(skipped < 500)
        }
    }
}

/// Random broken-down times, half of them in the early hours of spring and autumn, where zones change.
struct LocalTimes {
    var state: UInt64

    /// xorshift64: a failure's seed repeats it.
    private mutating func below(_ bound: Int32) -> Int32 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int32((state >> 33) % UInt64(bound))
    }

    mutating func next() -> tm {
        let isEdge = below(2) == 0
        var parts = tm()
        parts.tm_year = 71 + below(isEdge ? 66 : 230)
        parts.tm_mon = isEdge ? [2, 3, 8, 9, 10][Int(below(5))] : below(12)
        parts.tm_mday = 1 + below(28)
        parts.tm_hour = below(isEdge ? 5 : 24)
        parts.tm_min = below(60)
        parts.tm_sec = below(60)
        return parts
    }

    static func text(_ parts: tm) -> String {
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let date = "\(parts.tm_year + 1_900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return "\(date) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }

    static func local(_ second: Int) -> String {
        var time = time_t(second)
        var parts = tm()
        localtime_r(&time, &parts)
        return text(parts)
    }
}
