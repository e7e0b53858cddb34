import ArgumentParser
import OperatorTools
import TraceModel

/// `tracectl log`.
struct LogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Checks and shows the ingest log, whether or not the cluster runs.",
        discussion: """
            Nothing is changed and no lock is taken, except by `accept-loss`. A record that a running router has not finished is no \
            damage.

              tracectl log verify && echo sound
              tracectl log dump --limit 20
              tracectl log stats --json
            """,
        subcommands: [
            LogVerifyCommand.self, LogDumpCommand.self, LogStatsCommand.self,
            LogAcceptLossCommand.self,
        ]
    )
}

/// `tracectl log dump`.
struct LogDumpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Shows the log, one line for each record.",
        discussion: """
            LSN, type, bytes to the next record, then by name what the record holds: arrival, host, events \
            by resource, a barrier's window, a damage record's range, the totals so far. A damaged range \
            is a line of its own.

              tracectl log dump --from 1048576 --limit 5
              tracectl log dump --json | jq 'select(.type == "barrier")'
            """
    )

    @OptionGroup var data: DataOptions

    @Option(
        help: ArgumentHelp("The position of the first record, or one before it.", valueName: "lsn")
    ) var from: LSN?

    @Option(help: ArgumentHelp("Only records that begin before this position.", valueName: "lsn"))
    var to: LSN?

    @Option(help: ArgumentHelp("The greatest number of lines.", valueName: "n")) var limit: Int?

    @Flag(help: "Print one JSON object per line.") var json = false

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit is 1 or more") }
        if let from, let to, from > to { throw ValidationError("--from is behind --to") }
    }

    func run() throws {
        let log = try StoredLog(dataDirectory: data.directory)
        try LogDump(from: from, to: to, limit: limit, isJSON: json).run(log) {
            Terminal.output.line($0)
        }
    }
}

/// `tracectl log stats`.
struct LogStatsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats",
        abstract: "Counts what the log holds: files, records, batches, events by resource.",
        discussion: """
            The log is trimmed as workers checkpoint: what is counted is what is still there. Only the \
            events ever accepted, deduplicated, rejected and dead-lettered reach back to the first start.

              tracectl log stats --json | jq .events
            """
    )

    @OptionGroup var data: DataOptions

    @Flag(help: "Print one JSON object and nothing else.") var json = false

    func run() throws {
        let statistics = try LogStatistics(StoredLog(dataDirectory: data.directory))
        Terminal.output.line(json ? try Report.json(statistics) : statistics.text)
    }
}

/// `tracectl log verify`.
struct LogVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Reads every record and reports exactly which ranges of the log are damaged.",
        discussion: """
            Checks of each record: checksum, identity, position, its predecessor's checksum, that its body \
            decodes and that its counts follow from those before. Bytes behind the end that belong to a \
            write that never finished are reported, but are no damage. That files are missing at the front is seen by the \
            checkpoints of workers, which still need them.

            Exit codes: 0 sound, 1 damaged, 2 it could not be read.

              tracectl log verify --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions

    @Flag(help: "Print one JSON object and nothing else.") var json = false

    func run() throws {
        let found: LogVerification
        do { found = try LogVerification(StoredLog(dataDirectory: data.directory)) } catch {
            Terminal.error.line("Error: \(error)")
            throw ExitCode(2)
        }
        Terminal.output.line(json ? try Report.json(found) : found.text)
        if !found.isClean { throw ExitCode.failure }
    }
}

/// `tracectl log accept-loss`.
struct LogAcceptLossCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "accept-loss",
        abstract: "Decides that the log goes on without what was lost of it.",
        discussion: """
            For a router that does not start because its log lost its end, or the beginning that workers still need: a \
            file was cut or removed. Try first to put the files back. Once accepted, the next start of the router takes \
            workers past a lost beginning, and for a lost end begins the log anew behind all positions that were given \
            before. Lost events that no worker applied count as dead-lettered, and agents that send lost events again \
            may be counted twice. Nothing else is changed.

              tracectl log accept-loss --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions

    func run() throws {
        Terminal.output.line(try LogLossDecision.accept(dataDirectory: data.directory))
    }
}
