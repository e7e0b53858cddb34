import ArgumentParser
import OperatorTools

struct SlotsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slots",
        abstract: "Shows which worker holds which slots.",
        discussion: """
            A process of a traced machine always falls into the same one of 256 slots of a resource. A line \
            for each worker and barrier (by the LSN of its end) that brought it slots. SKEW is what the worker \
            applied in the last minute over the mean of its resource's workers: more workers help where it is \
            near 1; far above, few busy processes share the worker's slots, or one is all of its load.

              tracectl slots
              tracectl slots --json --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions

    @Flag(help: "Print one JSON object and nothing else.")
    var json = false

    func run() throws {
        let status = StatusQuery(dataDirectory: data.directory, metrics: nil).run().status
        let table = SlotTable(try AdminClient.slots(dataDirectory: data.directory), status)
        let terminal = Terminal.output
        terminal.line(json ? try table.json() : table.text(terminal: terminal))
    }
}
