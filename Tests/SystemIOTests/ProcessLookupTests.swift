import Foundation
import TestSupport
import Testing
import TraceModel

@testable import SystemIO

/// Finds the holder of a port or a lock, and checks whether this process can still be reached.
struct ProcessLookupTests {
    @Test func theListenerOfAPortIsFound() throws {
        let listener = try #require(ListeningSocket.bind("127.0.0.1:0").first)
        let port = try #require(UInt16(exactly: listener.port))
        let holder = try #require(PortHolder.find(port: port))
        #expect(holder.pid == getpid())
        #expect(PortHolder.remedy(port: port, option: "--grpc").contains("process \(getpid())"))
    }

    @Test func aFreePortHasNoHolder() throws {
        let port = try freePort()
        #expect(PortHolder.find(port: port) == nil)
    }

    /// A port on which something listened until now.
    private func freePort() throws -> UInt16 {
        let listener = try #require(ListeningSocket.bind("127.0.0.1:0").first)
        return try #require(UInt16(exactly: listener.port))
    }

    @Test func onlyListeningSocketsOfThePortCount() {
        let table = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:C383 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
               1: 0100007F:C383 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
               2: 0100007F:2383 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1
            """
        #expect(PortHolder.listeners(in: table, port: 50_051) == ["4711"])
        #expect(PortHolder.listeners(in: table, port: 9_091) == ["4713"])
        #expect(PortHolder.listeners(in: table, port: 80).isEmpty)
    }

    @Test func theHolderOfALockIsFound() throws {
        let directory = try TemporaryDirectory()
        let file = try File(directory.path, .read)
        #expect(LockHolder.find(of: file) == nil)
        #expect(try file.lock())
        #expect(LockHolder.find(of: file) == getpid())
        // The lock is on the directory itself, so there is no lock file that could be removed.
        let other = try File(directory.path, .read)
        #expect(try !other.lock())
    }

    @Test func aLockIsFoundByItsFile() {
        let table = """
            1: POSIX  ADVISORY  WRITE 1 08:01:17 0 EOF
            2: FLOCK  ADVISORY  WRITE 42 08:01:17 0 EOF
            """
        #expect(LockHolder.holder(in: table, inode: 17) == 42)
        #expect(LockHolder.holder(in: table, inode: 7) == nil)
    }

    @Test func aRemovedFileIsDetected() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/lock"
        var watch = ReachWatch([path, "\(directory.path)/later.sock"])
        var now: Int64 = 0
        func check() throws {
            now += 1_000_000_000
            try watch.check(now: now)
        }
        _ = try File(path, .replace)
        try check()
        try check()
        // Another one in its place is not the same.
        _ = try File("\(path).new", .replace)
        try FileSystem.rename("\(path).new", to: path)
        let error = #expect(throws: TraceError.self) { try check() }
        #expect(error?.description.contains("was removed while the cluster runs") == true)
    }

    @Test func itChecksOnceASecond() throws {
        let directory = try TemporaryDirectory()
        let path = "\(directory.path)/lock"
        _ = try File(path, .replace)
        var watch = ReachWatch([path])
        try watch.check(now: 5_000_000_000)
        try FileSystem.remove(path)
        try watch.check(now: 5_900_000_000)
        #expect(throws: TraceError.self) { try watch.check(now: 6_000_000_000) }
    }
}
