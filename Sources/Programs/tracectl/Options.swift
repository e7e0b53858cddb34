import ArgumentParser
import ClusterConfiguration
import Foundation
import OperatorTools
import TraceModel
import TraceTime

extension HostPort: ExpressibleByArgument { public init?(argument: String) { self.init(argument) } }

extension TimeSpan: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }

    public var defaultValueDescription: String { "\(seconds)s" }
}

extension StartTime: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension TimeBound: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension Resource: ExpressibleByArgument {
    public init?(argument: String) { self.init(name: argument) }

    public static var allValueStrings: [String] { allCases.map(\.name) }

    static var nameList: String { allCases.map(\.name).joined(separator: ", ") }
}

/// One resource, or all of them.
enum ResourceChoice: ExpressibleByArgument {
    case one(Resource)
    case all

    init?(argument: String) {
        if argument == "all" {
            self = .all
        } else if let resource = Resource(argument: argument) {
            self = .one(resource)
        } else {
            return nil
        }
    }

    static var allValueStrings: [String] { Resource.allValueStrings + ["all"] }
}

/// A number of bytes as users write it: `1000000`, `100M`.
struct ByteCount: ExpressibleByArgument {
    let bytes: Int

    var defaultValueDescription: String {
        bytes % (1 << 30) == 0 ? "\(bytes >> 30)G" : "\(bytes)"
    }

    init(bytes: Int) { self.bytes = bytes }

    init?(argument: String) {
        guard let bytes = UnitNumber.bytes(argument).flatMap(Int.init(exactly:)) else { return nil }
        self.bytes = bytes
    }
}

extension Semantics: ExpressibleByArgument {
    public init?(argument: String) { self.init(name: argument) }

    public static var allValueStrings: [String] { allCases.map(\.name) }

    public var defaultValueDescription: String { name }
}

extension CatRun.Format: ExpressibleByArgument {}
extension CSVColumns: ExpressibleByArgument {}

/// Names the data directory of a cluster on this machine.
struct DataOptions: ParsableArguments {
    @Option(name: .customLong("data"), help: "The cluster's data directory.") var directory = "data"
}

/// Where final files are read: in a data directory, or in an object store.
struct SourceOptions: ParsableArguments {
    /// For the discussion of commands that read final files.
    static let help = """
        With --object-store the files are read from an S3 store, which is reached as by the cluster that uploaded them \
        (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or the shared files of the AWS tools). \
        Those of the windows needed are downloaded to TMPDIR first.
        """

    @OptionGroup var data: DataOptions

    @Option(
        help: ArgumentHelp(
            "Read from an object store; cluster stands for the one that the cluster in --data uploads to.",
            valueName: "s3://bucket/prefix|cluster"
        )
    ) var objectStore: String?

    @Option(
        help: ArgumentHelp(
            "The cell to read in the object store, or all; by default that of the cluster in --data.",
            valueName: "name"
        )
    ) var cell: String?

    func validate() throws {
        if cell != nil, objectStore == nil {
            throw ValidationError("--cell goes with --object-store")
        }
        if let objectStore, objectStore != "cluster", ObjectStoreAddress(objectStore) == nil {
            throw ValidationError("--object-store takes s3://BUCKET/PREFIX, not \(objectStore)")
        }
    }

    /// Calls `body` with the data directory, or with one that stands in for it and has the selected files.
    func read<Result>(
        _ selection: StoredResults.Selection,
        _ body: (String) throws -> Result
    ) throws -> Result {
        guard let objectStore else { return try body(data.directory) }
        let configuration = try SettingOptions.effective(of: data, flags: [])
        let named = objectStore == "cluster" ? "\(configuration["object_store"])" : objectStore
        guard let address = ObjectStoreAddress(named) else {
            throw ValidationError("the cluster in \(data.directory) has no object store")
        }
        return try StoredResults(address, cell: cell ?? "\(configuration["cell"])")
            .withFiles(selection, body)
    }
}

/// The name to send for the traced machine.
struct HostOptions: ParsableArguments {
    @Option(
        name: .customLong("host"),
        help: ArgumentHelp(
            "The traced machine's name; otherwise the server uses the sender's address.",
            valueName: "name"
        )
    ) var name =
        ""

    func validate() throws {
        guard name.utf8.count <= Limits.hostBytesMax else {
            throw ValidationError("--host is longer than \(Limits.hostBytesMax) bytes")
        }
    }
}

/// The server to send to, and the form of the report.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where trace-router listens.", valueName: "addr:port")) var server =
        HostPort
        .defaultServer

    @OptionGroup var security: SecurityOptions

    @Flag(help: "Print one JSON object at the end, and nothing else, on standard output.")
    var json = false

    /// Reads the files of the connection.
    func connection(host: String = "") throws -> ServerConnection {
        try ServerConnection(to: "\(server)", files: security.files, host: host)
    }
}

/// How a server is reached that stands behind HAProxy.
struct SecurityOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Speak TLS, with a server whose certificate one of these authorities (PEM) has signed.",
            valueName: "file"
        )
    ) var tlsCa: String?

    @Option(help: ArgumentHelp("The certificate to show the server, in PEM.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The key of that certificate, in PEM.", valueName: "file"))
    var tlsKey: String?

    @Option(help: ArgumentHelp("The file with the token to send.", valueName: "file"))
    var tokenFile: String?

    var files: ServerConnection.Files {
        ServerConnection.Files(
            authorities: tlsCa,
            certificate: tlsCert,
            key: tlsKey,
            token: tokenFile
        )
    }

    func validate() throws {
        if let problem = files.problem { throw ValidationError(problem) }
    }
}

