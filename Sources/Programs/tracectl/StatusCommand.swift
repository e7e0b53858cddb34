import ArgumentParser
import OperatorTools
import SystemIO
import TraceModel

/// `tracectl status`.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract:
            "Shows whether the cluster is ready, its processes, and what became of every event.",
        discussion: """
            Asks the aggregator, whose address is in run/aggregator.addr in the data directory. Where \
            it can't be reached, the answer has the same form: `known` is false, process \
            ids are null and `received_events` is -1, which equals no sum of the others. It is not ready either while \
            a process does not stay up; `problems` then names it and the remedy. Exit code 0 whenever there \
            was something to print.

            The cluster is quiet when every worker's lag is 0; then received = written + deduplicated + \
            dead-lettered + rejected.

              tracectl status
              tracectl status --json --data /var/lib/trace | jq .received_events

            With --cells it asks several clusters, and shows a line for each, or those of one with --cell. FILE lists them as \
            Prometheus' file_sd_configs does, in JSON: targets are where metrics are served, the label cell is the name. \
            NAME:PORT stands for all addresses of a name in DNS, as that of a headless service of Kubernetes.

              tracectl status --cells cells.json
              tracectl status --cells trace-metrics.trace.svc:9091 --json | jq '.cells[] | select(.status.ready | not)'
            """
    )

    @OptionGroup var data: DataOptions

    @Option(
        help: ArgumentHelp("The aggregator's address, if not looked up.", valueName: "addr:port")
    ) var metrics: HostPort?

    @Option(
        help: ArgumentHelp("Ask several clusters.", valueName: "file|name:port")
    ) var cells: String?

    @Option(help: ArgumentHelp("Of these only one.", valueName: "name")) var cell: String?

    @Flag(help: "Print the status as one JSON object and nothing else.") var json = false

    func validate() throws {
        if cell != nil, cells == nil { throw ValidationError("--cell goes with --cells") }
        if cells != nil, metrics != nil {
            throw ValidationError("--cells and --metrics don't go together")
        }
    }

    func run() throws {
        if let cells { return try show(try CellList(cells, only: cell)) }
        let answer = StatusQuery(dataDirectory: data.directory, metrics: metrics).run()
        if let problem = answer.problem {
            Terminal.error.line("tracectl: \(problem)")
            // The supervisor's records are readable even where the aggregator does not answer.
            for problem in SupervisedProcesses.problems(in: data.directory) {
                Terminal.error.line("tracectl: \(problem)")
            }
        }
        let terminal = Terminal.output
        terminal.line(json ? answer.json : StatusTable(answer.status, terminal: terminal).text)
    }

    private func show(_ list: CellList) throws {
        let terminal = Terminal.output
        let status = list.query()
        terminal.line(json ? status.json : status.text(terminal: terminal))
    }
}

