import GRPCServices
import GRPCTransport
import Glibc
import SystemIO
package import TraceModel

/// Answers every batch at once without reading it.
final class FloorHandler: GRPCServerHandler {
    private let response = TraceResponse(success: true).encoded()
    private let ack = BatchAck(sequence: 0, success: true, acceptedEvents: 0).encoded()

    func unary(_ call: GRPCUnaryCall, method: Int, message: consuming ReceivedMessage) {
        call.reply(response)
    }

    func streamOpened(_ stream: GRPCStream, method: Int) { stream.receiveNext() }

    func streamMessage(_ stream: GRPCStream, method: Int, message: consuming ReceivedMessage) {
        stream.release(bytes: message.count)
        if stream.send(ack) { stream.receiveNext() } else { stream.finish(.resourceExhausted) }
    }

    func streamHalfClosed(_ stream: GRPCStream, method: Int) { stream.finish() }

    func streamEnded(_ stream: GRPCStream, method: Int, cancelled: Bool) {}

    func refused(method: Int, reason: GRPCRefusal) {}
}

/// A server that only answers: the cost and throughput of the transport alone on this machine.
package enum FloorServer {
    /// Serves on a free port of 127.0.0.1 until standard input ends, and prints the port on standard output.
    /// Standard input ends when the process that started the server ends.
    package static func run() throws(TraceError) {
        let server = GRPCServer(
            configuration: GRPCServerConfiguration(),
            methods: TracerService.methods,
            handler: FloorHandler()
        )
        defer { server.shutdown(deadlineSeconds: 1) }
        let port = try server.bind("127.0.0.1:0")
        server.start()
        print(port)
        fflush(nil)
        var byte: UInt8 = 0
        while true {
            let count = unsafe read(STDIN_FILENO, &byte, 1)
            if count == 0 || (count < 0 && errno != EINTR) { return }
        }
    }
}

/// Runs the floor server as a separate process: this program, started with `floor`.
package final class FloorProcess {
    package let pid: Int
    /// The server's address: `127.0.0.1:PORT`.
    package let address: String
    /// The write end of the server's standard input. The server runs as long as it is open.
    private let serverInput: Int32

    /// Starts the server and blocks until it listens. `close` must always be called.
    /// - Parameter program: A path to `trace-bench`.
    package init(program: String) throws {
        let input = try Self.makePipe()
        let output = try Self.makePipe()
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, input.reading, STDIN_FILENO)
        unsafe posix_spawn_file_actions_adddup2(&actions, output.writing, STDOUT_FILENO)
        var child = pid_t()
        let arguments = unsafe [strdup(program), strdup("floor"), nil]
        defer { for index in unsafe arguments.indices { unsafe free(arguments[index]) } }
        let code = unsafe posix_spawn(&child, program, &actions, nil, arguments, environ)
        Glibc.close(input.reading)
        Glibc.close(output.writing)
        defer { Glibc.close(output.reading) }
        guard code == 0 else {
            Glibc.close(input.writing)
            throw SystemError(errno: code, call: "posix_spawn", subject: program)
        }
        pid = Int(child)
        serverInput = input.writing
        guard let port = Self.readPort(output.reading) else {
            Glibc.close(serverInput)
            waitpid(child, nil, 0)
            throw TraceError(.system, "the do-nothing server does not start")
        }
        address = "127.0.0.1:\(port)"
    }

    /// Ends the server and waits for its end.
    package func close() {
        Glibc.close(serverInput)
        waitpid(pid_t(pid), nil, 0)
    }

    private static func readPort(_ descriptor: Int32) -> Int? {
        var text: [UInt8] = []
        var byte: UInt8 = 0
        while unsafe read(descriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") {
            text.append(byte)
        }
        return Int(String(decoding: text, as: UTF8.self))
    }

    /// Makes a pipe whose ends are closed on exec, except where they are duplicated.
    private static func makePipe() throws(SystemError) -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [0, 0]
        try systemCall("pipe", "") { unsafe pipe(&ends) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }
}
