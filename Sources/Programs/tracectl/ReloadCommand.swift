import ArgumentParser
import OperatorTools
import TraceModel

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Has the workers take over the anomaly rules in rules.json.",
        discussion: """
            Checks rules.json in the data directory first: where it is wrong, the line and the field are \
            named and nothing is changed. Without the file the defaults come back. What the workers did \
            stands in their logs; each takes the rules over within a second.

              tracectl reload --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions

    @Option(
        help: ArgumentHelp("The aggregator's address, if not looked up.", valueName: "addr:port")
    )
    var metrics: HostPort?

    func run() throws {
        let told = try RulesReload(dataDirectory: data.directory, metrics: metrics).run()
        Terminal.output.line("told \(told) workers")
    }
}
