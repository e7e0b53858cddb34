import ClusterConfiguration
package import TraceModel
package import TraceTime

/// One end of a span of time as people write it: what `StartTime` takes, or `YYYY-MM-DD HH:MM:SS[.f…]`, the
/// form of agents and of the server's own output, which is local time of the cluster.
package enum TimeBound: Equatable, Sendable {
    case instant(EpochNanoseconds)
    /// Text of the local form, whose digits have not been looked at.
    case local(String)

    /// Nil where the text has none of the forms.
    package init?(_ text: String) {
        if let instant = StartTime(text) {
            self = .instant(instant.nanoseconds)
            return
        }
        let bytes = Array(text.utf8)
        guard bytes.count >= 19, bytes[4] == UInt8(ascii: "-"), bytes[10] == UInt8(ascii: " ")
        else {
            return nil
        }
        self = .local(text)
    }

    /// The moment in nanoseconds since the epoch; nil where the local form names none, such as a
    /// thirteenth month. Of an hour that a clock shows twice the earlier one counts. `zone` is asked for
    /// only where the form needs it.
    package func nanoseconds(
        in zone: () throws -> TimeZoneRules
    ) rethrows -> EpochNanoseconds? {
        switch self {
        case .instant(let nanoseconds): return nanoseconds
        case .local(let text):
            var parser = TimestampParser(zone: try zone())
            let bytes = Array(text.utf8)
            let parsed = bytes.withUnsafeBytes { parser.parse(ByteView($0), arrival: 0) }
            return parsed.kind == .valid ? parsed.nanoseconds : nil
        }
    }
}

/// The time zone of a cluster, found in its data directory.
package enum ClusterTimeZone {
    /// The zone that the cluster's configuration file says, else the one that it was started with, else this
    /// machine's. The caller's own `TZ` does not count. Sets the zone of this process. Call it once, before
    /// there are threads. Blocks on the disk.
    /// - Throws: `ConfigurationProblems` about the configuration file; `TraceError` where the zone is unknown.
    package static func rules(dataDirectory: String) throws -> TimeZoneRules {
        let configuration = try EffectiveConfiguration(
            dataDirectory: dataDirectory,
            environment: { _ in nil },
            flags: []
        )
        return try TimeZoneRules.configure("\(configuration["time_zone"])")
    }
}
