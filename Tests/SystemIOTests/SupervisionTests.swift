import Foundation
import SystemIO
import TestSupport
import Testing

/// Signals from supervisors and notifications to them, in a separate process.
@Suite struct SupervisionTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test func blockedSignalsReachTheWaitingThread() throws {
        let probe = try ProbeProcess(["signals"])
        #expect(try probe.line() == "blocked")
        for signal in [SIGUSR1, SIGUSR1] {
            probe.send(signal)
            #expect(try probe.line() == "\(signal)")
        }
        // The signal is blocked and nobody waits for it, so nothing happens.
        probe.send(SIGHUP)
        probe.send(SIGUSR1)
        #expect(try probe.line() == "\(SIGUSR1)")
        probe.send(SIGTERM)
        #expect(try probe.line() == "\(SIGTERM)")
        #expect(probe.wait() == (0, false))
    }

    @Test func aFaultEndsTheProcessAtOnce() throws {
        let probe = try ProbeProcess(["signals"])
        #expect(try probe.line() == "blocked")
        probe.send(SIGABRT)
        #expect(probe.wait() == (SIGABRT, true))
    }

    /// A datagram socket like systemd's, at a path or in the abstract namespace.
    private func listen(at name: String) throws -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0
            }
        }
        try #require(isBound)
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &limit,
            socklen_t(MemoryLayout<timeval>.size)
        )
        return descriptor
    }

    private func datagram(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 100)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }

    @Test(arguments: ["path", "abstract"]) func systemdIsNotified(kind: String) throws {
        let name = kind == "path" ? "\(directory.path)/notify" : "@\(directory.path)"
        let socket = try listen(at: name)
        defer { close(socket) }
        let probe = try ProbeProcess(["ready"], environment: ["NOTIFY_SOCKET": name])
        #expect(probe.wait() == (0, false))
        #expect(datagram(socket) == "READY=1")
        #expect(datagram(socket) == "WATCHDOG=1")
        #expect(datagram(socket) == "STOPPING=1")
    }

    /// A process starts even if nobody listens for its notification.
    @Test(arguments: [
        [:], ["NOTIFY_SOCKET": ""], ["NOTIFY_SOCKET": "/nowhere/notify"],
        ["NOTIFY_SOCKET": String(repeating: "x", count: 500)], ["TRACE_READY_FD": "many"],
    ]) func withoutASupervisorNothingHappens(environment: [String: String]) throws {
        let probe = try ProbeProcess(["ready"], environment: environment)
        #expect(try probe.line() == "")
        #expect(probe.wait() == (0, false))
    }

    /// s6 reads until a newline.
    @Test func s6IsNotifiedByANewline() throws {
        let probe = try ProbeProcess(["ready"], environment: ["TRACE_READY_FD": "1"])
        #expect(try probe.line() == "")
        #expect(probe.wait() == (0, false))
    }
}
