import Glibc
import Testing
import TraceModel
import TraceTime

extension ZoneTests {
    @Suite struct ClockTests {
        private func readable(_ time: Int64, _ clock: inout ReadableClock) -> String {
            var bytes = [UInt8](repeating: 0x21, count: ReadableClock.byteCount + 1)
            bytes.withUnsafeMutableBytes { buffer in
                if let base = buffer.baseAddress { clock.write(time, to: base) }
            }
            #expect(bytes.last == 0x21)
            return String(decoding: bytes.dropLast(), as: UTF8.self)
        }

        @Test func readableTime() throws {
            var clock = ReadableClock(zone: try TimeZoneRules.configure("Europe/Berlin"))
            // Over both edges and back, so that the cached minute must give way.
            let expected: [(Int64, String)] = [
                (1_711_846_799_999_999_999, "01:59:59.999"),
                (1_711_846_800_000_000_000, "03:00:00.000"),
                (1_711_846_799_001_000_000, "01:59:59.001"),
                (1_729_990_799_050_000_000, "02:59:59.050"),
                (1_729_990_800_000_000_000, "02:00:00.000"),
                (1_729_994_400_000_000_000, "03:00:00.000"),
                (0, "01:00:00.000"), (-1, "00:59:59.999"), (-60_000_000_001, "00:58:59.999"),
            ]
            for (time, text) in expected { #expect(readable(time, &clock) == text) }
        }

        @Test(arguments: ["UTC", "America/New_York", "Asia/Kathmandu"])
        func readableTimeAgreesWithGlibc(
            zone: String
        ) throws {
            var clock = ReadableClock(zone: try TimeZoneRules.configure(zone))
            let seed = UInt64.random(in: 1...UInt64.max)
            var random = LocalTimes(state: seed)
            for _ in 0..<5_000 {
                var parts = random.next()
                let second = timegm(&parts)
                let text = readable(Int64(second) * nanosecondsPerSecond + 7_000_000, &clock)
                let expected = LocalTimes.local(second).suffix(8) + ".007"
                #expect(text == expected, "\(second) in \(zone), seed \(seed)")
            }
        }

        @Test func stems() throws {
            let berlin = StemClock(zone: try TimeZoneRules.configure("Europe/Berlin"))
            #expect(berlin.text(1_711_846_800_999_999_999) == "20240331_030000")
            #expect(berlin.text(1_704_063_599_000_000_000) == "20231231_235959")
            let utc = StemClock(zone: try TimeZoneRules.configure("UTC"))
            #expect(utc.text(0) == "19700101_000000")
        }
    }

    @Suite struct ConfigurationTests {
        @Test(arguments: [
            "UTC", "Europe/Berlin", ":Europe/Berlin", "/usr/share/zoneinfo/Asia/Tokyo", "EST5EDT",
            "CET-1CEST,M3.5.0,M10.5.0/3", "<+0545>-5:45", "NZST-12:00:00NZDT-13,J60/2,300",
        ]) func known(name: String) throws {
            #expect(try TimeZoneRules.configure(name).name == name)
        }

        @Test(arguments: [
            "Europe", "Europe/Berln", "../../etc/passwd", "/etc/passwd", "/nowhere", ":", "CE-1",
            "ABC", "CET-25",
            "CET-1CEST,", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1CEST,M3.5.0,M10.5.0/", "CET-1:60",
            "<CE-1", "UTC ", "zone.tab",
        ]) func unknown(name: String) {
            do {
                _ = try TimeZoneRules.configure(name)
                Issue.record("\(name) was taken")
            } catch {
                #expect(error.code == .configuration)
                #expect(error.message == "time zone \(name): unknown")
            }
        }

        @Test func environmentAndMachine() throws {
            setenv("TZ", "Asia/Tokyo", 1)
            #expect(try TimeZoneRules.configure(nil).offset(atEpochSecond: 0) == 32_400)
            unsetenv("TZ")
            #expect(try TimeZoneRules.configure(nil).name == "localtime")
        }
    }
}
