import GRPCServices
import GRPCTransport
import Glibc
import SystemIO
package import TraceModel

/// A server that does nothing but answer: what the transport alone costs and sustains here.
package enum FloorServer {
    /// Listens on a free port of 127.0.0.1, prints the port on standard output, and serves until
    /// standard input ends: with whoever started it.
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
            let count = read(STDIN_FILENO, &byte, 1)
            if count == 0 || (count < 0 && errno != EINTR) { return }
        }
    }
}
