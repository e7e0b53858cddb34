import ArgumentParser
import OperatorTools

struct LogVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Reads every record and says exactly which ranges of the log are damaged.",
        discussion: """
            Checks of each record: checksum, identity, position, its predecessor's checksum, that its body \
            decodes and that its counts follow from those before. Bytes behind the end that belong to a \
            write that never finished are told, and no damage.

            Exit codes: 0 sound, 1 damaged, 2 it could not be read.

              tracectl log verify --data /var/lib/trace
            """
    )

    @OptionGroup var data: DataOptions

    @Flag(help: "Print one JSON object and nothing else.")
    var json = false

    func run() throws {
        let found: LogVerification
        do {
            found = try LogVerification(StoredLog(dataDirectory: data.directory))
        } catch {
            Terminal.error.line("Error: \(error)")
            throw ExitCode(2)
        }
        Terminal.output.line(json ? try Report.json(found) : found.text)
        if !found.isClean { throw ExitCode.failure }
    }
}