/// `tracectl wait`.
struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Waits until all processes are connected and no worker is far behind.",
        discussion: """
            Reports every few seconds what it waits for. A worker is far behind with a megabyte of log or more: under \
            load none is completely up to date. It does not wait for workers that are down for good. With --workers it waits until \
            exactly these are connected to the router, however far behind they are.

              tracectl wait --timeout 60
              tracectl wait --workers function=2,cpu=1,memory=1,network=1,io=1,gpu=1
              tracectl wait --process cpu.0 --pid 4711 --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions
    @OptionGroup var waiting: WaitOptions

    @Option(help: ArgumentHelp("Also wait until this process is back.", valueName: "name"))
    var process: String?

    @Option(help: ArgumentHelp("The id of that process.", valueName: "pid")) var pid: Int?

    @Option(
        help: ArgumentHelp(
            "Wait until these workers are connected, and no others.",
            valueName: "resource=count,…"
        ),
        transform: { text in
            guard let counts = WorkerCounts.parse(text), !counts.isEmpty else {
                throw ValidationError("not RESOURCE=COUNT[,…]: \(text)")
            }
            return counts
        }
    ) var workers: [Resource: Int]?

    func validate() throws {
        guard workers == nil || process == nil else {
            throw ValidationError("--workers and --process don't go together")
        }
        guard (process == nil) == (pid == nil) else {
            throw ValidationError("--process and --pid go together")
        }
    }

    func run() throws {
        let wanted = process.flatMap { name in pid.map { (name: name, pid: $0) } }
        try waiting.until(in: data.directory) { status in
            workers.map(status.isConnected) ?? status.isCaughtUp(with: wanted)
        }
    }
}

/// `tracectl slots`.
struct SlotsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slots",
        abstract: "Shows which worker holds which slots.",
        discussion: """
            A process of a traced machine always belongs to the same one of 256 slots of a resource. There is a line \
            for each worker and barrier (by the LSN of its end) that moved slots to it. SKEW is what the worker \
            applied in the last minute over the mean of its resource's workers: more workers help where it is \
            near 1; far above, a few busy processes share the worker's slots, or a single one makes all of its load.

              tracectl slots
              tracectl slots --json --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions

    @Flag(help: "Print one JSON object and nothing else.") var json = false

    func run() throws {
        let status = StatusQuery(dataDirectory: data.directory, metrics: nil).run().status
        let table = SlotTable(try AdminClient.slots(dataDirectory: data.directory), status)
        let terminal = Terminal.output
        terminal.line(json ? try table.json() : table.text(terminal: terminal))
    }
}

/// `tracectl ports`.
struct PortsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ports",
        abstract: "Reports which process has an address that a cluster is to listen on.",
        discussion: """
            Tries each address. For one that can't be listened on it prints the reason, and the process that has it where that can \
            be known, on standard error; exit code 0 where all are free, else 1.

              tracectl ports --grpc 127.0.0.1:50051 --metrics 127.0.0.1:9091 --console 127.0.0.1:9090
            """
    )

    @Option(help: ArgumentHelp("Where agents are to send.", valueName: "addr:port")) var grpc:
        HostPort?

    @Option(help: ArgumentHelp("Where metrics are to be served.", valueName: "addr:port"))
    var metrics: HostPort?

    @Option(help: ArgumentHelp("Where the console is to be served.", valueName: "addr:port"))
    var console: HostPort?

    @Option(help: ArgumentHelp("Where agents without TLS are to send.", valueName: "addr:port"))
    var plain: HostPort?

    func run() throws {
        var isFree = true
        let addresses = [
            ("--grpc", grpc), ("--metrics", metrics), ("--console", console), ("--plain", plain),
        ]
        for (option, address) in addresses {
            guard let address else { continue }
            do throws(SystemError) { _ = try ListeningSocket.bind("\(address)") } catch {
                isFree = false
                let remedy =
                    error.isAddressTaken
                    ? PortHolder.remedy(port: address.port, option: option)
                    : "Name an address of this machine with \(option) ADDR:PORT"
                Terminal.error.line(
                    "error: \(address) (\(option)) can't be listened on: \(error). \(remedy)"
                )
            }
        }
        if !isFree { throw ExitCode(1) }
    }
}

/// `tracectl listen`.
struct ListenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "listen",
        abstract: "Listens on an address and becomes another program, which inherits the socket.",
        discussion: """
            For supervisors: a router that inherits its listening socket can be restarted, and agents \
            that connect meanwhile wait. The program, and what it starts, has the socket as descriptor 3 \
            (more for a name with several addresses), with their number in LISTEN_FDS, as with systemd; \
            a process that uses it sets LISTEN_PID to its own process id.

              tracectl listen 127.0.0.1:50051 s6-svscan run/services
            """
    )

    @Argument(help: ArgumentHelp("Where agents connect.", valueName: "address:port")) var address:
        String

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments.") var command:
        [String]

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("Name the program to become") }
    }

    func run() throws { try ListeningSocket.pass(ListeningSocket.bind(address), to: command) }
}