/// The settings of a cluster, in the syntax of scripts/cluster up.
struct SettingOptions: ParsableArguments {
    @OptionGroup var data: DataOptions

    @Argument(
        parsing: .allUnrecognized,
        help: ArgumentHelp("Flags of scripts/cluster up.", valueName: "flags")
    )
    var flags: [String] = []

    /// Determines the configuration and prints warnings and errors.
    /// - Throws: `ExitCode`: 2 for a flag or a variable, 1 for an error in a file.
    func effective() throws -> EffectiveConfiguration {
        try Self.effective(of: data, flags: flags)
    }

    /// As above, with other flags.
    static func effective(
        of data: DataOptions,
        flags: [String]
    ) throws -> EffectiveConfiguration {
        do {
            let environment = ProcessInfo.processInfo.environment
            let configuration = try EffectiveConfiguration(
                dataDirectory: data.directory,
                environment: { environment[$0] },
                variables: Array(environment.keys),
                flags: flags
            )
            for warning in configuration.warnings { Terminal.error.line("warning: \(warning)") }
            return configuration
        } catch let error as ConfigurationProblems {
            for problem in error.problems { Terminal.error.line("error: \(problem)") }
            throw ExitCode(1)
        } catch let error as TraceError {
            Terminal.error.line("error: \(error)")
            throw ExitCode(error.code == .invalidArgument ? 2 : 1)
        }
    }
}

/// A time span, both ends inclusive.
struct SpanOptions: ParsableArguments {
    /// For the discussion of commands that take a span.
    static let help = """
        Times are inclusive: YYYY-MM-DD HH:MM:SS[.f...] with 1 to 9 digits of a second, in the cluster's time \
        zone (tracectl config show); seconds since the epoch; or ISO 8601 with a zone.
        """

    @Option(help: ArgumentHelp("Nothing before.", valueName: "time")) var from: TimeBound?

    @Option(help: ArgumentHelp("Nothing after.", valueName: "time")) var to: TimeBound?

    /// Returns the span in nanoseconds since the epoch, nil for an open end. `zone` is called only where one of the
    /// times needs it.
    /// - Throws: `ValidationError` where a time does not exist, or the span ends before it begins.
    func resolved(
        in zone: () throws -> TimeZoneRules
    ) throws -> (from: EpochNanoseconds?, to: EpochNanoseconds?) {
        try Self.resolved(from, "--from", to, "--to", in: zone)
    }

    /// Returns a span whose ends are given by other options.
    static func resolved(
        _ from: TimeBound?,
        _ fromName: String,
        _ to: TimeBound?,
        _ toName: String,
        in zone: () throws -> TimeZoneRules
    ) throws -> (from: EpochNanoseconds?, to: EpochNanoseconds?) {
        let from = try from.map { try moment($0, fromName, zone) }
        let to = try to.map { try moment($0, toName, zone) }
        if let from, let to, from > to { throw ValidationError("\(fromName) is after \(toName)") }
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

/// Determines the cluster's time zone when it is first needed.
final class LazyTimeZone {
    private let dataDirectory: String
    private var found: TimeZoneRules?

    init(_ data: DataOptions) { dataDirectory = data.directory }

    /// Returns the zone; prints errors of the configuration. Blocks on the disk.
    /// - Throws: `ExitCode(1)` for an invalid configuration.
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

/// The time limit of a command that waits for the cluster. It reports what it waits for every few seconds on standard
/// error.
struct WaitOptions: ParsableArguments {
    /// The exit code where the wait was given up: the cluster continues with the request, and nothing is lost.
    static let expired = ExitCode(3)

    @Option(
        help: ArgumentHelp(
            "Give up after this time, with exit code 3; without it, wait as long as it takes.",
            valueName: "seconds"
        )
    )
    var timeout: Int?

    @Option(
        help: ArgumentHelp(
            "Give up where the cluster is to stop meanwhile; the name of the waiting command.",
            valueName: "command",
            visibility: .private
        )
    )
    var unlessStopping: String?

    func validate() throws {
        guard let timeout else { return }
        guard timeout > 0 else { throw ValidationError("--timeout: \(timeout), allowed 1 or more") }
    }

    /// Runs `call`, which blocks until the cluster in `directory` has finished.
    func run<Value: Sendable>(
        in directory: String,
        _ call: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        try expiring { try wait(in: directory).run(call) }
    }

    /// Waits until the status meets the condition.
    func until(in directory: String, _ isMet: (ClusterStatus) -> Bool) throws {
        try expiring { try wait(in: directory).until(isMet) }
    }

    private func wait(in directory: String) -> ReportedWait {
        ReportedWait(
            dataDirectory: directory,
            timeoutSeconds: timeout,
            remedy:
                "Nothing acknowledged is lost: the log keeps it. See tracectl status and the logs of the processes"
                + " named; restart one with scripts/cluster restart NAME, or set aside what a worker cannot process"
                + " with tracectl skip NAME",
            isGivenUpForStop: unlessStopping != nil
        )
    }

    private func expiring<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch let error as WaitExpired {
            Terminal.error.line("Error: \(error)")
            throw Self.expired
        } catch is WaitAbandoned {
            let command = unlessStopping ?? "command"
            Terminal.error.line("error: the cluster is to stop, so this \(command) is given up")
            throw Self.expired
        }
    }
}
