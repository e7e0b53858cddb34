import Foundation
import Glibc
import SystemIO
import TestSupport
import Testing

@testable import IngestLog

/// The spare log file is prepared as fast as the log needs it, and no faster.
@Suite struct SparePreparerTests {
    private static let bytes = 8 << 20

    private let directory: TemporaryDirectory
    private let log: LogDirectory
    private let preparer: SparePreparer

    init() throws {
        directory = try TemporaryDirectory()
        log = LogDirectory(path: directory.path)
        preparer = SparePreparer(directory: log, bytes: Self.bytes)
    }

    private var unfinished: Int { FileSystem.size(log.unfinishedSpare) ?? -1 }

    private func wait(_ isMet: () -> Bool) -> Bool {
        let deadline = Date(timeIntervalSinceNow: 30)
        while !isMet() {
            guard Date() < deadline else { return false }
            usleep(1_000)
        }
        return true
    }

    /// Moves the log to 1/8 of its file beyond the first quarter, when a quarter of the spare is due.
    private func begin() {
        preparer.follow(Self.bytes * 3 / 8, of: Self.bytes)
        #expect(wait { unfinished == Self.bytes / 4 })
    }

    /// A roll at that time gets a file without zeros.
    @Test func nothingIsPreparedBeforeTheFirstQuarter() throws {
        preparer.follow(Self.bytes / 4, of: Self.bytes)
        let path = log.file(base: 7)
        let file = try preparer.takeSpare(as: path, bytes: Self.bytes)
        #expect(try file.size() == Self.bytes)
        var info = stat()
        #expect(stat(path, &info) == 0 && info.st_blocks == 0)
    }

    @Test func theSpareGrowsWithTheLog() {
        begin()
        preparer.follow(Self.bytes / 2, of: Self.bytes)
        #expect(wait { unfinished == Self.bytes / 2 })
        preparer.follow(Self.bytes * 3 / 4, of: Self.bytes)
        #expect(wait { FileSystem.exists(log.spare) })
        #expect(FileSystem.size(log.spare) == Self.bytes && unfinished == -1)
        preparer.stop()
    }

    @Test func aRollFinishesTheSpare() throws {
        begin()
        let path = log.file(base: 7)
        let file = try preparer.takeSpare(as: path, bytes: Self.bytes)
        #expect(try file.size() == Self.bytes)
        #expect(unfinished == -1 && !FileSystem.exists(log.spare))
        // The next spare is prepared as usual.
        begin()
        preparer.stop()
    }

    /// A trimmed file is free, so the log does not wait for zeros.
    @Test func aTrimmedFileReplacesTheSpare() throws {
        begin()
        let old = log.file(base: 7)
        try Data(repeating: 1, count: Self.bytes).write(to: URL(fileURLWithPath: old))
        #expect(try preparer.recycle(old))
        #expect(!FileSystem.exists(old) && unfinished == -1)
        let spare = try Data(contentsOf: URL(fileURLWithPath: log.spare))
        #expect(spare.count == Self.bytes && spare.first == 1)
    }

    @Test func stoppingLeavesNothingUnfinished() {
        begin()
        preparer.stop()
        #expect(unfinished == -1 && !FileSystem.exists(log.spare))
    }
}
