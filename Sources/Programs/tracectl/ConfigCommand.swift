import ArgumentParser
import ClusterConfiguration
import OperatorTools
import TraceModel

/// `tracectl config`.
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Checks, shows and explains the settings of a cluster.",
        discussion: """
            A flag of scripts/cluster up wins over the environment, that over the configuration file \
            (cluster.json in the data directory, or the file of --config), that over what the last up or \
            scale left, that over the default.

              tracectl config check
              tracectl config show --data /var/lib/trace
              tracectl config reference
            """,
        subcommands: [
            ConfigCheckCommand.self, ConfigShowCommand.self, ConfigReferenceCommand.self,
            ConfigExportCommand.self, ConfigCompareCommand.self,
            ConfigRememberedCommand.self, ConfigRememberCommand.self,
        ]
    )
}

/// `tracectl config check`.
struct ConfigCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Reports all errors of a configuration file.",
        discussion: """
            A line for each problem, with the file's line and the field. Exit code 0 where there is none, \
            else 1. All settings are listed by tracectl config reference.

              tracectl config check --data /var/lib/trace
              tracectl config check /etc/trace/cluster.json
            """
    )

    @OptionGroup var data: DataOptions

    @Argument(help: "The file; default: cluster.json in the data directory.") var file: String?

    func run() throws {
        let path = file ?? "\(data.directory)/\(ClusterPaths.configuration)"
        let problems = try ConfigurationFile(path).problems
        for problem in problems { Terminal.error.line("error: \(problem)") }
        guard problems.isEmpty else { throw ExitCode(1) }
        Terminal.output.line("\(path) is valid.")
    }
}

/// `tracectl config show`.
struct ConfigShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Shows what the next up would run with, and where each value comes from.",
        discussion: """
            Takes the flags of scripts/cluster up, and the environment, as that does.

              tracectl config show --data /var/lib/trace
              SERVICE_PORT=6000 tracectl config show --workers function=4
              tracectl config show --json | jq .compress.value
            """
    )

    @OptionGroup var settings: SettingOptions

    @Flag(help: "Print one JSON object and nothing else.") var json = false

    func run() throws {
        let table = ConfigurationTable(try settings.effective())
        let terminal = Terminal.output
        terminal.line(json ? try table.json() : table.text(terminal: terminal))
    }
}

/// `tracectl config export`.
struct ConfigExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Prints the settings for scripts/cluster, as lines of NAME=VALUE."
    )

    @OptionGroup var settings: SettingOptions

    func run() throws { Terminal.output.line(try settings.effective().exported) }
}

/// `tracectl config remembered`.
struct ConfigRememberedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remembered",
        abstract: "Prints for scripts/cluster what the last start left, as lines of NAME=VALUE.",
        discussion: """
            workers, which the next start runs; owners, which may own slots, empty for a new data directory; scaling, \
            where an interrupted scale was to lead, or empty; and remembered. with the name of each other setting. A \
            damaged file is written anew from its copy.
            """
    )

    @OptionGroup var data: DataOptions

    @Option(help: ArgumentHelp("Change the workers by these.", valueName: "resource=n,…"))
    var scale: String?

    func run() throws {
        let settings = try RememberedSettings.load(from: data.directory) {
            Terminal.error.line("warning: \($0)")
        }
        var workers = settings.workers
        if let scale { workers.merge(try ConfigRememberCommand.counts(scale)) { $1 } }
        Terminal.output.line("workers=\(WorkerCounts.text(workers))")
        Terminal.output.line("owners=\(settings.possibleOwners.map(WorkerCounts.text) ?? "")")
        Terminal.output.line("scaling=\(settings.scaling.map(WorkerCounts.text) ?? "")")
        for other in settings.others { Terminal.output.line("remembered.\(other)") }
    }
}

/// `tracectl config remember`.
struct ConfigRememberCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remember",
        abstract: "Keeps settings for the next start of scripts/cluster."
    )

    @OptionGroup var data: DataOptions

    @Option(help: ArgumentHelp("The workers that own the slots.", valueName: "resource=n,…"))
    var workers: String

    @Option(help: ArgumentHelp("The workers to which the slots move.", valueName: "resource=n,…"))
    var scaling: String?

    @Argument(help: ArgumentHelp("The other settings.", valueName: "name=value"))
    var others: [String] = []

    func run() throws {
        let settings = RememberedSettings(
            owners: try Self.counts(workers),
            scaling: try scaling.map(Self.counts),
            others: others
        )
        try settings.save(in: data.directory)
    }

    /// Parses numbers of workers. Ends the program with code 2 where they are none.
    static func counts(_ text: String) throws -> [Resource: Int] {
        guard let counts = WorkerCounts.parse(text), !counts.isEmpty else {
            Terminal.error.line(
                """
                error: "\(text)" names no workers: \(Setting["workers"].kind.expectation), as in function=2,cpu=1
                """
            )
            throw ExitCode(2)
        }
        return counts
    }
}

/// `tracectl config compare`.
struct ConfigCompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Reports where a running cluster differs from the settings of the next up.",
        discussion: """
            Takes the flags of scripts/cluster up, and the environment, as that does. A line for each difference on \
            standard error, then how to apply them; exit code 0 where there is none, else 1.

              tracectl config compare --data /var/lib/trace
              tracectl config compare --retain-age 7d
            """
    )

    @OptionGroup var settings: SettingOptions

    func run() throws {
        let wanted = try settings.effective()
        let running = RunningCluster.settings(in: settings.data.directory)
        let differences = running.differences(from: wanted)
        let scaling = running.scaling(to: wanted)
        guard !differences.isEmpty || scaling != nil else { return }
        for difference in differences { Terminal.error.line("  \(difference.text)") }
        let data = settings.data.directory
        if !differences.isEmpty {
            Terminal.error.line(
                "To apply: scripts/cluster stop --data \(data), then the same up again. Agents that retry lose nothing."
            )
        }
        if let scaling {
            Terminal.error.line(
                "Other numbers of workers are wanted. To apply, while it runs: scripts/cluster scale \(scaling) --data \(data)"
            )
        }
        throw ExitCode(1)
    }
}

/// `tracectl config reference`.
struct ConfigReferenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reference",
        abstract: "Prints every setting with its names, values and default.",
        discussion: """
            As a page (Markdown), as the options of scripts/cluster --help, or as the settings of the units \
            of systemd.

              tracectl config reference
              tracectl config reference --format environment
            """
    )

    @Option(help: "page, options or environment.") var format = ConfigurationReference.page

    func run() { Terminal.output.write(format.text) }
}

extension ConfigurationReference: ExpressibleByArgument {}
