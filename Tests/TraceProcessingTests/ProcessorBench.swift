import AnomalyRules
import Foundation
import SystemIO
import Testing
import TraceFiles
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceTime
import TraceWire

@testable import TraceProcessing

/// One resource's processor over a directory of its own, fed with encoded batches; reads back what it
/// wrote.
final class ProcessorBench {
    static let hostName = "bench"
    static let start: EpochNanoseconds = 1_760_000_000_000_000_000

    let processor: any TraceProcessor
    let files: TraceFileManager
    private let root: String
    private let host: HostID
    private let hostHash: UInt64
    private var lsn: LSN = 0

    init(_ resource: Resource, budget: StateBudget = StateBudget()) throws {
        root = NSTemporaryDirectory() + "bench-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        let files = try TraceFileManager(
            worker: WorkerName(resource: resource, index: 0),
            csvHeader: ProcessorRegistry.csvHeader(of: resource),
            timeZoneName: "UTC",
            root: root
        )
        self.files = files
        let zone = try ContractWorker.zone.get()
        processor = ProcessorRegistry.makeProcessor(
            of: resource,
            files: files,
            zone: zone,
            budget: budget
        )
        var name = Self.hostName
        (host, hostHash) = name.withUTF8 {
            let bytes = UnsafeRawBufferPointer($0)
            return (
                files.registerHost(ByteView(bytes), isThisMachine: true), Slot.hash(host: bytes)
            )
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    /// `start` and so many milliseconds later, as agents write it.
    static func timestamp(_ milliseconds: Int) -> String {
        let time = Int(start / 1_000_000) + milliseconds
        let below = String(time % 1_000 + 1_000).dropFirst()
        return "\(time / 1_000).\(below)"
    }

    /// Sends one batch. Where `spoiled`, bytes of `~` become 0xFF, which no UTF-8 holds.
    func send(
        spoiled: Bool = false,
        arrival: EpochNanoseconds = ProcessorBench.start,
        semantics: Semantics = .cumulative,
        _ fill: (inout BatchEncoder) -> Void
    ) throws {
        var batch = BatchEncoder()
        fill(&batch)
        let bytes = batch.bytes.map { spoiled && $0 == UInt8(ascii: "~") ? 0xFF : $0 }
        let count = try send(bytes, arrival: arrival, semantics: semantics)
        #expect(count == batch.eventCount)
    }

    /// Sends an encoded batch; how many events of it are of the processor's resource.
    @discardableResult func send(
        _ bytes: [UInt8],
        arrival: EpochNanoseconds = ProcessorBench.start,
        semantics: Semantics
    ) throws -> Int {
        lsn += 1
        return try bytes.withUnsafeBytes {
            try processor.processTraces(
                TraceBatchView(
                    bytes: $0,
                    host: host,
                    hostHash: hostHash,
                    arrival: arrival,
                    lsn: lsn,
                    semantics: semantics
                ),
                isLastBatch: false
            )
        }
    }

    /// Lends a context as models get one, for tests of their parts.
    func withContext(_ body: (EventContext) -> Void) throws {
        let zone = try ContractWorker.zone.get()
        let totals = UnsafeMutablePointer<SlotTotals>.allocate(capacity: 1)
        totals.initialize(to: SlotTotals())
        let hosts = HostAccounts(totals)
        let rules = RuleSet()
        let activity = UnsafeMutablePointer<WindowActivity>.allocate(capacity: 1)
        activity.initialize(to: WindowActivity())
        let suppressed = UnsafeMutablePointer<SuppressedFindings>.allocate(capacity: 1)
        suppressed.initialize(to: SuppressedFindings())
        let texts = EventTexts.allocate(zone: zone, hosts: hosts)
        defer {
            texts.deallocate()
            totals.deallocate()
            activity.deinitialize(count: 1)
            activity.deallocate()
            suppressed.deinitialize(count: 1)
            suppressed.deallocate()
        }
        body(
            EventContext(
                files: files,
                totals: totals,
                host: host,
                pid: 1,
                tid: 1,
                stamp: Self.start,
                arrival: Self.start,
                semantics: .cumulative,
                texts: texts,
                activity: activity,
                givenName: EventText(ByteView.empty, isPlain: true),
                suppressed: suppressed,
                ruleSet: rules,
                rules: rules.thresholds(comm: .empty, host: "", pid: 1)
            )
        )
        withExtendedLifetime((rules, hosts)) {}
    }

    // MARK: What came out

    struct Output {
        var events: [[String: Any]] = []
        var rows: [[String: String]] = []
        var columns: [String] = []
        /// The lines of the anomalies file.
        var anomalies: [[String: Any]] = []

        /// Events that stand for what was received.
        func records(_ resource: Resource) -> [[String: Any]] {
            events.filter { $0["cat"] as? String == resource.name && $0["ph"] as? String == "i" }
        }

        /// Findings of one rule.
        func findings(_ rule: String) -> [[String: Any]] {
            anomalies.filter { $0["rule"] as? String == rule }
        }

        func counters() -> [[String: Any]] { events.filter { $0["ph"] as? String == "C" } }
    }

    /// Ends the window and reads its files.
    func output() throws -> Output {
        var output = Output()
        for file in try processor.finalize(stem: "stem", nextWindow: files.window + 1) {
            for run in file.runs {
                let data = try Data(contentsOf: URL(fileURLWithPath: root + "/" + run.path))
                try output.add(data, file.kind)
            }
        }
        return output
    }

    /// The summary of the window that ended last; nil where it is empty.
    func summary() throws -> [String: Any]? {
        let document = try SummaryFile.document(
            processor.resource,
            stem: "stem",
            window: 0,
            summaries: [processor.takeSummary()]
        )
        guard let document else { return nil }
        let object = try JSONSerialization.jsonObject(with: Data(document.bytes))
        return object as? [String: Any]
    }

    func samples() -> Samples { Samples(processor.allSamples(lsn: lsn)) }

    func slot(of pid: UInt32) -> UInt8 { Slot.of(hostHash: hostHash, processID: pid) }

    func state(of slot: UInt8) -> [UInt8] {
        var buffer = RawBuffer()
        processor.saveState(slot: slot, into: &buffer)
        return Array(buffer.bytes)
    }

    func load(
        _ state: some Sequence<UInt8>,
        of slot: UInt8,
        version: UInt32 = StateVersion.current
    ) throws {
        try Array(state).withUnsafeBytes {
            var reader = StateReader($0)
            reader.version = version
            try processor.loadState(slot: slot, from: &reader)
            #expect(reader.remaining == 0)
        }
    }
}

extension ProcessorBench.Output {
    fileprivate mutating func add(_ data: Data, _ kind: OutputKind) throws {
        switch kind {
        case .json:
            let object = try #require(
                try JSONSerialization.jsonObject(with: data) as? [String: Any]
            )
            events += try #require(object["traceEvents"] as? [[String: Any]])
        case .csv:
            var lines = Self.parseCSV(try #require(String(data: data, encoding: .utf8)))
            columns = lines.removeFirst()
            for line in lines {
                #expect(line.count == columns.count)
                rows.append(Dictionary(uniqueKeysWithValues: zip(columns, line)))
            }
        case .anomalies:
            // Records of two parts, of which the first is a line of JSON.
            let start = try #require(data.firstIndex(of: UInt8(ascii: "{")))
            for part in data[start...].split(separator: UInt8(ascii: "\n")) {
                guard let from = part.range(of: Data("{\"rule\"".utf8))?.lowerBound else {
                    continue
                }
                let line = try JSONSerialization.jsonObject(with: Data(part[from...]))
                anomalies.append(try #require(line as? [String: Any]))
            }
        case .stacks, .profile: break
        }
    }

    /// RFC 4180.
    static func parseCSV(_ text: String) -> [[String]] {
        var lines: [[String]] = [[]]
        var field = ""
        var isQuoted = false
        var scalars = Array(text.unicodeScalars)[...]
        while let scalar = scalars.popFirst() {
            switch scalar {
            case "\"" where isQuoted && scalars.first == "\"":
                field.unicodeScalars.append(scalar)
                scalars.removeFirst()
            case "\"": isQuoted.toggle()
            case "," where !isQuoted:
                lines[lines.count - 1].append(field)
                field = ""
            case "\r" where !isQuoted && scalars.first == "\n":
                scalars.removeFirst()
                lines[lines.count - 1].append(field)
                field = ""
                lines.append([])
            default: field.unicodeScalars.append(scalar)
            }
        }
        lines.removeLast()
        return lines
    }
}

/// Series by family and labels, slots summed; all samples are as they have to be.
struct Samples {
    struct Key: Hashable {
        let family: MetricFamily
        let labels: [String]
    }

