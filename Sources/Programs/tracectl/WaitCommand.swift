import ArgumentParser
import OperatorTools
import TraceModel

struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Waits until all processes have found one another and no worker is far behind.",
        discussion: """
            Says every few seconds what it waits for. A worker is far behind with a megabyte of log and more: under \
            load none is quite up to date. Workers that are down for good are not waited for. With --workers it waits until \
            these have found the router and no others are left, however far behind they are.

              tracectl wait --timeout 60
              tracectl wait --workers function=2,cpu=1,memory=1,network=1,io=1,gpu=1
              tracectl wait --process cpu.0 --pid 4711 --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions
    @OptionGroup var waiting: WaitOptions

    @Option(help: ArgumentHelp("Wait also until this one is there again.", valueName: "name"))
    var process: String?

    @Option(help: ArgumentHelp("The id that it has to have.", valueName: "pid"))
    var pid: Int?

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
    )
    var workers: [Resource: Int]?

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
