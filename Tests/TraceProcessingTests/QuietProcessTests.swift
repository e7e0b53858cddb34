import Testing
import TraceMetrics
import TraceModel
import TraceWire

@testable import TraceProcessing

/// Processes of which nothing comes any more: what is kept and shown of them goes.
@Suite struct QuietProcessTests {
    private static let hour = Limits.processQuietSeconds * 1_000_000_000
    private static let minute = Limits.quietCheckSeconds * 1_000_000_000

    /// A store that hears one worker.
    private final class Shown {
        private var store = MetricStore()
        private var writer = SeriesWriter()
        private var begins = true

        init() throws {
            writer.begin()
            try store.apply(MetricSnapshot(process: "cpu.0", incarnation: 1, pid: 1))
        }

        /// The page after all changes have been reported.
        func page(_ worker: ContractWorker, lsn: LSN) throws -> MetricReading {
            for slot in worker.processor.slotsToCollect(all: begins) {
                let isComplete = worker.processor.collectStats(
                    slot: slot,
                    isFull: begins,
                    lsn: lsn,
                    into: &writer
                )
                #expect(isComplete)
            }
            let message = MetricSeries(
                process: "\(worker.processor.resource.name).0",
                incarnation: 1,
                begins: begins,
                sections: writer.take()
            )
            begins = false
            #expect(try store.apply(message))
            return store.reading()
        }
    }

    private static func pids(_ reading: MetricReading, _ family: MetricFamily) -> Set<String> {
        let position = family.descriptor.labels.firstIndex(of: "pid") ?? 0
        return Set((reading.family(family)?.series ?? []).map { $0.labels[position] })
    }

    private static func batch(
        _ generator: inout EventGenerator,
        _ pids: [UInt32],
        at time: EpochNanoseconds,
        lsn: LSN
    ) -> ContractBatch {
        let host = EventGenerator.hosts[0]
        let events = pids.map {
            generator.event(pid: $0, time: time, timestamp: ContractEvent.timestamp(time))
        }
        return ContractBatch(host: host, events: events, arrival: time, lsn: lsn)
    }

    private static func expired(_ reading: MetricReading) -> Double {
        let loss = reading.family(.errorsTotal)?.series.first {
            $0.labels == [LossKind.seriesExpired.rawValue]
        }
        guard case .counter(let count)? = loss?.value else { return 0 }
        return count
    }

    @Test func seriesOfAQuietProcessGo() throws {
        var generator = EventGenerator(.cpu, seed: 5)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(.cpu, root: directory.path)
        let shown = try Shown()
        let start = EventGenerator.start
        try worker.apply(Self.batch(&generator, [7, 8], at: start, lsn: 1))
        #expect(Self.pids(try shown.page(worker, lsn: 1), .cpuTimeSecondsTotal) == ["7", "8"])
        try worker.processor.tick(arrival: start + Self.hour - Self.minute)
        try worker.apply(Self.batch(&generator, [8], at: start + Self.hour, lsn: 2))
        #expect(Self.pids(try shown.page(worker, lsn: 2), .cpuTimeSecondsTotal) == ["7", "8"])
        try worker.processor.tick(arrival: start + Self.hour + Self.minute)
        var reading = try shown.page(worker, lsn: 3)
        for family in [MetricFamily.cpuTimeSecondsTotal, .neutracerCPUOnTimeMicroseconds] {
            #expect(Self.pids(reading, family) == ["8"], "counters and gauges alike")
        }
        #expect(Self.expired(reading) >= 5)
        #expect(reading.writtenEvents == 3, "what was counted of all stays")
        // It comes back with new series.
        try worker.apply(Self.batch(&generator, [7], at: start + 2 * Self.hour, lsn: 4))
        reading = try shown.page(worker, lsn: 4)
        #expect(Self.pids(reading, .cpuTimeSecondsTotal) == ["7", "8"])
    }

