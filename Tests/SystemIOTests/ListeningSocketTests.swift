import Foundation
import SystemIO
import TestSupport
import Testing

/// Listening sockets that this process opens or inherits.
@Suite struct ListeningSocketTests {
    /// Connects to a port of this machine.
    private func connect(to address: String) throws -> Int32 {
        let port = try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = port.bigEndian
        target.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isConnected = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        try #require(isConnected)
        return descriptor
    }

    @Test func acceptsConnections() throws {
        let listener = try #require(ListeningSocket.bind("127.0.0.1:0").first)
        #expect(try listener.accept() == nil)
        let client = try connect(to: listener.address)
        defer { close(client) }
        let connection = try #require(try listener.accept())
        defer { close(connection.descriptor) }
        #expect(connection.peer.hasPrefix("ipv4:127.0.0.1:"))
        #expect(try listener.accept() == nil)
    }

    @Test func aUnixSocketIsItsUsersAndReplacesAnOldOne() throws {
        let directory = try TemporaryDirectory()
        // Longer than a socket's address can be.
        let deep = "\(directory.path)/\(String(repeating: "d", count: 120))"
        try FileManager.default.createDirectory(atPath: deep, withIntermediateDirectories: true)
        try directory.asWorkingDirectory {
            for _ in 0..<2 {
                let listener = try #require(ListeningSocket.bind("unix:a.sock").first)
                #expect(
                    listener.address == "unix:a.sock" && listener.port == 0 && listener.isLoopback
                )
                var info = stat()
                #expect(stat("a.sock", &info) == 0 && info.st_mode & 0o777 == 0o600)
                let client = try LocalSocket.connect(to: "a.sock", in: ".", timeoutSeconds: 5)
                defer { close(client) }
                let connection = try #require(try listener.accept())
                defer { close(connection.descriptor) }
                #expect(connection.peer == "unix:")
            }
            #expect(throws: SystemError.self) { try ListeningSocket.bind("unix:\(deep)/a.sock") }
        }
        try FileManager.default.moveItem(
            atPath: "\(directory.path)/a.sock",
            toPath: "\(deep)/a.sock"
        )
        #expect(throws: SystemError.self, "nobody listens any more") {
            try LocalSocket.connect(to: "a.sock", in: deep, timeoutSeconds: 5)
        }
    }

    @Test func ipv4ClientsOfADualStackSocketHaveTheirIPv4Address() throws {
        let listener = try #require(ListeningSocket.bind("[::]:0").first)
        #expect(listener.address.hasPrefix("[::]:"))
        let client = try connect(to: listener.address)
        defer { close(client) }
        let connection = try #require(try listener.accept())
        defer { close(connection.descriptor) }
        #expect(connection.peer.hasPrefix("ipv4:127.0.0.1:"))
    }

    @Test func aTakenPortIsRefused() throws {
        let listener = try #require(ListeningSocket.bind("127.0.0.1:0").first)
        let error = #expect(throws: SystemError.self) { try ListeningSocket.bind(listener.address) }
        #expect(error?.isAddressTaken == true)
    }

    @Test(arguments: ["nowhere", "127.0.0.1:http"]) func invalidAddressesAreRefused(address: String)
    {
        #expect(throws: SystemError.self) { try ListeningSocket.bind(address) }
    }

    @Test func aProgramInheritsListeningSockets() throws {
        let probe = try ProbeProcess(["listen"])
        let address = try probe.line()
        #expect(address.hasPrefix("127.0.0.1:"))
        let client = try connect(to: address)
        defer { close(client) }
        try probe.send("\n")
        #expect(try probe.line().hasPrefix("ipv4:127.0.0.1:"))
        try probe.send("\n")
        #expect(try probe.line() == "nobody")
        try probe.endInput()
        #expect(probe.wait() == (0, false))
    }

    @Test func socketsForAnotherProcessAreNotTaken() throws {
        let environment = ["LISTEN_FDS": "1", "LISTEN_PID": "1"]
        let probe = try ProbeProcess(["inherit"], environment: environment)
        #expect(try probe.line() == "")
        try probe.endInput()
        #expect(probe.wait() == (0, false))
    }
}
