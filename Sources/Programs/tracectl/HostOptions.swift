import ArgumentParser
import TraceModel

/// The name to send for the traced machine.
struct HostOptions: ParsableArguments {
    @Option(
        name: .customLong("host"),
        help: ArgumentHelp(
            "The traced machine's name; otherwise the server goes by the sender's address.",
            valueName: "name"
        )
    )
    var name = ""

    func validate() throws {
        guard name.utf8.count <= Limits.hostBytesMax else {
            throw ValidationError("--host is longer than \(Limits.hostBytesMax) bytes")
        }
    }
}
