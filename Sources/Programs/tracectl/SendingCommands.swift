import ArgumentParser
import OperatorTools
import SystemIO
import TraceModel

/// `tracectl send`.
struct SendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Sends serialized TraceBatch messages from files.",
        discussion: """
            A file holds one serialized TraceBatch, or, where its name ends in .pbs, any number of them, \
            each preceded by its length as a varint (writeDelimitedTo in Java, \
            SerializeDelimitedToOstream in C++). Each batch is sent until the server has it on disk: \
            while the server is busy or away, for up to \(SendingSession.acceptSecondsMax) seconds a batch. \
            A batch without client_id and sequence gets them, so that no retry is counted twice. A batch \
            without the field semantics gets that of --semantics.

              tracectl send batch.pb
              tracectl send --json --server 10.0.0.5:50051 monday.pbs tuesday.pbs
              tracectl send --semantics neutracer recorded.pbs
            """
    )

    @Argument(help: "The files, sent in this order.") var files: [String]

    @Option(
        help: ArgumentHelp(
            "The semantics of batches that state none: neutracer (as the NeuTracer agent sends) or cumulative.",
            valueName: "name"
        )
    ) var semantics = Semantics.cumulative

    @OptionGroup var server: ServerOptions

    func run() throws {
        let session = try SendingSession(
            server: try server.connection(),
            giveUpAfterSeconds: Double(SendingSession.acceptSecondsMax)
        )
        defer { session.close() }
        let run = SendRun(sender: session.sender, identity: ClientIdentity(), semantics: semantics)
        run.onProgress = { session.progress.update("Sending", done: $0, total: $1) }
        let completed = try session.runInterruptibly {
            try run.send(paths: files, stop: session.stop)
        }
        let summary = SendSummary(
            files: files.count,
            run: run,
            sender: session.sender,
            seconds: session.elapsedSeconds,
            completed: completed
        )
        Terminal.output.line(server.json ? try Report.json(summary) : summary.text)
        if !completed { throw ExitCode(130) }
    }
}

/// `tracectl agent`.
struct AgentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Samples this machine's processes from /proc and sends them as events.",
        discussion: """
            Every interval: CPU time and utilization of each process; memory, when the resident size \
            changed (alloc when it grew, free when it shrank); reads and writes, when there were some; \
            each process's sockets; and the names of processes and threads, which function and GPU events of \
            the same host are shown with. Without root it sees I/O and sockets of your own processes only. \
            The kernel reports neither latency nor device of I/O here, nor the bytes of a single socket: \
            those fields stay empty.

            Runs until --duration is over or Ctrl-C. While the server is busy or away it waits and keeps \
            what it has, at most \(Limits.toolBatchEvents) events; samples missed meanwhile are counted.

              tracectl agent
              tracectl agent --interval 500ms --duration 1m --json
              tracectl agent --server collector:50051 --host web-3
            """
    )

    @Option(help: ArgumentHelp("Time from sample to sample: 500ms, 1s, 1m.", valueName: "time"))
    var interval = TimeSpan
        .second

    @Option(help: ArgumentHelp("When to end; otherwise at Ctrl-C.", valueName: "time"))
    var duration: TimeSpan?

    @OptionGroup var host: HostOptions
    @OptionGroup var server: ServerOptions

    func run() throws {
        // An agent without an end waits for its server without a limit.
        let giveUpAfter = duration.map { $0.seconds + Double(SendingSession.acceptSecondsMax) }
        let session = try SendingSession(
            server: try server.connection(host: host.name),
            giveUpAfterSeconds: giveUpAfter
        )
        defer { session.close() }
        let batches = session.batches(host: host.name, eventsMax: Limits.toolBatchEvents)
        var run = AgentRun(
            sampler: HostSampler(proc: ProcDirectory()),
            session: batches,
            stop: session.stop
        )
        run.onSample = { samples, events in
            session.progress.update("Sample \(samples): \(Report.grouped(events)) events sent")
        }
        try session.runInterruptibly {
            try run.run(intervalSeconds: interval.seconds, durationSeconds: duration?.seconds)
        }
        let summary = AgentSummary(
            run: run,
            session: batches,
            sender: session.sender,
            seconds: session.elapsedSeconds
        )
        Terminal.output.line(server.json ? try Report.json(summary) : summary.text)
    }
}

