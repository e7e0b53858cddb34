import ArgumentParser

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Checks, shows and explains the settings of a cluster.",
        discussion: """
            A flag of scripts/cluster up wins over the environment, that over the configuration file \
            (cluster.json in the data directory, or what --config names), that over what the last up or \
            scale left, that over the default.

              tracectl config check
              tracectl config show --data /var/lib/trace
              tracectl config reference
            """,
        subcommands: [
            ConfigCheckCommand.self, ConfigShowCommand.self, ConfigReferenceCommand.self,
            ConfigExportCommand.self, ConfigCompareCommand.self,
        ]
    )
}
