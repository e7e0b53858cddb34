import ArgumentParser
import OperatorTools
import SystemIO
import TraceModel

/// `tracectl`: parses the subcommand and runs it.
@main struct TraceCtl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tracectl",
        abstract: "Controls a running Trace Processor, and sends it events.",
        discussion: """
            Control (--data names the cluster's data directory):
              tracectl status --json
              tracectl finalize
              tracectl scale function=4,cpu=2
              tracectl reload
              tracectl config show
              tracectl deadletter list
              tracectl skip function.0 --to 73400320

            Reading results (--data again; the cluster need not run):
              tracectl summary --top 5
              tracectl trace --from '2026-05-01 14:00:00' --output part.json.gz
              tracectl cat --resource function --pid 4711 --format csv
              tracectl anomalies --rule slow_call
              tracectl top --by self
              tracectl flame --format svg > flame.svg
              tracectl log verify

            Several clusters:
              tracectl status --cells cells.json
              tracectl top --object-store s3://traces/production --cell all
              tracectl mirror --data /srv/all --object-store s3://traces/production --follow

            Sending events (--server names the address of trace-router):
              tracectl agent --interval 1s --duration 10s
              tracectl import recording.json.gz
              tracectl send batches.pbs

            Exit codes: 0 done; 1 failed, with the reason on standard error; 2 wrong usage; 3 not done within \
            --timeout; 130 stopped by \
            Ctrl-C halfway (for agent that is the usual end: 0). A second Ctrl-C ends at once.
            """,
        version: BuildInfo.versionWithCommit,
        subcommands: [
            StatusCommand.self, FinalizeCommand.self, DrainCommand.self, ScaleCommand.self,
            WaitCommand.self,
            SlotsCommand.self, ReloadCommand.self, DeadLetterCommand.self, SkipCommand.self,
            SummaryCommand.self,
            CatCommand.self, TraceCommand.self, AnomaliesCommand.self, FlameCommand.self,
            TopCommand.self, DiffCommand.self, HostsCommand.self, ProcessesCommand.self,
            MirrorCommand.self, LogCommand.self, SendCommand.self,
            AgentCommand.self,
            ImportCommand.self, ListenCommand.self, ConfigCommand.self, PortsCommand.self,
            EdgeCommand.self,
        ]
    )

    /// Runs the command. As in every command of the project, the exit code is 2 for an invalid command line.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            if let problem = unknownCommand(CommandLine.arguments.dropFirst()) {
                Terminal.error.line("Error: \(problem). See tracectl --help")
            } else {
                Terminal.error.line(fullMessage(for: error))
            }
            exit(withError: ExitCode(2))
        }
    }

    /// Returns the error for a command line whose first word, or second word where the first has subcommands, is no
    /// command.
    private static func unknownCommand(_ words: ArraySlice<String>) -> String? {
        var (command, words): (any ParsableCommand.Type, ArraySlice<String>) = (Self.self, words)
        while let word = words.popFirst(), !word.hasPrefix("-") {
            let commands = command.configuration.subcommands
            guard !commands.isEmpty else { return nil }
            guard let next = commands.first(where: { name(of: $0) == word }) else {
                let hint = Suggestion.hint(for: word, among: commands.map(name))
                return "unknown command \(word)\(hint)"
            }
            command = next
        }
        return nil
    }

    private static func name(of command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? "\(command)".lowercased()
    }
}
