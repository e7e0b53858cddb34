import ArgumentParser
import OperatorTools

struct FinalizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "finalize",
        abstract: "Closes the open window and prints the files it became.",
        discussion: """
            Returns once everything received before is under output/ in final files; their paths come \
            one a line. Nothing is printed where nothing was received since the last window.

              tracectl finalize --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions
    @OptionGroup var waiting: WaitOptions

    func run() throws {
        let directory = data.directory
        let files = try waiting.run(in: directory) {
            try AdminClient.finalize(dataDirectory: directory)
        }
        for file in files { Terminal.output.line(file) }
    }
}
