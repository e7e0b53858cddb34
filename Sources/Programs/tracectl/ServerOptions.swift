import ArgumentParser
import OperatorTools
import TraceModel

/// Where to send, and how to tell about it.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Where trace-router listens.", valueName: "addr:port"))
    var server = HostPort.defaultServer

    @Flag(help: "Print one JSON object at the end, and nothing else, on standard output.")
    var json = false
}
