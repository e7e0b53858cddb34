import Foundation
import Glibc
import TestSupport
import Testing

@testable import SystemIO

/// Files and directories on a real file system.
@Suite struct FileTests {
    private let directory: TemporaryDirectory
    private var root: String { directory.path }

    init() throws { directory = try TemporaryDirectory() }

    private func publish(_ bytes: [UInt8], at path: String) throws {
        try bytes.withUnsafeBytes { try FileSystem.publish(path, $0) }
    }

    /// Returns the errno of the error that `body` throws.
    private func failure(_ body: () throws -> Void) -> Int32? {
        do {
            try body()
            return nil
        } catch { return (error as? SystemError)?.errno }
    }

    @Test func readsBackWritesAtAnyOffset() throws {
        let file = try File("\(root)/a", .readWrite)
        try [UInt8(1), 2, 3].withUnsafeBytes { try file.write($0, at: 5) }
        try file.syncData()
        #expect(try file.size() == 8)
        var bytes = [UInt8](repeating: 9, count: 6)
        let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 4) }
        #expect(count == 4 && bytes == [0, 1, 2, 3, 9, 9])
        try file.truncate(to: 6)
        #expect(try file.size() == 6)
        #expect(try FileSystem.contents("\(root)/a") == [0, 0, 0, 0, 0, 1])
    }

    @Test func anExclusiveRenameReplacesNothing() throws {
        let (from, to) = ("\(root)/from", "\(root)/to")
        func rename(byLink: Bool) throws {
            try byLink
                ? FileSystem.moveByLink(from, to: to) : FileSystem.renameExclusively(from, to: to)
        }
        for byLink in [false, true] {
            try publish([1], at: from)
            try publish([2], at: to)
            #expect(failure { try rename(byLink: byLink) } == EEXIST)
            #expect(try FileSystem.contents(from) == [1] && FileSystem.contents(to) == [2])
            try FileSystem.remove(to)
            try rename(byLink: byLink)
            #expect(try !FileSystem.exists(from) && FileSystem.contents(to) == [1])
            #expect(failure { try rename(byLink: byLink) } == ENOENT)
            try FileSystem.remove(to)
        }
    }

    @Test func aMoveInterruptedByACrashIsCompleted() throws {
        try publish([1], at: "\(root)/from")
        #expect(link("\(root)/from", "\(root)/to") == 0)
        try FileSystem.moveByLink("\(root)/from", to: "\(root)/to")
        #expect(try !FileSystem.exists("\(root)/from") && FileSystem.contents("\(root)/to") == [1])
    }

    @Test func accessModesMatchTheirNames() throws {
        let path = "\(root)/a"
        #expect(failure { _ = try File(path, .read) } == ENOENT)
        try publish([1, 2, 3], at: path)
        do {
            let kept = try File(path, .readWrite)
            #expect(try kept.size() == 3)
            let emptied = try File(path, .replace)
            #expect(try emptied.size() == 0)
        }
        _ = try File("\(root)/b", .replace)
        #expect(FileSystem.size("\(root)/b") == 0)
    }

    @Test func aFullDiskIsDistinguishedFromOtherFailures() throws {
        let full = try File("/dev/full", .readWrite)
        do {
            try [UInt8(1)].withUnsafeBytes { try full.write($0, at: 0) }
            Issue.record("/dev/full took a byte")
        } catch let error as SystemError {
            #expect(error.isOutOfSpace && error.errno == ENOSPC)
            #expect(error.description.contains("pwrite /dev/full"))
        }
        #expect(!SystemError(errno: EIO, call: "x", subject: "y").isOutOfSpace)
    }

    @Test func directoriesAreCreatedAndListed() throws {
        let deep = "\(root)/a/b/c"
        try FileSystem.createDirectory(deep)
        try FileSystem.createDirectory(deep)
        for name in ["z", "m", "a.b"] { _ = try File("\(deep)/\(name)", .replace) }
        #expect(try FileSystem.list(deep) == ["a.b", "m", "z"])
        #expect(try FileSystem.list("\(root)/nowhere").isEmpty)
        #expect(failure { _ = try FileSystem.list("\(deep)/m") } == ENOTDIR)
        #expect(failure { try FileSystem.createDirectory("\(deep)/m/x") } == ENOTDIR)
        try FileSystem.syncDirectory(deep)
    }

    @Test func removingAMissingFileSucceeds() throws {
        try publish([1], at: "\(root)/a")
        try FileSystem.remove("\(root)/a")
        try FileSystem.remove("\(root)/a")
        #expect(!FileSystem.exists("\(root)/a") && FileSystem.size("\(root)/a") == nil)
        try FileSystem.createDirectory("\(root)/d/e")
        #expect(failure { try FileSystem.removeDirectory("\(root)/d") } == ENOTEMPTY)
        try FileSystem.removeDirectory("\(root)/d/e")
        try FileSystem.removeDirectory("\(root)/d")
        try FileSystem.removeDirectory("\(root)/d")
        #expect(try FileSystem.list(root).isEmpty)
    }

    @Test func aParentIsThePathBeforeTheLastSlash() {
        for (path, parent) in [("a/b/c", "a/b"), ("a", "."), ("/a", "/"), ("/a/b", "/a")] {
            #expect(FileSystem.parent(of: path) == parent)
        }
    }

    /// Content is written in whole pieces, a shorter last one, and an end that is not on a block boundary.
    @Test(arguments: [0, 1, 1_024, 1_025]) func publishingWritesEveryByte(kilobytes: Int) throws {
        let bytes = (0..<(kilobytes << 10) + 7).map { UInt8(truncatingIfNeeded: $0 % 251) }
        let path = "\(root)/large"
        try publish(bytes, at: path)
        #expect(try FileSystem.contents(path) == bytes)
    }

    @Test func publishingReplacesAndLeavesNoTemporaryFile() throws {
        try publish([1, 2, 3], at: "\(root)/a")
        try publish([4], at: "\(root)/a")
        try publish([], at: "\(root)/b")
        #expect(try FileSystem.contents("\(root)/a") == [4])
        #expect(try FileSystem.contents("\(root)/b").isEmpty)
        #expect(try FileSystem.list(root) == ["a", "b"])
        #expect(failure { try publish([1], at: "\(root)/nowhere/a") } == ENOENT)
        #expect(try FileSystem.freeBytes(at: root) > 0)
    }

    /// If the process is killed at any moment, the file has either the old content or the new one.
    @Test func aPublishedFileIsCompleteWheneverTheProcessDies() throws {
        let path = "\(root)/state"
        for _ in 0..<5 {
            let probe = try ProbeProcess(["publish", path])
            #expect(try probe.line() == "published")
            for _ in 0..<20 { try checkPublished(path) }
            probe.send(SIGKILL)
            _ = probe.wait()
            try checkPublished(path)
        }
    }

    private func checkPublished(_ path: String) throws {
        let bytes = try FileSystem.contents(path)
        let first = try #require(bytes.first)
        let isWhole = bytes.withUnsafeBytes { all in
            guard let start = all.baseAddress else { return false }
            return memcmp(start, start + 1, all.count - 1) == 0
        }
        #expect(isWhole && UInt8(truncatingIfNeeded: bytes.count - 100_000) == first)
    }

    @Test func aLockHasOneHolder() throws {
        let path = "\(root)/lock"
        do {
            let first = try File(path, .readWrite)
            let second = try File(path, .readWrite)
            #expect(try first.lock())
            #expect(try first.lock())
            #expect(try !second.lock())
            let other = try ProbeProcess(["lock", path])
            #expect(try other.line() == "false")
            try other.endInput()
            #expect(other.wait().code == 0)
        }
        let other = try ProbeProcess(["lock", path])
        #expect(try other.line() == "true")
        let third = try File(path, .readWrite)
        #expect(try !third.lock())
        // However the holder of the lock ends.
        other.send(SIGKILL)
        _ = other.wait()
        #expect(try third.lock())
    }

    @Test func anInterruptedCallIsRepeated() throws {
        var calls = 0
        let result = try systemCall("test", "") { () -> Int in
            calls += 1
            errno = EINTR
            return calls < 4 ? -1 : 42
        }
        #expect(result == 42 && calls == 4)
        #expect(
            failure {
                try systemCall("test", "") { () -> Int in
                    errno = EIO
                    return -1
                }
            } == EIO
        )
    }

    @Test func aDanglingLinkIsNoDirectory() throws {
        let directory = try TemporaryDirectory()
        let (link, target) = ("\(directory.path)/output", "\(directory.path)/volume")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
        #expect(throws: SystemError.self) { try FileSystem.createDirectory(link) }
        try FileSystem.createDirectory(target)
        try FileSystem.createDirectory(link)
        try FileSystem.createDirectory("\(link)/json")
        #expect(FileSystem.exists("\(target)/json"))
    }

    @Test(arguments: [0, 1, 4_096, 600_000, 1_048_576]) func aCopyHasTheSameBytes(count: Int) throws
    {
        let directory = try TemporaryDirectory()
        let (from, to) = ("\(directory.path)/from", "\(directory.path)/to")
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try Data(bytes).write(to: URL(fileURLWithPath: from))
        // Replaces a longer file.
        try Data(repeating: 7, count: count + 100).write(to: URL(fileURLWithPath: to))
        try FileSystem.copy(from, to: to)
        #expect(try FileSystem.contents(to) == bytes)
    }
}
