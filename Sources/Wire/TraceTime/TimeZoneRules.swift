import Glibc
package import TraceModel

/// Conversion of proleptic Gregorian dates to day counts. After Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms" (public domain).
enum CivilTime {
    /// Returns days since 1970-01-01, for years from 1 on.
    static func days(year: Int, month: Int, day: Int) -> Int {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    static func daysInMonth(_ month: Int, year: Int) -> Int {
        switch month {
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

/// Validates a zone in the form of POSIX `TZ`: `std offset [dst [offset] [,start[/time],end[/time]]]`. glibc reports no
/// errors; it uses UTC for an invalid zone.
struct PosixZone {
    private var rest: Substring.UTF8View

    static func isValid(_ text: String) -> Bool {
        var zone = PosixZone(rest: Substring(text).utf8)
        return zone.parse() && zone.rest.isEmpty
    }

    private mutating func parse() -> Bool {
        guard name(), time(hoursMax: 24) else { return false }
        if rest.isEmpty { return true }
        guard name() else { return false }
        if rest.isEmpty { return true }
        if rest.first != UInt8(ascii: ","), !time(hoursMax: 24) { return false }
        if rest.isEmpty { return true }
        return rule() && rule()
    }

    /// Parses a name: three or more letters, or any short text in angle brackets.
    private mutating func name() -> Bool {
        if take("<") {
            let inner = rest.prefix {
                isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-")
            }
            rest = rest.dropFirst(inner.count)
            return inner.count >= 3 && take(">")
        }
        let letters = rest.prefix(while: isLetter)
        rest = rest.dropFirst(letters.count)
        return letters.count >= 3
    }

    /// Parses `[+-]hh[:mm[:ss]]`.
    private mutating func time(hoursMax: Int) -> Bool {
        if !take("-") { _ = take("+") }
        guard number(0...hoursMax) else { return false }
        for _ in 0..<2 where take(":") { guard number(0...59) else { return false } }
        return true
    }

    /// Parses `,Mm.w.d`, `,Jn` or `,n`, with a time of day.
    private mutating func rule() -> Bool {
        guard take(",") else { return false }
        if take("M") {
            guard number(1...12), take("."), number(1...5), take("."), number(0...6) else {
                return false
            }
        } else if take("J") {
            guard number(1...365) else { return false }
        } else if !number(0...365) {
            return false
        }
        return take("/") ? time(hoursMax: 167) : true
    }

    private mutating func number(_ range: ClosedRange<Int>) -> Bool {
        let digits = rest.prefix(while: isDigit)
        rest = rest.dropFirst(digits.count)
        guard digits.count <= 3, let value = Int(String(Substring(digits))) else { return false }
        return range.contains(value)
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest = rest.dropFirst()
        return true
    }

    private func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }

    private func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}

/// The configured time zone by glibc's rules. Process-wide: `configure` runs once at start, before any thread exists,
/// because it sets `TZ`. A value of this type proves that it ran.
package struct TimeZoneRules: Sendable {
    /// Name of the zone as configured; `localtime` for the machine's zone.
    package let name: String

    /// Sets the zone: a name such as `Europe/Berlin`, or a POSIX rule such as `CET-1CEST,M3.5.0,M10.5.0/3`; nil for the
    /// environment's `TZ`, or else the machine's zone. Blocks on the file system.
    /// - Throws: `.configuration` if there is no such zone; glibc would silently use UTC.
    package static func configure(_ name: String?) throws(TraceError) -> TimeZoneRules {
        let chosen = unsafe name ?? getenv("TZ").map { unsafe String(cString: $0) } ?? ""
        guard !chosen.isEmpty else {
            unsafe unsetenv("TZ")
            tzset()
            return TimeZoneRules(name: "localtime")
        }
        guard isKnown(chosen) else {
            throw TraceError(
                .configuration,
                "time zone \(chosen): unknown",
                remedy: "Name one of /usr/share/zoneinfo (package tzdata), or UTC."
            )
        }
        unsafe setenv("TZ", chosen, 1)
        tzset()
        return TimeZoneRules(name: chosen)
    }

    /// Returns whether the zone exists. Blocks on the file system.
    package static func isKnown(_ name: String) -> Bool {
        name == "UTC" || hasZoneFile(name) || PosixZone.isValid(name)
    }

    /// Returns the seconds that local time is ahead of UTC at an instant.
    package func offset(atEpochSecond second: Int) -> Int {
        var time = time_t(second)
        var local = unsafe tm()
        guard unsafe localtime_r(&time, &local) != nil else { return 0 }
        return unsafe local.tm_gmtoff
    }

    /// Returns the instant of a local time, given as if it were UTC. Of two instants (the hour repeated at the end of
    /// daylight saving time) it is the earlier one; a skipped time at its start is moved forward by the gap, as by
    /// `mktime`. Assumes that no zone changes its offset twice within two days.
    func epochSecond(ofLocal local: Int) -> Int {
        let before = offset(atEpochSecond: local - 86_400)
        let after = offset(atEpochSecond: local + 86_400)
        let early = local - max(before, after)
        let late = local - min(before, after)
        if offset(atEpochSecond: early) == local - early { return early }
        if offset(atEpochSecond: late) == local - late { return late }
        return local - before
    }

    /// Returns the offset of a whole local day (days since 1970-01-01); nil if it changes near that day.
    func offset(ofDay day: Int) -> Int? {
        let noon = day * 86_400 + 43_200
        let before = offset(atEpochSecond: noon - 2 * 86_400)
        let after = offset(atEpochSecond: noon + 2 * 86_400)
        return before == after && before == offset(atEpochSecond: noon) ? before : nil
    }

    /// Checks the forms that glibc supports: a name below its directory or an absolute path, either with a leading
    /// colon.
    private static func hasZoneFile(_ name: String) -> Bool {
        var path = name.hasPrefix(":") ? String(name.dropFirst()) : name
        guard !path.isEmpty, !path.split(separator: "/").contains("..") else { return false }
        if !path.hasPrefix("/") {
            path =
                unsafe (getenv("TZDIR").map { unsafe String(cString: $0) } ?? "/usr/share/zoneinfo")
                + "/" + path
        }
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var magic: UInt32 = 0
        let count = unsafe read(descriptor, &magic, 4)
        return count == 4 && UInt32(bigEndian: magic) == 0x545A_6966  // "TZif"
    }
}
