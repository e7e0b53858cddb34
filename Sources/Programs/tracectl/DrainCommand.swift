import ArgumentParser
import OperatorTools

struct DrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Stops accepting batches, finalizes, and lets the router end.",
        discussion: """
            What scripts/cluster does before it stops the processes. Returns once every file is final; \
            their paths come one a line. A supervisor that restarts the router ends the drain with it, \
            so tell it first.

              tracectl drain --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions
    @OptionGroup var waiting: WaitOptions

    func run() throws {
        let directory = data.directory
        let files = try waiting.run(in: directory) {
            try AdminClient.drain(dataDirectory: directory)
        }
        for file in files { Terminal.output.line(file) }
    }
}
