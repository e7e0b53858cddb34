import SystemIO
import TestSupport
import Testing
import TraceMetrics
import TraceModel
import TraceProcessing

@testable import WorkerRole

/// Tests when a worker sends its metrics, and that an aggregator can apply them.
@Suite struct MetricRoundsTests {
    private static let second: Int64 = 1_000_000_000

    /// An aggregator that receives one worker's series.
    private struct Hearer {
        var store = MetricStore()

        init() throws {
            try store.apply(MetricSnapshot(process: "function.0", incarnation: 1, pid: 1))
        }

        mutating func take(_ message: MetricRounds.Message) throws -> Bool {
            try store.apply(
                MetricSeries(
                    process: "function.0",
                    incarnation: 1,
                    begins: message.begins,
                    sections: message.sections
                )
            )
        }
    }

    /// Returns all messages of the round that is due at `now`.
    private static func round(
        _ rounds: inout MetricRounds,
        _ worker: TestWorker,
        at lsn: LSN,
        now: Int64,
        load: MetricRounds.Load = .idle,
        holding held: Set<UInt8> = Set(0...255)
    ) -> [MetricRounds.Message] {
        var messages: [MetricRounds.Message] = []
        repeat {
            let next = rounds.next(
                of: worker.processor,
                holding: { held },
                at: lsn,
                load: load,
                now: now
            )
            guard let message = next else { return messages }
            messages.append(message)
        } while rounds.isUnderWay
        return messages
    }

