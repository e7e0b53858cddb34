import ArgumentParser
import OperatorTools

struct LogAcceptLossCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "accept-loss",
        abstract: "Decides that the log goes on without its lost end.",
        discussion: """
            For a router that does not start, as the end of its log is gone: a file was cut or removed. Try first whether \
            the files can be put back. Once accepted, the next start of the router begins the log anew behind all \
            positions that were given before; what is lost and was not applied by workers counts as dead-lettered, and \
            agents that send again what is lost may be counted twice. Nothing else is changed.

              tracectl log accept-loss --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions

    func run() throws {
        Terminal.output.line(try LogLossDecision.accept(dataDirectory: data.directory))
    }
}
