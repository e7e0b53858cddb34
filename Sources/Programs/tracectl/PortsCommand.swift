import ArgumentParser
import OperatorTools
import SystemIO
import TraceModel

struct PortsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ports",
        abstract: "Says who has an address that a cluster is to listen on.",
        discussion: """
            Tries each address. Of one that can't be listened on it says why, and which process has it where that can \
            be known, on standard error; exit code 0 where all are free, else 1.

              tracectl ports --grpc 127.0.0.1:50051 --metrics 127.0.0.1:9091
            """
    )

    @Option(help: ArgumentHelp("Where agents are to send.", valueName: "addr:port"))
    var grpc: HostPort?

    @Option(help: ArgumentHelp("Where metrics are to be served.", valueName: "addr:port"))
    var metrics: HostPort?

    func run() throws {
        var isFree = true
        for (option, address) in [("--grpc", grpc), ("--metrics", metrics)] {
            guard let address else { continue }
            do throws(SystemError) {
                _ = try ListeningSocket.bind("\(address)")
            } catch {
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
