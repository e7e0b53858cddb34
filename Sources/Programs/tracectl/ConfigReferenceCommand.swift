import ArgumentParser
import ClusterConfiguration
import OperatorTools

struct ConfigReferenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reference",
        abstract: "Prints what there is to set: every setting with its names, values and default.",
        discussion: """
            As a page (Markdown), as the options of scripts/cluster --help, or as the settings of the units \
            of systemd.

              tracectl config reference
              tracectl config reference --format environment
            """
    )

    @Option(help: "page, options or environment.")
    var format = ConfigurationReference.page

    func run() { Terminal.output.write(format.text) }
}

extension ConfigurationReference: ExpressibleByArgument {}
