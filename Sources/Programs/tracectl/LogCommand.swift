import ArgumentParser

struct LogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Checks and shows the ingest log, while the cluster runs or not.",
        discussion: """
            Nothing is changed and no lock is taken, but by `accept-loss`. What a running router is only writing is no \
            damage.

              tracectl log verify && echo sound
              tracectl log dump --limit 20
              tracectl log stats --json
            """,
        subcommands: [
            LogVerifyCommand.self, LogDumpCommand.self, LogStatsCommand.self,
            LogAcceptLossCommand.self,
        ]
    )
}
