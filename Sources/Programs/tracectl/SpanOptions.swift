import ArgumentParser
import ClusterConfiguration
import OperatorTools
import TraceModel
import TraceTime

/// A span of time, both ends inclusive.
struct SpanOptions: ParsableArguments {
    /// For the discussion of commands that take a span.
    static let help = """
        Times are inclusive: YYYY-MM-DD HH:MM:SS[.f...] with 1 to 9 digits of a second, in the cluster's time \
        zone (tracectl config show); seconds since the epoch; or ISO 8601 with a zone.
        """

    @Option(help: ArgumentHelp("Nothing before.", valueName: "time"))
    var from: TimeBound?

    @Option(help: ArgumentHelp("Nothing after.", valueName: "time"))
    var to: TimeBound?

    /// The span in nanoseconds since the epoch; nil: without that end. `zone` is asked for where one of the
    /// times needs it.
    /// - Throws: `ValidationError` where a time does not exist, or the span ends before it begins.
    func resolved(
        in zone: () throws -> TimeZoneRules
    ) throws -> (from: EpochNanoseconds?, to: EpochNanoseconds?) {
        let from = try from.map { try Self.moment($0, "--from", zone) }
        let to = try to.map { try Self.moment($0, "--to", zone) }
        if let from, let to, from > to { throw ValidationError("--from is after --to") }
        return (from, to)
    }

    private static func moment(
        _ bound: TimeBound,
        _ option: String,
        _ zone: () throws -> TimeZoneRules
    ) throws -> EpochNanoseconds {
        guard let moment = try bound.nanoseconds(in: zone) else {
            throw ValidationError("\(option) names no time between 1970 and 2200")
        }
        return moment
    }
}

/// Finds the cluster's time zone at first need.
final class LazyTimeZone {
    private let dataDirectory: String
    private var found: TimeZoneRules?

    init(_ data: DataOptions) { dataDirectory = data.directory }

    /// Says on standard error what is wrong with the configuration, where something is. Blocks on the disk.
    /// - Throws: `ExitCode(1)` then.
    func rules() throws -> TimeZoneRules {
        if let found { return found }
        do {
            let rules = try ClusterTimeZone.rules(dataDirectory: dataDirectory)
            found = rules
            return rules
        } catch let error as ConfigurationProblems {
            for problem in error.problems { Terminal.error.line("error: \(problem)") }
            throw ExitCode(1)
        }
    }
}
