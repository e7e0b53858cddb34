import ArgumentParser
import OperatorTools
import TraceFiles
import TraceModel

struct AnomaliesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "anomalies",
        abstract: "Shows what the anomaly rules found in finalized windows, in order of time.",
        discussion: """
            Reads output/anomalies in the data directory, in bounded memory; the cluster need not run. The open \
            window is not in it: tracectl finalize ends it. Severity goes from 0 to 1. With --json each line is \
            one object with the keys rule, resource, host, pid, process, ts (microseconds since the epoch), \
            value, baseline, score, severity and message.

            \(SpanOptions.help)

              tracectl anomalies --from '2026-05-01 14:00:00'
              tracectl anomalies --rule slow_call --host web-1
              tracectl anomalies --resource memory --json | jq .message

            Rules: \(AnomalyRun.ruleNames.joined(separator: ", ")).
            """
    )

    @OptionGroup var data: DataOptions

    @OptionGroup var span: SpanOptions

    @Option(help: ArgumentHelp("What one rule found only.", valueName: "rule"))
    var rule: String?

    @Option(
        help: ArgumentHelp("Of one resource only: \(Resource.nameList).", valueName: "resource")
    )
    var resource: Resource?

    @Option(help: ArgumentHelp("Of one host only, as its agents name it.", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("Of one process only.", valueName: "pid"))
    var pid: UInt32?

    @Flag(help: "Print one JSON object a line and nothing else.")
    var json = false

    func validate() throws {
        guard let rule, !AnomalyRun.ruleNames.contains(rule) else { return }
        let rules = AnomalyRun.ruleNames.joined(separator: ", ")
        throw ValidationError("There is no rule \(rule). The rules are: \(rules)")
    }

    func run() throws {
        let zone = LazyTimeZone(data)
        var selection = AnomalySelection()
        (selection.from, selection.to) = try span.resolved { try zone.rules() }
        selection.rule = rule
        selection.resource = resource
        selection.host = host
        selection.pid = pid
        let run = AnomalyRun(
            dataDirectory: data.directory,
            selection: selection,
            format: json ? .json : .table(try zone.rules())
        )
        guard try run.run() == 0, !json else { return }
        Terminal.error.line(
            isNarrowed
                ? "No anomaly in the final files is of that kind."
                : "There are no anomalies in the final files."
        )
    }

    private var isNarrowed: Bool {
        span.from != nil || span.to != nil || rule != nil || resource != nil || host != nil
            || pid != nil
    }
}
