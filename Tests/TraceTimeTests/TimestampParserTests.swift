import Testing
import TraceModel
import TraceTime

extension ZoneTests {
    @Suite struct TimestampParserTests {
        private func seconds(_ text: String, in zone: String) throws -> Double {
            var parser = TimestampParser(zone: try TimeZoneRules.configure(zone))
            let parsed = parse(text, &parser)
            #expect(parsed.kind == .valid)
            return Double(parsed.nanoseconds) / 1e9
        }

        @Test func summerTimeInBerlin() throws {
            let zone = "Europe/Berlin"
            #expect(try seconds("2024-03-31 01:59:59", in: zone) == 1_711_846_799)
            #expect(try seconds("2024-03-31 03:00:00", in: zone) == 1_711_846_800)
            // Skipped: forward by the gap, to 03:30.
            #expect(try seconds("2024-03-31 02:30:00", in: zone) == 1_711_848_600)
            #expect(try seconds("2024-10-27 01:59:59", in: zone) == 1_729_987_199)
            // Repeated: the first of the two.
            #expect(try seconds("2024-10-27 02:00:00", in: zone) == 1_729_987_200)
            #expect(try seconds("2024-10-27 02:30:00.5", in: zone) == 1_729_989_000.5)
            #expect(try seconds("2024-10-27 03:00:00", in: zone) == 1_729_994_400)
        }

        @Test func summerTimeInNewYork() throws {
            let zone = "America/New_York"
            #expect(try seconds("2024-03-10 01:59:59", in: zone) == 1_710_053_999)
            #expect(try seconds("2024-03-10 02:30:00", in: zone) == 1_710_055_800)
            #expect(try seconds("2024-03-10 03:00:00", in: zone) == 1_710_054_000)
            #expect(try seconds("2024-11-03 01:30:00", in: zone) == 1_730_611_800)
            #expect(try seconds("2024-11-03 02:00:00", in: zone) == 1_730_617_200)
        }

        @Test(arguments: ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
        func turnOfTheYear(
            zone: String
        ) throws {
            var parser = TimestampParser(zone: try TimeZoneRules.configure(zone))
            let last = parse("2023-12-31 23:59:59.999999999", &parser)
            let first = parse("2024-01-01 00:00:00", &parser)
            #expect(last.nanoseconds + 1 == first.nanoseconds)
            let leapSecond = parse("2023-12-31 23:59:60", &parser)
            #expect(leapSecond == first)
        }

        @Test func posixRule() throws {
            let rule = "CET-1CEST,M3.5.0,M10.5.0/3"
            #expect(try seconds("2024-07-01 12:00:00", in: rule) == 1_719_828_000)
            #expect(try seconds("2024-01-01 12:00:00", in: rule) == 1_704_106_800)
        }

        @Test func fractions() throws {
            var parser = TimestampParser(zone: try TimeZoneRules.configure("UTC"))
            let expected: [(String, Int64)] = [
                ("2024-01-02 03:04:05", 0), ("2024-01-02 03:04:05.1", 100_000_000),
                ("2024-01-02 03:04:05.01", 10_000_000), ("2024-01-02 03:04:05.123", 123_000_000),
                ("2024-01-02 03:04:05.123456", 123_456_000),
                ("2024-01-02 03:04:05.1234567", 123_456_700),
                ("2024-01-02 03:04:05.123456789", 123_456_789),
                ("2024-01-02 03:04:05.000000001", 1), ("1704164645", 0),
                ("1704164645.5", 500_000_000), ("1704164645.123456789", 123_456_789),
                ("1704164645.1234567899", 123_456_789), ("0000001704164645.1", 100_000_000),
            ]
            for (text, fraction) in expected {
                let parsed = parse(text, &parser)
                #expect(parsed.kind == .valid, "\(text)")
                #expect(
                    parsed.nanoseconds == 1_704_164_645 * nanosecondsPerSecond + fraction,
                    "\(text)"
                )
            }
            #expect(parse("0", &parser) == ParsedTimestamp(nanoseconds: 0, kind: .valid))
            #expect(parse("2200-12-31 23:59:59", &parser).kind == .valid)
            #expect(parse("7289654399.999999999", &parser).kind == .valid)
        }

        @Test func garbageIsTheTimeOfArrival() throws {
            var parser = TimestampParser(zone: try TimeZoneRules.configure("UTC"))
            #expect(parse("", &parser) == ParsedTimestamp(nanoseconds: -1, kind: .absent))
            let garbage = [
                " ", "now", "-1", "+1", "1.", ".5", "1e9", "1,5", "1.2.3", "1.5 ", "0x10",
                "7289654400",
                "99999999999999999999999999", "1.123456789x", "2024-01-02", "2024-01-02 03:04",
                "2024-01-02T03:04:05",
                "2024-01-02 03:04:05.", "2024-01-02 03:04:05.1234567890", "2024-01-02 03:04:05Z",
                "2024-01-02 03:04:05,1", "2024-13-02 03:04:05", "2024-00-02 03:04:05",
                "2024-01-00 03:04:05",
                "2024-01-32 03:04:05", "2023-02-29 03:04:05", "2024-02-30 03:04:05",
                "2100-02-29 00:00:00",
                "2024-01-02 24:00:00", "2024-01-02 03:60:05", "2024-01-02 03:04:61",
                "1969-12-31 23:59:59",
                "2201-01-01 00:00:00", "2024-01-02 03:04:0x", "2024-01-02 03:04.05",
                "2024-1-02 03:04:055",
                "\0\0\0\0-\0\0\0\0\0\0\0\0\0\0\0:00", "2024-01-02 03:04:05.12a",
                "２024-01-02 03:04:05",
            ]
            // Both on an empty cache and on one that holds the minute of most of these texts.
            for _ in 0..<2 {
                for text in garbage {
                    let parsed = parse(text, &parser)
                    #expect(
                        parsed == ParsedTimestamp(nanoseconds: -1, kind: .invalid),
                        "\(text) gave \(parsed)"
                    )
                }
                #expect(parse("2024-01-02 03:04:05", &parser).kind == .valid)
            }
            var berlin = TimestampParser(zone: try TimeZoneRules.configure("Europe/Berlin"))
            #expect(parse("1970-01-01 00:30:00", &berlin).kind == .invalid)
            #expect(parse("1970-01-01 01:00:00", &berlin).nanoseconds == 0)
        }
    }
}
