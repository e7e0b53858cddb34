import Foundation
import Logging
import SystemIO
import Testing
import TraceModel

@testable import AggregatorRole
@testable import TraceFiles

/// Tests retention with real files, and with a clock and a disk of the test's.
@Suite final class RetentionTests {
    private let root: String
    private let records: FinalWindowRecords
    private let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() throws {
        root = FileManager.default.temporaryDirectory.path + "/retention-\(UUID().uuidString)"
        records = FinalWindowRecords(root: root)
        for directory in ["json", "csv", ".merge"] {
            try FileSystem.createDirectory("\(root)/output/\(directory)")
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    private func put(_ path: String, bytes: Int) throws {
        try Data(repeating: 0x20, count: bytes).write(to: URL(fileURLWithPath: "\(root)/\(path)"))
    }

    /// Makes two files of `bytes` in total and the manifest of their merge.
    private func merge(_ resource: Resource, _ window: UInt64, bytes: Int = 100) throws {
        var manifest = MergeManifest()
        for (directory, share) in [("json", bytes - 10), ("csv", 10)] {
            let target = "output/\(directory)/\(resource.name)_trace_\(window).\(directory)"
            try put(target, bytes: share)
            manifest.outputs.append(
                MergeManifest.Output(source: "output/.tmp", target: target, bytes: share)
            )
        }
        manifest.isDone = true
        try manifest.publish(to: "\(root)/\(MergeManifest.path(resource, window: window))")
    }

    private func add(_ resource: Resource, _ window: UInt64, at seconds: Int64) throws {
        try merge(resource, window)
        let window = FinalWindow(resource: resource, window: window, finalAt: seconds)
        try records.add(window)
    }

    private func retention(age: String? = nil, bytes: String? = nil) throws -> Retention {
        var retention = Retention(try RetentionPolicy(age: age, bytes: bytes), records, log: log)
        try retention.load()
        return retention
    }

    private func files() throws -> [String] {
        try FileSystem.list("\(root)/output/json") + FileSystem.list("\(root)/output/csv")
    }

    @Test func windowsThatAreNotUploadedAreKept() throws {
        try add(.cpu, 1, at: 10)
        try add(.io, 1, at: 20)
        try add(.cpu, 2, at: 30)
        #expect(try records.listNotUploaded().map(\.finalAt) == [10, 20, 30])
        let window = FinalWindow(resource: .io, window: 1, finalAt: 20)
        #expect(try records.writtenFiles(of: window).map(\.bytes) == [90, 10])
        try records.markUploaded(window)
        #expect(records.isUploaded(window))
        #expect(try records.listNotUploaded().map(\.finalAt) == [10, 30])
        let policy = try RetentionPolicy(age: "1s", bytes: "1")
        var retention = Retention(policy, records, waitsForUpload: true, log: log)
        try retention.load()
        retention.pass(now: 9_999, freeBytes: 0, freeBytesMin: 1)
        #expect(retention.counts.filesDeleted == 2)
        #expect(try records.list().map(\.finalAt) == [10, 30])
        #expect(!records.isUploaded(window), "the mark goes with the record")
        for window in try records.listNotUploaded() { try records.markUploaded(window) }
        retention.pass(now: 9_999, freeBytes: 0, freeBytesMin: 1)
        #expect(try records.list().isEmpty)
        #expect(try files().isEmpty)
    }

    @Test func ageDeletesWholeWindowsAndNothingElse() throws {
        try add(.cpu, 9, at: 1_000)
        try add(.io, 10, at: 1_050)
        try put("output/json/cpu_trace_mine.json", bytes: 5)
        var retention = try retention(age: "1m")
        retention.pass(now: 1_059, freeBytes: 9, freeBytesMin: 0)
        #expect(retention.counts.windowsKept == 2)
        #expect(retention.counts.bytesKept == 200)
        retention.pass(now: 1_060, freeBytes: 9, freeBytesMin: 0)
        #expect(try files() == ["cpu_trace_mine.json", "io_trace_10.json", "io_trace_10.csv"])
        retention.pass(now: 9_999, freeBytes: 9, freeBytesMin: 0)
        #expect(try files() == ["cpu_trace_mine.json"])
        #expect(try records.list().isEmpty)
        #expect(retention.counts.filesDeleted == 4)
        #expect(retention.counts.bytesDeleted == 200)
    }

    @Test func sizeDeletesTheOldestButNotTheNewestOfAResource() throws {
        try add(.gpu, 1, at: 10)
        for window in 1...4 { try add(.cpu, UInt64(window), at: 10 + Int64(window)) }
        var retention = try retention(bytes: "350")
        retention.pass(now: 20, freeBytes: 9, freeBytesMin: 0)
        #expect(try records.list().map(\.window) == [1, 3, 4])
        try add(.cpu, 5, at: 15)
        retention.add(FinalWindow(resource: .cpu, window: 5, finalAt: 15))
        retention.pass(now: 20, freeBytes: 9, freeBytesMin: 0)
        #expect(try records.list().map(\.window) == [1, 4, 5])
        var narrow = try self.retention(bytes: "1")
        narrow.pass(now: 20, freeBytes: 9, freeBytesMin: 0)
        #expect(try records.list().map(\.resource) == [.gpu, .cpu])
        #expect(narrow.counts.bytesKept == 200)
    }

    @Test func whatReadersMovedAwayOrChangedIsNotCountedAndNotDeleted() throws {
        for window in 1...4 { try add(.cpu, UInt64(window), at: Int64(window)) }
        var retention = try retention(bytes: "250")
        try FileSystem.remove("\(root)/output/json/cpu_trace_3.json")
        try put("output/json/cpu_trace_4.json", bytes: 77)
        retention.pass(now: 9, freeBytes: 9, freeBytesMin: 0)
        #expect(try records.list().count == 4)
        #expect(retention.counts.bytesKept == 220)
        var old = try self.retention(age: "1s")
        old.pass(now: 99, freeBytes: 9, freeBytesMin: 0)
        #expect(try files() == ["cpu_trace_4.json"])
        #expect(old.counts.filesDeleted == 6)
    }

    @Test func aFullDiskTakesTheOldestOnly() throws {
        for window in 1...4 { try add(.cpu, UInt64(window), at: Int64(window)) }
        var retention = try retention(bytes: "1T")
        retention.pass(now: 9, freeBytes: 500, freeBytesMin: 500)
        #expect(try records.list().count == 4)
        retention.pass(now: 9, freeBytes: 350, freeBytesMin: 500)
        #expect(try records.list().map(\.window) == [3, 4])
    }

    @Test func windowsWithoutARecordAreNotTouched() throws {
        try merge(.cpu, 1)
        try merge(.cpu, 2)
        try merge(.io, 2)
        var none = try retention(age: "1s", bytes: "1")
        none.pass(now: 99, freeBytes: 0, freeBytesMin: 1)
        #expect(try files().count == 6)
        // A window whose record is missing because of a crash is recorded at the next start.
        try records.addMerged(upTo: [.cpu: 1], at: 5)
        var later = try retention(age: "1s")
        later.pass(now: 99, freeBytes: 0, freeBytesMin: 1)
        #expect(try files().filter { $0.hasPrefix("cpu_trace_1.") }.isEmpty)
        #expect(try files().count == 4)
        #expect(FileSystem.exists("\(root)/\(MergeManifest.path(.cpu, window: 2))"))
    }

    @Test func aDamagedRecordKeepsItsFiles() throws {
        try add(.cpu, 1, at: 1)
        try add(.cpu, 2, at: 2)
        let name = FinalWindow(resource: .cpu, window: 1, finalAt: 1).recordName
        let path = "\(root)/output/.merge/final/\(name)"
        var bytes = try FileSystem.contents(path)
        bytes[20] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        var retention = try retention(age: "1s")
        retention.pass(now: 99, freeBytes: 9, freeBytesMin: 0)
        #expect(try files() == ["cpu_trace_1.json", "cpu_trace_1.csv"])
        #expect(retention.counts.recordsDamaged == 1)
    }

    @Test func aPassIsBounded() throws {
        let count = Limits.retentionWindowsPerPass + 3
        for window in 1...count { try add(.cpu, UInt64(window), at: 1) }
        var retention = try retention(age: "1s")
        retention.pass(now: 99, freeBytes: 9, freeBytesMin: 0)
        #expect(try records.list().count == 3)
        retention.pass(now: 99, freeBytes: 9, freeBytesMin: 0)
        #expect(try records.list().isEmpty)
    }

    @Test func policiesAreReadAsPeopleWriteThem() throws {
        let policy = try RetentionPolicy(age: "7d", bytes: "20G")
        #expect(policy.ageSeconds == 604_800)
        #expect(policy.bytesMax == 20 << 30)
        #expect(try RetentionPolicy(age: nil, bytes: nil).isKeepingAll)
        for text in ["", "0", "-1s", "d", "7w", "7 d", "1.5d", "99999999999999999999"] {
            #expect(throws: TraceError.self) { try RetentionPolicy(age: text, bytes: nil) }
            #expect(throws: TraceError.self) { try RetentionPolicy(age: nil, bytes: text) }
        }
    }
}
