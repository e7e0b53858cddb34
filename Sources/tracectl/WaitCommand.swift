import ArgumentParser
import OperatorTools

struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Waits until all processes have found one another and no worker is far behind.",
        discussion: """
            Says every few seconds what it waits for. A worker is far behind with a megabyte of log and more: under \
            load none is quite up to date. Workers that are down for good are not waited for.

              tracectl wait --timeout 60
              tracectl wait --process cpu.0 --pid 4711 --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions
    @OptionGroup var waiting: WaitOptions

    @Option(help: ArgumentHelp("Wait also until this one is there again.", valueName: "name"))
    var process: String?

    @Option(help: ArgumentHelp("The id that it has to have.", valueName: "pid"))
    var pid: Int?

    func validate() throws {
        guard (process == nil) == (pid == nil) else {
            throw ValidationError("--process and --pid go together")
        }
    }

    func run() throws {
        let wanted = process.flatMap { name in pid.map { (name: name, pid: $0) } }
        try waiting.until(in: data.directory) { $0.isCaughtUp(with: wanted) }
    }
}
