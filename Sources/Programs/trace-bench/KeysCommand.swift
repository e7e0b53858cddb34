import ArgumentParser
import OperatorTools
import SystemIO
import TraceBench
import TraceTime

extension KeyBench.Kind: ExpressibleByArgument {}

/// One number of one kind of key, without a cluster.
struct KeysCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "Measures a worker's loop with ever new keys: CPU an event, state, memory.",
        discussion: """
            The memory is that of this process, so a run measures one number of keys of one kind; \
            scripts/bench --keys makes the table of all.
            """
    )

    @Argument(help: "What there is ever more of.")
    var kind: KeyBench.Kind

    @Option(help: "How many keys there are.")
    var keys = 1_000_000

    @Option(help: "How many events are sent; at least one a key.")
    var events = 2_000_000

    @Option(help: ArgumentHelp("Where the worker's files go for the time.", valueName: "dir"))
    var directory = "."

    @Flag(help: "Print one JSON object and nothing else.")
    var json = false

    func validate() throws {
        guard keys > 0, events > 0 else {
            throw ValidationError("the numbers have to be positive")
        }
    }

    func run() throws {
        SignalReceiver.blockAll()
        Heap.setUp(mappedBytesMin: 8 << 20)
        let zone = try TimeZoneRules.configure("UTC")
        let bench = KeyBench(zone: zone, directory: directory)
        let figure = try bench.run(kind, keys: keys, events: max(events, keys))
        if json {
            Terminal.output.line(try Report.json([figure]))
        } else {
            Terminal.output.line(KeyFigure.head)
            Terminal.output.line(figure.line)
        }
    }
}
