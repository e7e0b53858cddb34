import ArgumentParser
import OperatorTools

/// `tracectl deadletter`.
struct DeadLetterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deadletter",
        abstract: "Shows events that were set aside, and sends them again.",
        discussion: """
            A record that ends its worker three times is set aside, as is what `tracectl skip` names: the \
            events are kept in deadletters/ in the data directory and counted, and the worker continues. Each letter's \
            .pbs file contains the events as they were received, also for `tracectl send`.

              tracectl deadletter list
              tracectl deadletter show function.0-4711-crash
              tracectl deadletter replay function.0-4711-crash
            """,
        subcommands: [List.self, Show.self, Replay.self]
    )

    /// `tracectl deadletter list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists all letters, one on a line."
        )

        @OptionGroup var data: DataOptions

        @Flag(help: "Print one JSON object and nothing else.") var json = false

        func run() throws {
            let store = try DeadLetterStore(dataDirectory: data.directory)
            let letters = try store.letters { Terminal.error.line("warning: \($0)") }
            let list = DeadLetterList(letters: letters)
            Terminal.output.line(json ? try Report.json(list) : list.text)
        }
    }

    /// `tracectl deadletter show`.
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows a letter, and its first events field by field."
        )

        @Argument(help: "The letter's name, as list shows it.") var name: String

        @OptionGroup var data: DataOptions

        @Option(help: ArgumentHelp("How many events to show.", valueName: "count")) var limit = 20

        func validate() throws {
            guard limit >= 0 else { throw ValidationError("--limit is negative") }
        }

        func run() throws {
            let store = try DeadLetterStore(dataDirectory: data.directory)
            let text = DeadLetterText(try store.letter(name), in: store)
            try text.write(eventsMax: limit) { Terminal.output.line($0) }
        }
    }

    /// `tracectl deadletter replay`.
    struct Replay: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sends letters to the server again, as new batches.",
            discussion: """
                Hosts and timestamps are those that came; an event without a timestamp gets the time at which \
                the server receives it now. A letter that is sent a second time is not counted again, as long \
                as the server remembers the first (its last 4,096 clients).
                """
        )

        @Argument(help: "The letters' names, as list shows them.") var names: [String]

        @OptionGroup var data: DataOptions

        @OptionGroup var server: ServerOptions

        func run() throws {
            let store = try DeadLetterStore(dataDirectory: data.directory)
            let letters = try names.map { try store.letter($0) }
            let session = try SendingSession(
                server: try server.connection(),
                giveUpAfterSeconds: Double(SendingSession.acceptSecondsMax)
            )
            defer { session.close() }
            let replay = DeadLetterReplay(store: store, sender: session.sender, stop: session.stop)
            var done = 0
            let completed = try session.runInterruptibly {
                for letter in letters {
                    session.progress.update("Sending", done: done, total: letters.count)
                    try replay.send(letter)
                    done += 1
                }
            }
            let summary = ReplaySummary(
                letters: done,
                events: letters.prefix(done).reduce(0) { $0 + $1.events },
                completed: completed
            )
            Terminal.output.line(server.json ? try Report.json(summary) : summary.text)
            if !completed { throw ExitCode(130) }
        }
    }
}
