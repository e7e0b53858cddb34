import ClusterMessages
import Foundation
import SystemIO
import Testing
import TraceMetrics
import TraceModel

@testable import AggregatorRole

/// Tests what is saved between two pages and read by a later run.
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

    /// Applies a message as the fabric thread does.
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
        return store.reading().family(.errorsTotal)?.series.first { $0.labels == ["merge_failed"] }?
            .value
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
        #expect(try FileSystem.list(directory).count == 4)
        // Changes that were not saved were not shown.
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
        // A journal of the previous store is ignored.
        try journal.withUnsafeBytes { try FileSystem.publish(journalPath, $0) }
        let (store, damage) = try self.archive().load()
        #expect(damage == nil && written(store) == 3)
        #expect(failures(store) == .counter(3))
    }

    // MARK: Limits

    /// Returns histograms of durations, with the given counts by process id.
    private func durations(_ counts: [Int: Int], lsn: LSN) -> ClusterMessage {
        var writer = SeriesWriter()
        writer.begin()
        writer.beginSection(slot: 3, lsn: lsn, isFull: true)
        for (pid, count) in counts.sorted(by: { $0.key < $1.key }) {
            writer.use(host: "h", pid: UInt32(pid), name: .empty, isNew: false)
            writer.begin(SeriesSet(), count: 2)
            var buckets = InlineArray<11, UInt64>(repeating: 0)
            buckets[2] = UInt64(count)
            writer.add(.functionDurationSeconds, buckets, sum: Double(count))
            writer.add(.functionCallsTotal, Double(count))
            _ = writer.end()
        }
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

    private func counts(_ reading: MetricReading, _ family: MetricFamily) -> [String: UInt64] {
        let series = reading.family(family)?.series ?? []
        return Dictionary(
            uniqueKeysWithValues: series.map { series in
                switch series.value {
                case .counter(let value), .gauge(let value): (series.labels[1], UInt64(value))
                case .histogram(let buckets, _): (series.labels[1], buckets.reduce(0, +))
                }
            }
        )
    }

    /// A later run shows the same histograms from the same counts on, and folds the same ones, also with another
    /// limit.
    @Test func whatIsFoldedStaysSo() throws {
        let limits = SeriesLimits(perFamily: Limits.histogramSeriesDivisor)
        let shared = SharedState(.init(store: MetricStore(limits: limits), marks: [:]))
        let archive = self.archive()
        try archive.save(shared)
        try take(durations([1: 5, 2: 5, 3: 5], lsn: 1), into: shared)
        _ = shared.withLock { $0.reading() }
        try archive.save(shared)
        try take(durations([1: 5, 2: 20, 3: 5], lsn: 2), into: shared)
        let page = shared.withLock { $0.reading() }
        #expect(counts(page, .functionDurationSeconds) == ["2": 0, "other": 30])
        try take(durations([1: 6, 2: 24, 3: 5], lsn: 3), into: shared)
        try archive.save(shared)
        for perFamily in [limits.perFamily, 2, 1_000] {
            let later = MetricArchive(
                limits: SeriesLimits(perFamily: perFamily),
                store: directory + "/store",
                journal: journalPath
            )
            var (store, _) = try later.load()
            let reading = store.reading()
            #expect(counts(reading, .functionDurationSeconds) == ["2": 4, "other": 31])
            let calls = counts(reading, .functionCallsTotal)
            #expect(calls.values.reduce(0, +) == 35)
            #expect(calls.count == 3)
        }
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
        try FileSystem.remove(AggregatorPaths.mirror(of: journalPath))
        var last: UInt64 = 0
        for length in 0..<whole.count {
            try publish(Array(whole[..<length]), journalPath)
            let (store, damage) = try self.archive().load()
            let events = written(store)
            #expect(events >= last && damage == nil)
            last = events
        }
        // The last record is a loss, not a message.
        #expect(last == 3)
        var changed = whole
        changed[whole.count / 2] ^= 1
        try publish(changed, journalPath)
        let (store, damage) = try self.archive().load()
        #expect(written(store) < 3 && damage?.effect.contains("gone back") == true)
        #expect(damages(store) == .counter(1))
    }

    private func publish(_ bytes: [UInt8], _ path: String) throws {
        try bytes.withUnsafeBytes { try FileSystem.publish(path, $0) }
    }

    private func damages(_ store: MetricStore) -> MetricValue? {
        var store = store
        return store.reading().family(.errorsTotal)?.series.first {
            $0.labels == ["aggregator_state_damaged"]
        }?.value
    }

    /// No counter decreases, whichever byte of the four files is changed and whichever file is missing.
    @Test func aDamagedFileCostsNothing() throws {
        let shared = SharedState(.init(store: MetricStore(), marks: [:]))
        let archive = self.archive()
        try take(series(1, lsn: 1), into: shared)
        try archive.save(shared)
        for page in 2...3 {
            try take(series(Double(page), lsn: LSN(page)), into: shared)
            try archive.save(shared)
        }
        let store = directory + "/store"
        for path in [store, journalPath].flatMap({ [$0, AggregatorPaths.mirror(of: $0)] }) {
            let whole = try FileSystem.contents(path)
            func expectWhole(_ what: String) throws {
                let (store, damage) = try self.archive().load()
                #expect(written(store) == 3, "\(path), \(what)")
                #expect(failures(store) == .counter(3), "\(path), \(what)")
                #expect(damages(store) == .counter(damage == nil ? 0 : 1))
            }
            for position in whole.indices {
                var damaged = whole
                damaged[position] ^= 1 << UInt8(position % 8)
                try publish(damaged, path)
                try expectWhole("byte \(position)")
                try publish(Array(whole[..<position]), path)
                try expectWhole("cut at \(position)")
            }
            try FileSystem.remove(path)
            try expectWhole("missing")
            try publish(whole, path)
        }
        var damaged = try FileSystem.contents(store)
        damaged[damaged.count / 2] ^= 1
        try publish(damaged, store)
        let damage = try self.archive().load().damage
        #expect(damage?.effect.contains("the other one was used") == true)
    }

    @Test func aJournalThatOutgrowsTheStoreIsReplaced() throws {
        let shared = SharedState(.init(store: MetricStore(), marks: [:]))
        let archive = self.archive()
        try take(series(1, lsn: 1), into: shared)
        try archive.save(shared)
        let filler = [UInt8](repeating: 0, count: Limits.metricJournalBytesMin)
        shared.withLock { content in filler.withUnsafeBytes { content.journal.append(message: $0) }
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
