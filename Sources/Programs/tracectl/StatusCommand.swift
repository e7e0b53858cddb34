import ArgumentParser
import OperatorTools
import TraceModel

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract:
            "Shows whether the cluster is ready, its processes, and what became of every event.",
        discussion: """
            Asks the aggregator, which listens where run/aggregator.addr in the data directory says. Where \
            it can't be reached the answer has the same form and says that nothing is known: `known` is false, process \
            ids are null and `received_events` is -1, which equals no sum of the others. It is not ready either while \
            a process does not stay up; `problems` then says which and what to do. Exit code 0 whenever there \
            was something to print.

            The cluster is quiet when every worker's lag is 0; then received = written + deduplicated + \
            dead-lettered + rejected.

              tracectl status
              tracectl status --json --data /var/lib/trace | jq .received_events
            """
    )

    @OptionGroup var data: DataOptions

    @Option(
        help: ArgumentHelp("The aggregator's address, if not looked up.", valueName: "addr:port")
    )
    var metrics: HostPort?

    @Flag(help: "Print the status as one JSON object and nothing else.")
    var json = false

    func run() {
        let answer = StatusQuery(dataDirectory: data.directory, metrics: metrics).run()
        if let problem = answer.problem {
            Terminal.error.line("tracectl: \(problem)")
            // What the supervisor says of processes is there also where the aggregator is not.
            for problem in SupervisedProcesses.problems(in: data.directory) {
                Terminal.error.line("tracectl: \(problem)")
            }
        }
        let terminal = Terminal.output
        terminal.line(json ? answer.json : StatusTable(answer.status, terminal: terminal).text)
    }
}
