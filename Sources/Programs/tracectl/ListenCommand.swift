import ArgumentParser
import SystemIO

struct ListenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "listen",
        abstract: "Listens on an address and becomes another program, which inherits the socket.",
        discussion: """
            For supervisors: a router that inherits its listening socket can be started anew, and agents \
            that connect meanwhile wait. The program, and what it starts, has the socket as descriptor 3 \
            (more for a name with several addresses), with their number in LISTEN_FDS, as with systemd; \
            whoever uses it sets LISTEN_PID to its own process id.

              tracectl listen 127.0.0.1:50051 s6-svscan run/services
            """
    )

    @Argument(help: ArgumentHelp("Where agents connect.", valueName: "address:port"))
    var address: String

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments.")
    var command: [String]

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("Name the program to become") }
    }

    func run() throws {
        try ListeningSocket.pass(ListeningSocket.bind(address), to: command)
    }
}
