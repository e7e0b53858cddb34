import AnomalyRules
import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries
import TraceTime
import TraceWire

// Parts of a worker's loop, as many times as there are events.
extension StageBench {
    private static let functions = 500

    private struct Rank: BitwiseCopyable {
        let time: EpochNanoseconds
        let pid: UInt32
    }

    /// Batches whose events stand nearly in order, as agents send them.
    func sort() throws -> StageFigure {
        var sorter = StretchSort<Rank>()
        var random = BenchRandom(seed: 3)
        return try measure("sort") {
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
                sorter.sort(ranks.elements) { $0.time < $1.time }
                left -= ranks.count
            }
            return events
        }
    }

    /// A duration noted among those of one of 500 functions: sum, maximum, quantile sketch.
    func statistics() throws -> StageFigure {
        var values = [SummaryValues](repeating: SummaryValues(), count: Self.functions)
        var sketches = [QuantileSketch](repeating: QuantileSketch(), count: Self.functions)
        var random = BenchRandom(seed: 4)
        return try measure("statistics") {
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

    /// A value judged against its series' own past, as most rules do.
    func anomalyRules() throws -> StageFigure {
        var watches = [SpikeWatch](repeating: SpikeWatch(), count: Self.functions)
        var random = BenchRandom(seed: 5)
        var findings = 0
        return try measure("anomaly rules") {
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

    enum RowKind: String {
        case json = "JSON"
        case csv = "CSV"
    }

    /// A function event's row rendered, filed in order and written to its run file.
    func rows(_ kind: RowKind) throws -> StageFigure {
        let root = "\(directory)/trace-bench-rows"
        try FileSystem.createDirectory(root)
        defer { FileSystem.removeTree(root) }
        let files = try TraceFileManager(
            worker: WorkerName(resource: .function, index: 0),
            csvHeader: "Timestamp,PID,Function,Cookie,host,Timestamp(ns)",
            timeZoneName: zone.name,
            root: root
        )
        var name = "bench"
        let host = name.withUTF8 {
            files.registerHost(ByteView(UnsafeRawBufferPointer($0)), isThisMachine: true)
        }
        let (json, csv) = (files.json(host).target, files.csv.target)
        let field = files.hostField(host)
        var time = WallClock.now() / 1_000 * 1_000
        var functionName = "service::handler_17::process"
        return try measure("\(kind.rawValue) function") {
            [[]]
        } body: { _ in
            try functionName.withUTF8 { name in
                let name = ByteView(UnsafeRawBufferPointer(name))
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
        rows.endRow(text, ts: time, pid: pid, host: host, field: field) {
            $0.appendDecimal(time)
        }
    }
}
