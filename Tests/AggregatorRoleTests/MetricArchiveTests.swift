import ClusterMessages
import Foundation
import SystemIO
import Testing
import TraceMetrics
import TraceModel

@testable import AggregatorRole

/// What is saved between two pages, and read back by a later run.
@Suite final class MetricArchiveTests {
    private let directory = NSTemporaryDirectory() + "archive-" + UUID().uuidString
    private let journalPath: String

    init() { journalPath = directory + "/journal" }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    private func archive() -> MetricArchive {
        MetricArchive(store: directory + "/store", journal: journalPath)
    }

    private func series(_ events: Double, lsn: LSN) -> ClusterMessage {
        var writer = SeriesWriter()
        writer.begin()
        writer.beginSection(slot: 3, lsn: lsn, isFull: true)
        writer.begin(SeriesSet(), count: 1)
        writer.add(.eventsTotal, events, ["function"])
        _ = writer.endSection()
        return .metricSeries(
            MetricSeries(
                process: "function.0",
                incarnation: 1,
                begins: true,
                sections: writer.take()
            )
        )
    }

    /// As the fabric's thread does.
    private func take(_ message: ClusterMessage, into shared: SharedState) throws {
        let bytes = try message.encode()
        guard case .metricSeries(let series) = message else { return }
        try shared.withLock { content throws(TraceError) in
            let isJoined = try content.store.apply(series)
            #expect(isJoined)
            bytes.withUnsafeBytes { content.journal.append(message: $0) }
            content.count(.mergeFailed)
        }
    }

    private func written(_ store: MetricStore) -> UInt64 {
        var store = store
        return store.statusReading().writtenEvents
    }

    private func failures(_ store: MetricStore) -> MetricValue? {
        var store = store
        return store.reading().family(.errorsTotal)?.series
            .first { $0.labels == ["merge_failed"] }?.value
    }

    @Test func everyPageShownIsReadBack() throws {
        let shared = SharedState(.init(store: MetricStore(), marks: [:]))
        let archive = self.archive()
        for page in 1...5 {
            try take(series(Double(page), lsn: LSN(page)), into: shared)
            try archive.save(shared)
            let (store, damage) = try self.archive().load()
            #expect(damage == nil)
            #expect(written(store) == UInt64(page))
            #expect(failures(store) == .counter(Double(page)))
        }
        #expect(try FileSystem.list(directory).count == 2)
        // What was not saved was not shown.
        try take(series(6, lsn: 6), into: shared)
        #expect(written(try self.archive().load().store) == 5)
    }

    @Test func aSuccessorGoesOnFromThere() throws {
        let shared = SharedState(.init(store: MetricStore(), marks: [:]))
        let archive = self.archive()
        try take(series(1, lsn: 1), into: shared)
        try archive.save(shared)
        try take(series(2, lsn: 2), into: shared)
        try archive.save(shared)
        let journal = try FileSystem.contents(journalPath)
        let successor = self.archive()
        let next = SharedState(.init(store: try successor.load().store, marks: [:]))
        try take(series(3, lsn: 3), into: next)
        try successor.save(next)
        #expect(written(try self.archive().load().store) == 3)
        // A journal of the store before is of no use to this one.
        try journal.withUnsafeBytes {
            try FileSystem.publish(journalPath, $0)
        }
        let (store, damage) = try self.archive().load()
        #expect(damage == nil && written(store) == 3)
        #expect(failures(store) == .counter(3))
    }

    @Test func aTornJournalIsReadAsFarAsItGoes() throws {
        let shared = SharedState(.init(store: MetricStore(), marks: [:]))
        let archive = self.archive()
        try archive.save(shared)
        for page in 1...3 {
            try take(series(Double(page), lsn: LSN(page)), into: shared)
            try archive.save(shared)
        }
        let whole = try FileSystem.contents(journalPath)
        var last: UInt64 = 0
        for length in 0..<whole.count {
            try whole[..<length].withUnsafeBytes {
                try FileSystem.publish(journalPath, $0)
            }
            let events = written(try self.archive().load().store)
            #expect(events >= last)
            last = events
        }
        // The very last record is a loss, not a message.
        #expect(last == 3)
        var changed = whole
        changed[whole.count / 2] ^= 1
        try changed.withUnsafeBytes { try FileSystem.publish(journalPath, $0) }
        #expect(written(try self.archive().load().store) < 3)
    }

    @Test func aJournalThatOutgrowsTheStoreIsReplaced() throws {
        let shared = SharedState(.init(store: MetricStore(), marks: [:]))
        let archive = self.archive()
        try take(series(1, lsn: 1), into: shared)
        try archive.save(shared)
        let filler = [UInt8](repeating: 0, count: Limits.metricJournalBytesMin)
        shared.withLock { content in
            filler.withUnsafeBytes { content.journal.append(message: $0) }
        }
        try archive.save(shared)
        let large = try FileSystem.contents(journalPath).count
        #expect(large > Limits.metricJournalBytesMin)
        try take(series(2, lsn: 2), into: shared)
        try archive.save(shared)
        #expect(try FileSystem.contents(journalPath).count < 1_000)
        #expect(written(try self.archive().load().store) == 2)
    }
}
