import AnomalyRules
import Compression
import SystemIO
import TraceFiles
import TraceMetrics
import TraceModel
import TraceProcessing
import TraceSummaries
import TraceTime
import TraceWire

/// A worker's processor with its files, for stages.
final class StageWorker {
    private static let hostName = "bench"

    let index: Int
    private let files: TraceFileManager
    private let processor: any TraceProcessor
    private let host: HostID
    private let hostHash: UInt64
    private var lsn: LSN = 0

    /// - Parameter root: The worker's data directory.
    init(_ name: WorkerName, zone: TimeZoneRules, root: String) throws {
        index = name.index
        let files = try TraceFileManager(
            worker: name,
            csvHeader: ProcessorRegistry.csvHeader(of: name.resource),
            timeZoneName: zone.name,
            root: root
        )
        processor = ProcessorRegistry.makeProcessor(of: name.resource, files: files, zone: zone)
        self.files = files
        var text = Self.hostName
        (host, hostHash) = text.withUTF8 { text in
            let bytes = UnsafeRawBufferPointer(text)
            return unsafe (
                files.registerHost(ByteView(bytes), isThisMachine: true), Slot.hash(host: bytes)
            )
        }
    }

    /// Applies its share of a batch; returns the number of events.
    func apply(_ share: UnsafeRawBufferPointer) throws -> Int {
        lsn += LSN(share.count)
        let view = unsafe TraceBatchView(
            bytes: share,
            host: host,
            hostHash: hostHash,
            arrival: WallClock.now(),
            lsn: lsn,
            semantics: .cumulative
        )
        return try processor.processTraces(view, isLastBatch: false)
    }

    /// The state's size as it is charged to budgets.
    var stateBytes: Int { processor.stateBytes }

    /// Encodes the state as a checkpoint does; returns its size in bytes.
    func encodedStateBytes() -> Int {
        var bytes = 0
        var buffer = RawBuffer()
        for slot in 0..<Slot.count {
            buffer.removeAll()
            processor.saveState(slot: UInt8(slot), into: &buffer)
            bytes += buffer.count
        }
        return bytes
    }

    /// Closes the open window, the first of which is 0, and discards its summary.
    func closeWindow(_ window: UInt64) throws -> [ClosedFile] {
        let closed = try processor.finalize(stem: "bench\(window)", nextWindow: window + 1)
        _ = processor.takeSummary()
        return closed
    }

    /// Returns a resource's events of a batch, as the router would send them to the worker of these processes.
    static func share(
        of resource: Resource,
        in batch: [UInt8],
        where isOwned: (UInt32) -> Bool = { _ in true }
    ) throws -> [UInt8] {
        var index = EventIndex()
        return try unsafe batch.withUnsafeBytes { bytes in
            _ = try unsafe BatchScanner.scan(bytes, into: &index)
            var share: [UInt8] = []
            for position in 0..<index.count where index[position].resource == resource {
                let entry = index[position]
                guard isOwned(entry.processID) else { continue }
                let start = Int(entry.offset)
                unsafe share += bytes[start..<(start + Int(entry.length))]
            }
            return share
        }
    }
}

// Parts of a worker's loop, run once for each event.
extension StageBench {
    private static let functions = 500

    /// A sort key, as `EventBuffer` sorts events by.
    private struct Rank: BitwiseCopyable {
        let time: EpochNanoseconds
        let pid: UInt32
    }

    /// Sorts batches whose events are nearly in order, as agents send them.
    func sort() throws -> StageFigure {
        var sorter = NaturalMergeSort<Rank>()
        var random = BenchRandom(seed: 3)
        return try unsafe measure("sort") {
            [[]]
        } body: { _ in
            var left = events
            var time: EpochNanoseconds = 0
            var ranks = RawArray<Rank>()
            while left > 0 {
                ranks.removeAll()
                for _ in 0..<min(left, 600) {
                    time += 1_000
                    let isLate = random.below(16) == 0
                    ranks.append(Rank(time: isLate ? time - 5_000 : time, pid: 1))
                }
                unsafe sorter.sort(ranks.elements) { $0.time < $1.time }
                left -= ranks.count
            }
            return events
        }
    }

    /// Adds a duration to those of one of 500 functions: sum, maximum, quantile sketch.
    func statistics() throws -> StageFigure {
        var values = [SummaryValues](repeating: SummaryValues(), count: Self.functions)
        var sketches = [QuantileSketch](repeating: QuantileSketch(), count: Self.functions)
        var random = BenchRandom(seed: 4)
        return try unsafe measure("statistics") {
            [[]]
        } body: { _ in
            for _ in 0..<events {
                let function = random.below(Self.functions)
                let duration = UInt64(50_000 + random.below(900_000))
                values[function].add(duration, to: 2)
                values[function].raise(3, to: duration)
                sketches[function].insert(duration)
            }
            return events
        }
    }

    /// Evaluates a value against the history of its series, as most rules do.
    func anomalyRules() throws -> StageFigure {
        var watches = [SpikeWatch](repeating: SpikeWatch(), count: Self.functions)
        var random = BenchRandom(seed: 5)
        var findings = 0
        return try unsafe measure("anomaly rules") {
            [[]]
        } body: { _ in
            for event in 0..<events {
                let found = watches[random.below(Self.functions)].observe(
                    10 + Double(random.below(1_000)) / 1_000,
                    limit: 4,
                    samplesMin: 30,
                    at: Int64(event),
                    cooldown: 60_000_000_000
                )
                if found?.verdict == .raised { findings += 1 }
            }
            return events
        }
    }

