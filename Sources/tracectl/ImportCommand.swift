import ArgumentParser
import OperatorTools
import TraceModel

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Sends the calls of a Chrome trace, as viztracer writes it, as function events.",
        discussion: """
            Takes an object with traceEvents or a bare array, plain or gzip, also one that is cut off at \
            its end. B/E pairs and X events become entries and exits, nested by thread, with a cookie a \
            call; call counts and mean durations run along. Names and order of processes and names of threads \
            (M events process_name, process_sort_index, thread_name) are sent along. Other events are skipped \
            and counted. Holds up to \(Limits.importCallsMax) calls in memory, about 100 bytes each.

            Where the recording stands in time: times from 10^15 microseconds up are taken as they are; \
            others count from the file's baseTimeNanoseconds where it has one; otherwise the last event is \
            placed at the file's modification time. --start places the first event instead: seconds \
            since the epoch, or ISO 8601 with a zone.

              viztracer -o recording.json.gz program.py && tracectl import recording.json.gz
              tracectl import trace.json --start 2024-05-01T12:00:00Z --host build-7
            """
    )

    @Argument(help: "The recording: .json or .json.gz.")
    var file: String

    @Option(help: ArgumentHelp("The time of the first event.", valueName: "time"))
    var start: StartTime?

    @Option(help: ArgumentHelp("Events in one batch.", valueName: "n"))
    var batchEvents = Limits.toolBatchEvents

    @OptionGroup var host: HostOptions
    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard (1...100_000).contains(batchEvents) else {
            throw ValidationError("--batch-events is 1 to 100000")
        }
    }

    func run() throws {
        let session = try SendingSession(
            server: server.server,
            giveUpAfterSeconds: Double(SendingSession.patienceSeconds)
        )
        defer { session.close() }
        let source = try RecordingFile(file)
        var reader = ChromeTraceReader(source.bytes)
        reader.onProgress = { session.progress.update("Reading", done: $0, total: $1) }
        let recording = try source.naming { try reader.read() }
        let placement = RecordingPlacement.choose(
            for: recording,
            start: start?.nanoseconds,
            modified: source.modified
        )
        var summary = ImportSummary(file: file, recording: recording, placement: placement)
        let batches = session.batches(host: host.name, eventsMax: batchEvents)
        let shift = recording.span.map(placement.shift) ?? 0
        var run = ImportRun(consume recording, session: batches, stop: session.stop)
        run.onProgress = { session.progress.update("Sending", done: $0, total: $1) }
        summary.completed = try session.runInterruptibly { try run.run(shift: shift) }
        summary.eventsSent = batches.acknowledgedEvents
        summary.batches = session.sender.batches
        summary.retries = session.sender.retries
        summary.namesSent = run.namesSent
        summary.truncatedCalls = run.truncatedCalls
        Terminal.output.line(server.json ? try Report.json(summary) : summary.text)
        if !summary.completed { throw ExitCode(130) }
    }
}