    /// A call may take longer than that: it is there when its end comes.
    @Test func aProcessWithOpenCallsLosesItsSeriesAndKeepsItsCalls() throws {
        let directory = try ContractDirectory()
        let worker = try ContractWorker(.function, root: directory.path)
        let shown = try Shown()
        let start = EventGenerator.start
        func call(_ type: Int32, at time: EpochNanoseconds, lsn: LSN) throws {
            var encoder = BatchEncoder()
            var event = BatchEncoder.Function()
            event.timestamp = ContractEvent.timestamp(time)
            event.eventType = type
            event.pid = 9
            event.tgid = 9
            event.cookie = 1
            event.functionName = "sleep"
            encoder.append(event)
            let host = EventGenerator.hosts[0]
            let sent = ContractEvent(host: host, pid: 9, time: time, bytes: Array(encoder.bytes))
            try worker.apply(ContractBatch(host: host, events: [sent], arrival: time, lsn: lsn))
        }
        try call(0, at: start, lsn: 1)
        #expect(Self.pids(try shown.page(worker, lsn: 1), .functionCallsTotal) == ["9"])
        try worker.processor.tick(arrival: start + 2 * Self.hour)
        var reading = try shown.page(worker, lsn: 2)
        #expect(reading.family(.functionCallsTotal) == nil)
        #expect(reading.family(.activeFunctions) == nil)
        try call(1, at: start + 3 * Self.hour, lsn: 3)
        reading = try shown.page(worker, lsn: 3)
        let duration = reading.family(.functionDurationSeconds)?.series.first?.value
        #expect(duration == .histogram(buckets: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], sum: 10_800))
        #expect(
            reading.family(.functionCallsTotal)?.series.first?.value == .counter(1),
            "a call that is there still is counted still"
        )
    }

    @Test(arguments: Resource.allCases) func aReplayForgetsTheSame(_ resource: Resource) throws {
        var generator = EventGenerator(resource, seed: 6)
        let directory = try ContractDirectory()
        let worker = try ContractWorker(resource, root: directory.path)
        let start = EventGenerator.start
        try worker.apply(Self.batch(&generator, [1, 2, 3], at: start, lsn: 1))
        try worker.processor.tick(arrival: start + Self.minute / 2)
        let checkpoint = try worker.checkpoint()
        let again = try ContractWorker(resource, root: directory.path, checkpoint: checkpoint)
        let untouched = try ContractWorker(resource, root: directory.path).state
        let late = Self.batch(&generator, [4], at: start + Self.hour, lsn: 2)
        for each in [worker, again] {
            try each.apply(late)
            for tick in stride(from: start, to: start + 2 * Self.hour, by: Int(7 * Self.minute)) {
                try each.processor.tick(arrival: tick)
            }
        }
        #expect(worker.state == again.state)
        #expect(worker.samples == again.samples)
        #expect(worker.state != untouched)
    }

    /// A process that has to make room takes its series along.
    @Test func anEvictedProcessShowsNothing() throws {
        var generator = EventGenerator(.cpu, seed: 8)
        let directory = try ContractDirectory()
        let budget = StateBudget(bytesMax: 16 << 20, slotBytesMax: 512 << 10)
        let worker = try ContractWorker(.cpu, root: directory.path, state: budget)
        let shown = try Shown()
        let host = EventGenerator.hosts[0]
        let hash = ContractEvent.hash(host)
        let pids = (1...UInt32.max).lazy.filter { Slot.of(hostHash: hash, processID: $0) == 5 }
        let crowd = Array(pids.prefix(300))
        let start = EventGenerator.start
        try worker.apply(Self.batch(&generator, [crowd[0]], at: start, lsn: 1))
        #expect(Self.pids(try shown.page(worker, lsn: 1), .cpuMigrationsTotal).count == 1)
        try worker.apply(
            Self.batch(&generator, Array(crowd.dropFirst()), at: start + Self.minute, lsn: 2)
        )
        let shownPIDs = Self.pids(try shown.page(worker, lsn: 2), .cpuMigrationsTotal)
        #expect(shownPIDs.count < crowd.count && shownPIDs.count > 20)
        #expect(!shownPIDs.contains("\(crowd[0])"))
        #expect(shownPIDs.contains("\(crowd[crowd.count - 1])"))
    }
}