    private(set) var series: [Key: MetricValue] = [:]

    init(_ slots: [SlotSamples]) {
        for slot in slots {
            var reported: Set<Key> = []
            for sample in slot.samples {
                if !sample.isWellFormed { Issue.record("\(sample) is not well formed") }
                let key = Key(family: sample.family, labels: sample.labels)
                #expect(reported.insert(key).inserted, "\(key) is reported twice")
                guard sample.value != .counter(0) || sample.labels.count > 1 else { continue }
                series[key]?.add(sample.value)
                if series[key] == nil { series[key] = sample.value }
            }
        }
    }

    /// The value of the one series of the family whose labels end in these.
    func value(_ family: MetricFamily, _ labels: String...) -> Double? {
        let found = series.filter {
            $0.key.family == family && $0.key.labels.suffix(labels.count) == labels[...]
        }
        guard let value = found.first?.value, found.count == 1 else { return nil }
        return switch value {
        case .counter(let value), .gauge(let value): value
        case .histogram(let buckets, _): Double(buckets.reduce(0, +))
        }
    }

    func buckets(_ family: MetricFamily) -> [UInt64]? {
        guard
            case .histogram(let buckets, _) = series.first(where: { $0.key.family == family })?
                .value
        else {
            return nil
        }
        return buckets
    }
}
