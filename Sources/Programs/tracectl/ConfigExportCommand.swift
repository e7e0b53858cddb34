import ArgumentParser
import ClusterConfiguration
import OperatorTools

struct ConfigExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Prints the settings for scripts/cluster, as lines of NAME=VALUE."
    )

    @OptionGroup var settings: SettingOptions

    func run() throws { Terminal.output.line(try settings.effective().exported) }
}
