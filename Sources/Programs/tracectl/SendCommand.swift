import ArgumentParser
import OperatorTools
import SystemIO
import TraceModel

struct SendCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Sends serialized TraceBatch messages from files.",
        discussion: """
            A file holds one serialized TraceBatch, or, where its name ends in .pbs, any number of them, \
            each with its length as a varint before it (writeDelimitedTo in Java, \
            SerializeDelimitedToOstream in C++). Each batch is sent until the server has it on disk: \
            while the server is busy or away, for up to \(SendingSession.patienceSeconds) seconds a batch. \
            A batch without client_id and sequence gets them, so that no retry counts twice. What its fields \
            mean a batch can say in its field semantics; one that does not is sent as --semantics says.

              tracectl send batch.pb
              tracectl send --json --server 10.0.0.5:50051 monday.pbs tuesday.pbs
              tracectl send --semantics neutracer recorded.pbs
            """
    )

    @Argument(help: "The files, sent in this order.")
    var files: [String]

    @Option(
        help: ArgumentHelp(
            "What fields mean where a batch does not say: neutracer (as the NeuTracer agent sends) or cumulative.",
            valueName: "name"
        )
    )
    var semantics = Semantics.cumulative

    @OptionGroup var server: ServerOptions

    func run() throws {
        let session = try SendingSession(
            server: server.server,
            giveUpAfterSeconds: Double(SendingSession.patienceSeconds)
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
