import ArgumentParser
import OperatorTools
import TraceFiles
import TraceModel

/// `tracectl trace`.
struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace",
        abstract: "Writes the events of all resources as one Chrome trace, for Perfetto.",
        discussion: """
            Reads the final files in the data directory, plain or compressed, in bounded memory; the cluster \
            need not run. The open window is not included: tracectl finalize closes it. Events of all resources, \
            windows and hosts come in order of time, so that calls, CPU, memory, network, I/O, GPU and anomalies stand \
            on one timeline.

              tracectl trace --from '2026-05-01 14:00:00' --to '2026-05-01 14:00:10' --output moment.json.gz
              tracectl trace --host web-1 --pid 4711 --limit 200M --output part.json
              tracectl trace --json --output all.json.gz | jq .left_out

            Open the file at https://ui.perfetto.dev. Processes have the names that any resource knows. Where there are \
            several hosts, the name says host and process id, as in python (pid 4000) on web-1, and of processes with \
            one id all but one are shown under ids from 4194304 on. Beside running totals of bytes stand rates: the \
            mean of the last tenth of a second. Calls that are open at --from, or where the trace ends, are cut there; \
            they have the category continued and the argument began, or the argument clipped.

            A trace that reaches --limit ends there. Its metadata, --json and a line on standard error say \
            how many events of which resource are left out; narrow the time, or name a host or a process, to see them.

            \(SpanOptions.help)

            \(SourceOptions.help)
            """
    )

    @OptionGroup var source: SourceOptions

    @OptionGroup var span: SpanOptions

    @Option(help: ArgumentHelp("Only one host, as its agents name it.", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("Only one process.", valueName: "pid")) var pid: UInt32?

    @Option(
        help: ArgumentHelp(
            "At most so many bytes of JSON, before they are compressed; K, M and G are units.",
            valueName: "bytes"
        )
    ) var limit: ByteCount?

    @Option(
        help: ArgumentHelp(
            "Write to a file, compressed if its name ends in .gz or .zst; otherwise to standard output.",
            valueName: "file"
        )
    ) var output: String?

    @Flag(help: "Print one JSON object that says what the trace contains. Goes with --output.")
    var json = false

    func validate() throws {
        if json, output == nil { throw ValidationError("--json goes with --output") }
        if let limit, limit.bytes < Limits.traceBytesMin {
            throw ValidationError("--limit is at least \(Limits.traceBytesMin >> 10)K")
        }
    }

    func run() throws {
        let zone = LazyTimeZone(source.data)
        let (from, to) = try span.resolved { try zone.rules() }
        let selection = CombinedTraceSelection(
            from: from,
            to: to,
            pid: pid,
            host: host,
            bytesMax: limit?.bytes
        )
        let report = try source.read(
            StoredResults.Selection(["json", "anomalies"], from: from, to: to)
        ) { directory in
            let run = TraceRun(dataDirectory: directory, selection: selection)
            return if let output { try run.run(into: output) } else { try run.run() }
        }
        guard let report else { return }
        guard let output else { return note(report) }
        if json {
            Terminal.output.line(TraceRun.json(report))
        } else {
            Terminal.output.line("\(output): \(TraceRun.text(report))")
        }
        note(report)
    }

    /// Reports on standard error what a reader of the trace could miss.
    private func note(_ report: CombinedTraceReport) {
        if report.written.events == 0, report.cutAt == nil, !json {
            Terminal.error.line(
                isNarrowed
                    ? "No event in the final files is of that kind."
                    : "There are no events in the final files."
            )
        }
        if report.cutAt != nil { Terminal.error.line(TraceRun.leftOutText(report)) }
    }

    private var isNarrowed: Bool {
        span.from != nil || span.to != nil || host != nil || pid != nil
    }
}
