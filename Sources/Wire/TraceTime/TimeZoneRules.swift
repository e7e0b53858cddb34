import Glibc
package import TraceModel

/// The configured time zone, by glibc's rules. Process-wide: `configure` runs once at start, before
/// there are threads, as it sets `TZ`. A value proves that it ran.
package struct TimeZoneRules: Sendable {
    /// The zone's name as configured; `localtime` for the machine's.
    package let name: String

    /// Chooses the zone: a name such as `Europe/Berlin`, or a POSIX rule such as
    /// `CET-1CEST,M3.5.0,M10.5.0/3`; nil for the environment's `TZ`, else the machine's zone. Blocks on
    /// the file system.
    /// - Throws: `.configuration` where there is no such zone; glibc would take UTC silently.
    package static func configure(_ name: String?) throws(TraceError) -> TimeZoneRules {
        let chosen = name ?? getenv("TZ").map { String(cString: $0) } ?? ""
        guard !chosen.isEmpty else {
            unsetenv("TZ")
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
        setenv("TZ", chosen, 1)
        tzset()
        return TimeZoneRules(name: chosen)
    }

    /// Whether there is such a zone. Blocks on the file system.
    package static func isKnown(_ name: String) -> Bool {
        name == "UTC" || hasZoneFile(name) || PosixZone.isValid(name)
    }

    /// Seconds that local time is ahead of UTC at an instant.
    package func offset(atEpochSecond second: Int) -> Int {
        var time = time_t(second)
        var local = tm()
        guard localtime_r(&time, &local) != nil else { return 0 }
        return local.tm_gmtoff
    }

    /// The instant of a local time that is given as if it were UTC. Of two (the hour repeated at the end
    /// of summer time) the earlier one; one that doesn't exist (skipped at its begin) moves forward by
    /// the gap, as with `mktime`. No zone changes its offset twice within two days.
    func epochSecond(ofLocal local: Int) -> Int {
        let before = offset(atEpochSecond: local - 86_400)
        let after = offset(atEpochSecond: local + 86_400)
        let early = local - max(before, after)
        let late = local - min(before, after)
        if offset(atEpochSecond: early) == local - early { return early }
        if offset(atEpochSecond: late) == local - late { return late }
        return local - before
    }

    /// The one offset of a whole local day (days from 1970-01-01), nil where it changes near that day.
    func offset(ofDay day: Int) -> Int? {
        let noon = day * 86_400 + 43_200
        let before = offset(atEpochSecond: noon - 2 * 86_400)
        let after = offset(atEpochSecond: noon + 2 * 86_400)
        return before == after && before == offset(atEpochSecond: noon) ? before : nil
    }

    /// The forms glibc knows: below its directory, or an absolute path; a colon before either.
    private static func hasZoneFile(_ name: String) -> Bool {
        var path = name.hasPrefix(":") ? String(name.dropFirst()) : name
        guard !path.isEmpty, !path.split(separator: "/").contains("..") else { return false }
        if !path.hasPrefix("/") {
            path =
                (getenv("TZDIR").map { String(cString: $0) } ?? "/usr/share/zoneinfo") + "/" + path
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var magic: UInt32 = 0
        let count = read(descriptor, &magic, 4)
        return count == 4 && UInt32(bigEndian: magic) == 0x545A_6966  // "TZif"
    }
}
