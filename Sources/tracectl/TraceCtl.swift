import ArgumentParser
import TraceModel

@main
struct TraceCtl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tracectl",
        abstract: "Looks after a running Trace Processor, and sends it events.",
        discussion: """
            Looking after it (--data names the cluster's data directory):
              tracectl status --json
              tracectl finalize
              tracectl scale function=4,cpu=2
              tracectl reload

            What it wrote (--data again; it need not run):
              tracectl summary --top 5
              tracectl cat --resource function --pid 4711 > part.json

            Sending it events (--server names where trace-router listens):
              tracectl agent --interval 1s --duration 10s
              tracectl import recording.json.gz
              tracectl send batches.pbs

            Exit codes: 0 done; 1 failed, with the reason on standard error; 64 wrong usage; 130 stopped by \
            Ctrl-C halfway (for agent that is the usual end: 0). A second Ctrl-C ends at once.
            """,
        version: BuildInfo.version,
        subcommands: [
            StatusCommand.self, FinalizeCommand.self, DrainCommand.self, ScaleCommand.self,
            ReloadCommand.self, SummaryCommand.self, CatCommand.self, SendCommand.self,
            AgentCommand.self, ImportCommand.self,
        ]
    )
}