    /// The format of a rendered row.
    enum RowKind: String {
        case json = "JSON"
        case csv = "CSV"
    }

    /// Renders a function event's row, sorts it and writes it to its run file.
    func rows(_ kind: RowKind) throws -> StageFigure {
        let root = "\(directory)/trace-bench-rows"
        try FileSystem.createDirectory(root)
        defer { try? FileSystem.removeTree(root) }
        let files = try TraceFileManager(
            worker: WorkerName(resource: .function, index: 0),
            csvHeader: "Timestamp,PID,Function,Cookie,host,Timestamp(ns)",
            timeZoneName: zone.name,
            root: root
        )
        var name = "bench"
        let host = name.withUTF8 {
            unsafe files.registerHost(ByteView(UnsafeRawBufferPointer($0)), isThisMachine: true)
        }
        let (json, csv) = (files.json(host).target, files.csv.target)
        let field = files.hostField(host)
        var time = WallClock.now() / 1_000 * 1_000
        var functionName = "service::handler_17::process"
        return try unsafe measure("\(kind.rawValue) function") {
            [[]]
        } body: { _ in
            try functionName.withUTF8 { name in
                let name = unsafe ByteView(UnsafeRawBufferPointer(name))
                for event in 0..<UInt64(events) {
                    time += 1_000
                    let pid = UInt32(1_000 + event % 200)
                    switch kind {
                    case .json: Self.record(event, name, time, pid, json)
                    case .csv: Self.row(event, name, time, pid, host, field, csv)
                    }
                    if files.needsFlush { try files.flush(.full) }
                }
            }
            return events
        }
    }

    private static func record(
        _ event: UInt64,
        _ name: ByteView,
        _ time: EpochNanoseconds,
        _ pid: UInt32,
        _ rows: RowTarget
    ) {
        var text = rows.beginRow()
        text.append("{\"ts\":")
        text.appendMicroseconds(ns: time)
        text.append(",\"pid\":")
        text.appendDecimal(pid)
        text.append(",\"tid\":")
        text.appendDecimal(pid)
        text.append(",\"ph\":\"B\",\"cat\":\"function\",\"name\":")
        text.appendJSONString(name)
        text.append(",\"readable_time\":\"10:53:20.001\",\"args\":{\"cookie\":")
        text.appendDecimal(event)
        text.append(",\"call_count\":")
        text.appendDecimal(event % 1_000)
        text.append(",\"avg_duration_us\":")
        text.appendDecimal(event % 900)
        text.append("}}")
        rows.endRow(text, ts: time, pid: pid)
    }

    private static func row(
        _ event: UInt64,
        _ name: ByteView,
        _ time: EpochNanoseconds,
        _ pid: UInt32,
        _ host: HostID,
        _ field: ByteView,
        _ rows: RowTarget
    ) {
        var text = rows.beginRow()
        text.appendDecimal(time / 1_000_000)
        text.append(byte: UInt8(ascii: ","))
        text.appendDecimal(pid)
        text.append(byte: UInt8(ascii: ","))
        text.appendCSVField(name, guardsFormulas: false)
        text.append(byte: UInt8(ascii: ","))
        text.appendDecimal(event)
        rows.endRow(text, ts: time, pid: pid, host: host, field: field) { $0.appendDecimal(time) }
    }
}

/// The cost of a scrape of 50,000 series to the aggregator: reading the store, rendering the page, compressing it. The
/// figure is per series.
struct PageStage {
    private static let processes = 100
    private static let functions = 500

    let rounds: Int

    func run() throws -> StageFigure {
        var store = try Self.store()
        var costs: [Double] = []
        var series = 0
        for round in 0...rounds {
            // A new report before each reading, as before a real scrape.
            try store.apply(MetricSnapshot(process: "function.0", incarnation: 1, pid: 1))
            let began = WallClock.monotonic()
            let reading = store.reading()
            let page = Exposition.render(reading, .all, .text, now: 0)
            _ = try unsafe page.withUnsafeBytes { try unsafe Gzip.compress($0) }
            let passed = WallClock.monotonic() - began
            let count = reading.families.reduce(0) { $0 + $1.count }
            guard round > 0 else { continue }
            costs.append(Double(passed) / Double(count))
            series += count
        }
        return StageFigure(
            name: "page of 50,000 series",
            nanosecondsPerEvent: median(costs),
            fastestNanosecondsPerEvent: costs.min() ?? 0,
            events: series
        )
    }

    private static func store() throws -> MetricStore {
        var store = MetricStore(limits: SeriesLimits(perFamily: processes * functions))
        var series = SeriesWriter()
        series.begin()
        for process in 0..<processes {
            let pid = UInt32(4_000 + process)
            series.beginSection(slot: UInt8(process), lsn: 1, isFull: true)
            series.use(host: "bench", pid: pid, name: .empty, isNew: false)
            for function in 0..<functions {
                var name = "bench::function_\(function)"
                name.withUTF8 {
                    let name = unsafe ByteView(UnsafeRawBufferPointer($0))
                    series.begin(SeriesSet(), count: 1, name: name)
                    series.add(.functionCallsTotal, Double(function * process))
                    _ = series.end()
                }
            }
            guard series.endSection() else {
                throw TraceError(.exhausted, "a section of \(functions) series")
            }
        }
        _ = try store.apply(
            MetricSeries(
                process: "function.0",
                incarnation: 1,
                begins: true,
                sections: series.take()
            )
        )
        return store
    }
}
