import Glibc
import SystemIO
import TraceModel

/// The do-nothing server as a process of its own: this program, started with `floor`.
package final class FloorProcess {
    package let pid: Int
    /// Where it listens: `127.0.0.1:PORT`.
    package let address: String
    /// It serves as long as this is open.
    private let life: Int32

    /// `program`: a path to `trace-bench`. Blocks until the server listens. `close` must be called in
    /// every case.
    package init(program: String) throws {
        let input = try Self.makePipe()
        let output = try Self.makePipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input.reading, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output.writing, STDOUT_FILENO)
        var child = pid_t()
        let arguments = [strdup(program), strdup("floor"), nil]
        defer { for argument in arguments { free(argument) } }
        let code = posix_spawn(&child, program, &actions, nil, arguments, environ)
        Glibc.close(input.reading)
        Glibc.close(output.writing)
        defer { Glibc.close(output.reading) }
        guard code == 0 else {
            Glibc.close(input.writing)
            throw SystemError(errno: code, call: "posix_spawn", subject: program)
        }
        pid = Int(child)
        life = input.writing
        guard let port = Self.readPort(output.reading) else {
            Glibc.close(life)
            waitpid(child, nil, 0)
            throw TraceError(.system, "the do-nothing server does not start")
        }
        address = "127.0.0.1:\(port)"
    }

    /// Ends it and waits for its end.
    package func close() {
        Glibc.close(life)
        waitpid(pid_t(pid), nil, 0)
    }

    private static func readPort(_ descriptor: Int32) -> Int? {
        var text: [UInt8] = []
        var byte: UInt8 = 0
        while read(descriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") { text.append(byte) }
        return Int(String(decoding: text, as: UTF8.self))
    }

    /// Neither end outlives an exec but where it is said.
    private static func makePipe() throws(SystemError) -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [0, 0]
        try systemCall("pipe", "") { pipe(&ends) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }
}
