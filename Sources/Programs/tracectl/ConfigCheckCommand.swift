import ArgumentParser
import ClusterConfiguration
import OperatorTools
import TraceModel

struct ConfigCheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Says all that is wrong with a configuration file.",
        discussion: """
            A line for each problem, with the file's line and the field. Exit code 0 where there is none, \
            else 1. What can be said where: tracectl config reference.

              tracectl config check --data /var/lib/trace
              tracectl config check /etc/trace/cluster.json
            """
    )

    @OptionGroup var data: DataOptions

    @Argument(help: "The file; default: cluster.json in the data directory.")
    var file: String?

    func run() throws {
        let path = file ?? "\(data.directory)/\(ClusterPaths.configuration)"
        let problems = try ConfigurationFile(path).problems
        for problem in problems { Terminal.error.line("error: \(problem)") }
        guard problems.isEmpty else { throw ExitCode(1) }
        Terminal.output.line("\(path) is right.")
    }
}