/// `tracectl import`.
struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract:
            "Sends the calls of a Chrome trace, as viztracer, py-spy, JAX, clang or node write it, as function events.",
        discussion: """
            Takes an object with traceEvents or a bare array, in UTF-8, plain or compressed (gzip or zstd, recognized by the \
            first bytes), from a file or a pipe; also one that is cut off at its end. B/E pairs and X events become \
            entries and exits, nested by thread, with a cookie for each call, running call counts and mean durations. An E \
            with a name ends the innermost open call of that name, and calls inside it end with it. Names and order of \
            processes and names of threads (M events process_name, process_sort_index, thread_name) are sent along. \
            Holds up to \(Limits.importCallsMax) calls in memory, about 100 bytes each.

            The report accounts for every event: read = imported + skipped, by phase or by reason. Calls more than a \
            day from nearly all others, which recorders write for a missing time, are skipped as well.

            Ids of processes and threads: what fits into 32 bits is kept; others (64 bits, texts, fractions, negative \
            ones, process 0) get free numbers from 1, which the report names, and are named as in the file. \
            Hexadecimal texts become their number where that is free. 7, 7.0 and "7" are one id, as in viewers.

            The time of the recording: times from 10^15 microseconds up are taken as they are; \
            others count from the zero that the file states (baseTimeNanoseconds, clang's beginningOfTime, bazel's \
            profile_start_ts, before Bazel 8 profile_finish_ts); otherwise the last event is placed at the file's modification \
            time, or that of reading a pipe. --start places the first event instead: seconds since the epoch, or ISO 8601 with a zone.

              viztracer -o recording.json.gz program.py && tracectl import recording.json.gz
              tracectl import trace.json --start 2024-05-01T12:00:00Z --host build-7
              curl -s https://ci/build-7/profile.json.gz | tracectl import -
            """
    )

    @Argument(help: "The recording; - for standard input.") var file: String

    @Option(help: ArgumentHelp("The time of the first event.", valueName: "time")) var start:
        StartTime?

    @Option(help: ArgumentHelp("Events in one batch.", valueName: "n")) var batchEvents = Limits
        .toolBatchEvents

    @OptionGroup var host: HostOptions
    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard (1...100_000).contains(batchEvents) else {
            throw ValidationError("--batch-events is 1 to 100000")
        }
    }

    func run() throws {
        try RecordingFile.checkStandardInput(file)
        let session = try SendingSession(
            server: try server.connection(host: host.name),
            giveUpAfterSeconds: Double(SendingSession.acceptSecondsMax)
        )
        defer { session.close() }
        var recording = Recording()
        guard let source = try read(into: &recording, session) else {
            Terminal.error.line("Interrupted while reading \(file); nothing was sent")
            throw ExitCode(130)
        }
        let placement = RecordingPlacement.choose(
            for: recording,
            start: start?.nanoseconds,
            modified: source.modified,
            isFile: source.isFile
        )
        let shift = recording.span.map(placement.shift) ?? 0
        recording.leaveOutCallsThatCannotStand(shiftedBy: shift)
        var summary = ImportSummary(file: file, recording: recording, placement: placement)
        let batches = session.batches(host: host.name, eventsMax: batchEvents)
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

    /// Reads the recording; returns its file, or nil where Ctrl-C ended it.
    private func read(
        into recording: inout Recording,
        _ session: SendingSession
    ) throws -> RecordingFile? {
        var source: RecordingFile?
        let isRead = try session.runInterruptibly {
            let opened = try RecordingFile(file, stop: session.stop)
            source = opened
            var reader = ChromeTraceReader(opened.bytes)
            reader.onProgress = {
                if $1 > 0 {
                    session.progress.update("Reading", done: $0, total: $1)
                } else {
                    session.progress.update("Reading, \($0 >> 20) MiB so far")
                }
                if session.stop.isRaised { throw Interrupted() }
            }
            recording = try opened.naming { try reader.read() }
        }
        return isRead ? source : nil
    }
}
