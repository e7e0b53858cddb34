import ArgumentParser
import OperatorTools
import TraceModel

struct AgentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Samples this machine's processes from /proc and sends what it sees.",
        discussion: """
            Every interval: CPU time and utilization of each process; memory, when the resident size \
            changed (alloc when it grew, free when it shrank); reads and writes, when there were some; \
            each process's sockets; and the names of processes and threads, by which function and GPU events of \
            the same host are shown. Without root it sees I/O and sockets of your own processes only. \
            The kernel tells neither latency nor device of I/O here, nor the bytes of a single socket: \
            those fields stay empty.

            Runs until --duration is over or Ctrl-C. While the server is busy or away it waits and keeps \
            what it has, at most \(Limits.toolBatchEvents) events; samples missed meanwhile are counted.

              tracectl agent
              tracectl agent --interval 500ms --duration 1m --json
              tracectl agent --server collector:50051 --host web-3
            """
    )

    @Option(help: ArgumentHelp("Time from sample to sample: 500ms, 1s, 1m.", valueName: "time"))
    var interval = TimeSpan.second

    @Option(help: ArgumentHelp("When to end; otherwise at Ctrl-C.", valueName: "time"))
    var duration: TimeSpan?

    @OptionGroup var host: HostOptions
    @OptionGroup var server: ServerOptions

    func run() throws {
        // An agent without an end waits for its server without an end.
        let patience = duration.map { $0.seconds + Double(SendingSession.patienceSeconds) }
        let session = try SendingSession(server: server.server, giveUpAfterSeconds: patience)
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