    @Test func whatIsToldAddsUp() throws {
        try TemporaryDirectory().asWorkingDirectory {
            let worker = try TestWorker()
            var rounds = MetricRounds()
            var hearer = try Hearer()
            var events: UInt64 = 0
            for step in 1...5 {
                let processes = (0..<200).filter { $0 % step == 0 }.map { UInt32($0 + 1) }
                try worker.apply(processes, at: LSN(step))
                events += UInt64(processes.count)
                let messages = Self.round(
                    &rounds,
                    worker,
                    at: LSN(step),
                    now: Int64(step) * Self.second
                )
                #expect(messages.map(\.begins).contains(true) == (step == 1))
                for message in messages { #expect(try hearer.take(message)) }
                #expect(hearer.store.statusReading().writtenEvents == events)
            }
            let calls = hearer.store.reading().family(.functionCallsTotal)
            #expect(calls?.count == 200)
        }
    }

    /// If ids run out, written events are still counted, and rounds end.
    @Test func eventsAreToldWhereIDsRunOut() throws {
        try TemporaryDirectory().asWorkingDirectory {
            let worker = try TestWorker()
            var rounds = MetricRounds(idsMax: Limits.slotSeriesIDs + 90)
            var hearer = try Hearer()
            for step in 1...3 {
                try worker.apply(1...300, at: LSN(step))
                if step == 3 { rounds.beginAnew() }
                let now = Int64(step) * Self.second
                for message in Self.round(&rounds, worker, at: LSN(step), now: now) {
                    #expect(try hearer.take(message))
                }
                #expect(hearer.store.statusReading().writtenEvents == UInt64(300 * step))
                #expect(Self.round(&rounds, worker, at: LSN(step), now: now + Self.second).isEmpty)
            }
            let shown = hearer.store.reading().family(.functionCallsTotal)?.count ?? 0
            #expect(shown > 0 && shown < 300)
            let dropped = rounds.ownSamples().first {
                $0.labels == [LossKind.seriesDropped.rawValue]
            }
            guard case .counter(let count)? = dropped?.value else {
                Issue.record("nothing is counted as dropped")
                return
            }
            #expect(count > 0)
        }
    }

    /// A name that is too long for a label is shown with its beginning, and counted.
    @Test func cutLabelsAreCounted() throws {
        try TemporaryDirectory().asWorkingDirectory {
            let worker = try TestWorker()
            var rounds = MetricRounds()
            for (length, count) in [(Limits.labelBytesMax, 0), (Limits.labelBytesMax + 1, 1)] {
                let name = String(repeating: "f", count: length)
                try worker.apply([1], at: LSN(length), function: name)
                _ = Self.round(&rounds, worker, at: LSN(length), now: Int64(length) * Self.second)
                let cut = rounds.ownSamples().first { $0.labels == [LossKind.labelCut.rawValue] }
                #expect(cut?.value == .counter(Double(count)))
            }
        }
    }

    @Test func nothingNewIsNotTold() throws {
        try TemporaryDirectory().asWorkingDirectory {
            let worker = try TestWorker()
            var rounds = MetricRounds()
            try worker.apply([1, 2, 3], at: 1)
            #expect(!Self.round(&rounds, worker, at: 1, now: Self.second).isEmpty)
            #expect(Self.round(&rounds, worker, at: 1, now: 9 * Self.second).isEmpty)
            try worker.apply([1], at: 2)
            let soon = Self.second + Self.second / 10
            #expect(Self.round(&rounds, worker, at: 2, now: soon).isEmpty, "not that often")
            #expect(Self.round(&rounds, worker, at: 2, now: 2 * Self.second).count == 1)
        }
    }

    /// After an expensive round, the loop works for fifty times its duration before the next one.
    @Test func costBoundsHowOftenARoundBegins() throws {
        try TemporaryDirectory().asWorkingDirectory {
            let worker = try TestWorker()
            var rounds = MetricRounds()
            try worker.apply([1], at: 1)
            _ = Self.round(&rounds, worker, at: 1, now: 0, load: .loaded)
            rounds.count(cost: Self.second / 10)
            try worker.apply([1], at: 2)
            let early = 4 * Self.second
            #expect(Self.round(&rounds, worker, at: 2, now: early, load: .loaded).isEmpty)
            let late = 6 * Self.second
            #expect(Self.round(&rounds, worker, at: 2, now: late, load: .loaded).count == 1)
            // The worker is idle, so the cost does not matter.
            rounds.count(cost: Self.second / 10)
            try worker.apply([1], at: 3)
            #expect(Self.round(&rounds, worker, at: 3, now: late + Self.second).count == 1)
        }
    }

    /// Many workers with few metrics must not send them all the time.
    @Test(arguments: [(0, 200), (1, 500), (3, 1_500), (10, 2_000)]) func whatCostsLittleGoesSooner(
        costMilliseconds: Int,
        pauseMilliseconds: Int
    ) throws {
        try TemporaryDirectory().asWorkingDirectory {
            let worker = try TestWorker()
            var rounds = MetricRounds()
            try worker.apply([1], at: 1)
            _ = Self.round(&rounds, worker, at: 1, now: 0, load: .loaded)
            rounds.count(cost: Int64(costMilliseconds) * 1_000_000)
            try worker.apply([1], at: 2)
            let due = Int64(pauseMilliseconds) * 1_000_000
            #expect(Self.round(&rounds, worker, at: 2, now: due - 1, load: .loaded).isEmpty)
            #expect(Self.round(&rounds, worker, at: 2, now: due, load: .loaded).count == 1)
        }
    }

    @Test func anAggregatorThatAsksIsToldEverythingAnew() throws {
        try TemporaryDirectory().asWorkingDirectory {
            let worker = try TestWorker()
            var rounds = MetricRounds()
            try worker.apply(1...100, at: 1)
            _ = Self.round(&rounds, worker, at: 1, now: 0)
            var hearer = try Hearer()
            try worker.apply([7], at: 2)
            let change = Self.round(&rounds, worker, at: 2, now: Self.second)
            for message in change { #expect(try !hearer.take(message), "it has no ids") }
            rounds.beginAnew()
            let all = Self.round(&rounds, worker, at: 2, now: Self.second)
            #expect(all.first?.begins == true)
            for message in all { #expect(try hearer.take(message)) }
            #expect(hearer.store.statusReading().writtenEvents == 101)
        }
    }

    /// Events that an earlier process of the worker has reported, and that the log has lost, are no longer counted, not
    /// even where nothing else is left of their slots. What another worker counts stays.
    @Test(arguments: [true, false]) func aSlotWithoutEventsIsReportedAnew(isHeld: Bool) throws {
        var hearer = try Hearer()
        for (processes, lsn) in [([UInt32(1), 2], LSN(5)), ([1], 9)] {
            try TemporaryDirectory().asWorkingDirectory {
                let worker = try TestWorker()
                var rounds = MetricRounds()
                try worker.apply(processes, at: 1)
                var held = Set<UInt8>(0...255)
                if !isHeld { held.remove(TestWorker.slot(of: 2)) }
                let messages = Self.round(
                    &rounds,
                    worker,
                    at: lsn,
                    now: Self.second,
                    holding: lsn == 5 ? Set(0...255) : held
                )
                for message in messages { #expect(try hearer.take(message)) }
            }
        }
        #expect(TestWorker.slot(of: 1) != TestWorker.slot(of: 2))
        #expect(hearer.store.statusReading().writtenEvents == (isHeld ? 1 : 2))
    }

    @Test func slotsThatWereHandedOverMeanwhileAreNotReported() throws {
        try TemporaryDirectory().asWorkingDirectory {
            let worker = try TestWorker()
            var rounds = MetricRounds()
            var hearer = try Hearer()
            try worker.apply(1...5_000, at: 1)
            let first = rounds.next(
                of: worker.processor,
                holding: { Set(0...255) },
                at: 1,
                load: .loaded,
                now: 0
            )
            #expect(try hearer.take(try #require(first)))
            let written = hearer.store.statusReading().writtenEvents
            #expect(rounds.isUnderWay && written > 0 && written < 5_000)
            for slot in UInt8.min...UInt8.max { worker.processor.dropState(slot: slot) }
            let rest = Self.round(&rounds, worker, at: 2, now: Self.second, holding: [])
            #expect(rest.isEmpty && !rounds.isUnderWay)
        }
    }
}
