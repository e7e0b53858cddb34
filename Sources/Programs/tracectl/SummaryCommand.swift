import ArgumentParser
import OperatorTools
import TraceModel

struct SummaryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "summary",
        abstract: "Shows what the finalized windows were about: totals and top lists by resource.",
        discussion: """
            Reads output/summary in the data directory; the cluster need not run. Over several windows, \
            sums and quantiles (within 1 %) are merged; a row counts in those windows in which it stood \
            among the first \(Limits.summaryRowsMax) of one of its lists. The open window is not in it: \
            tracectl finalize ends it.

              tracectl summary --resource function --top 5
              tracectl summary --last --json | jq '.[].tables'
            """
    )

    @OptionGroup var data: DataOptions

    @Option(
        help: ArgumentHelp("Of one resource only: \(Resource.nameList).", valueName: "resource")
    )
    var resource: Resource?

    @Option(help: ArgumentHelp("Rows of each list.", valueName: "n"))
    var top = 10

    @Flag(help: "Only each resource's newest window.")
    var last = false

    @Flag(help: "Print an array of one JSON object a resource and nothing else.")
    var json = false

    func validate() throws {
        guard (1...Limits.summaryRowsMax).contains(top) else {
            throw ValidationError("--top is 1 to \(Limits.summaryRowsMax)")
        }
    }

    func run() throws {
        let answers = try SummaryQuery(
            dataDirectory: data.directory,
            resource: resource,
            isLastWindowOnly: last
        ).run()
        let terminal = Terminal.output
        let report = SummaryReport(answers, topRows: top, terminal: terminal)
        terminal.line(json ? report.json : report.text)
    }
}
