import ArgumentParser
import ClusterConfiguration
import OperatorTools

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

    @Flag(help: "Print one JSON object and nothing else.")
    var json = false

    func run() throws {
        let table = ConfigurationTable(try settings.effective())
        let terminal = Terminal.output
        terminal.line(json ? try table.json() : table.text(terminal: terminal))
    }
}
