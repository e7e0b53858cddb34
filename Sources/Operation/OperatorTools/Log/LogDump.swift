import Foundation
import IngestLog
package import TraceModel
import TraceWire

/// Formats records and their times.
enum LogRecordText {
    /// Returns the record's type in lower case with hyphens, such as `file-head`.
    static func name(of record: LogRecord) -> String {
        guard let type = record.type else { return "unknown" }
        var name = ""
        for character in "\(type)" {
            name += character.isUppercase ? "-\(character.lowercased())" : String(character)
        }
        return name
    }

    /// Formats a time as ISO 8601 in UTC, to the millisecond.
    static func moment(_ time: EpochNanoseconds) -> String {
        Date(timeIntervalSince1970: Double(time) / 1e9).formatted(
            Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        )
    }
}

/// One record, or one damaged range, as `tracectl log dump` shows it.
struct LogLine: Encodable {
    private var lsn: LSN
    private var type: String
    /// The distance to the next record, header and padding included.
    private var bytes: Int
    private var arrivalNs: EpochNanoseconds?
    private var host: String?
    private var events: [String: Int]?
    private var clientId: String?
    private var sequence: UInt64?
    private var isLastBatch: Bool?
    private var semantics: String?
    private var names: Int?
    private var window: UInt64?
    private var reason: String?
    private var stem: String?
    private var workers: [String: Int]?
    private var damaged: LogRange?
    private var damagedEvents: UInt64?
    private var worker: String?
    private var setAside: LogRange?
    private var setAsideEvents: UInt64?
    private var durableLsn: LSN?
    private var acceptedEvents: UInt64?
    private var deduplicatedEvents: UInt64?
    private var rejectedEvents: UInt64?
    private var deadLetteredEvents: UInt64?
    private var problem: String?

    init(damaged range: Range<LSN>) {
        lsn = range.lowerBound
        type = "damaged"
        bytes = Int(range.upperBound - range.lowerBound)
        damaged = LogRange(range)
    }

    init(_ record: LogRecord, _ index: inout EventIndex) {
        lsn = record.lsn
        type = LogRecordText.name(of: record)
        bytes = record.stride
        arrivalNs = record.arrival
        durableLsn = record.durableLSN
        let counts = record.counts
        acceptedEvents = counts.acceptedTotal
        deduplicatedEvents = counts.deduplicated
        rejectedEvents = counts.rejected
        deadLetteredEvents = counts.deadLettered
        do {
            switch record.type {
            case .batch: try describe(batch: record, &index)
            case .barrier: unsafe describe(try BarrierPayload(decoding: record.body))
            case .damage:
                let payload = try unsafe DamagePayload(decoding: record.body)
                damaged = LogRange(payload.range)
                damagedEvents = payload.events
            case .verdict: unsafe describe(try VerdictPayload(decoding: record.body))
            default: break
            }
        } catch { problem = "\(error)" }
    }

    private mutating func describe(batch record: LogRecord, _ index: inout EventIndex) throws {
        host = unsafe String(decoding: record.host, as: UTF8.self)
        let summary = try unsafe BatchScanner.scan(record.body, into: &index)
        var events: [String: Int] = [:]
        for resource in Resource.allCases where summary.count(of: resource) > 0 {
            events[resource.name] = summary.count(of: resource)
        }
        self.events = events
        if summary.hasClientID { clientId = summary.clientID.string }
        if summary.hasSequence { sequence = summary.sequence }
        if summary.isLastBatch { isLastBatch = true }
        semantics = record.semantics.name
        if !summary.names.isEmpty { names = summary.names.count }
    }

    private mutating func describe(_ barrier: BarrierPayload) {
        window = barrier.window
        reason = "\(barrier.reason)"
        stem = barrier.stem
        var workers: [String: Int] = [:]
        for resource in Resource.allCases {
            workers[resource.name] = barrier.slotMap.workerCount(of: resource)
        }
        self.workers = workers
    }

    private mutating func describe(_ verdict: VerdictPayload) {
        worker = "\(verdict.worker)"
        setAside = LogRange(verdict.range)
        setAsideEvents = verdict.events
        reason = verdict.reason
    }

    /// The line for people: LSN, type and bytes, then the fields that are set, by name.
    var text: String {
        var fields = ["\(lsn)", type, "\(bytes)"]
        func add(_ name: String, _ value: (some CustomStringConvertible)?) {
            if let value { fields.append("\(name)=\(Self.quoted(value.description))") }
        }
        add("arrival", arrivalNs.map(LogRecordText.moment))
        add("host", host)
        add("events", events.map(Self.list))
        add("client_id", clientId)
        add("sequence", sequence)
        add("is_last_batch", isLastBatch)
        add("semantics", semantics)
        add("names", names)
        add("window", window)
        add("reason", reason)
        add("stem", stem)
        add("workers", workers.map(Self.list))
        add("damaged", damaged.map { "\($0.fromLsn)-\($0.toLsn)" })
        add("damaged_events", damagedEvents)
        add("worker", worker)
        add("set_aside", setAside.map { "\($0.fromLsn)-\($0.toLsn)" })
        add("set_aside_events", setAsideEvents)
        add("accepted", acceptedEvents)
        add("deduplicated", deduplicatedEvents)
        add("rejected", rejectedEvents)
        add("dead_lettered", deadLetteredEvents)
        add("problem", problem)
        return fields.joined(separator: " ")
    }

    /// Formats counts in the order of the resources: `function:4,cpu:1`.
    private static func list(_ counts: [String: Int]) -> String {
        Resource.allCases.compactMap { resource in
            counts[resource.name].map { "\(resource.name):\($0)" }
        }.joined(
            separator: ","
        )
    }

    /// Returns a value unchanged where it is one word, else quoted with escapes: names come from senders.
    private static func quoted(_ value: String) -> String {
        let isWord = value.unicodeScalars.allSatisfy {
            $0.value > 0x20 && $0 != "\"" && $0 != "\\" && $0.properties.generalCategory != .control
        }
        guard !isWord else { return value }
        return "\"\(value.unicodeScalars.map { $0.escaped(asASCII: true) }.joined())\""
    }
}

/// Writes one line for each record.
package struct LogDump {
    private let from: LSN?
    private let to: LSN?
    private let limit: Int
    private let isJSON: Bool

    /// Selects at most `limit` records that begin at or above `from` and below `to`.
    package init(from: LSN?, to: LSN?, limit: Int?, isJSON: Bool) {
        self.from = from
        self.to = to
        self.limit = limit ?? .max
        self.isJSON = isJSON
    }

    /// Calls `write` with each line, without a line end. Blocks; uses bounded memory.
    /// - Throws: `SystemError` where the log cannot be read, and any error of `write`.
    package func run(_ log: StoredLog, write: (String) throws -> Void) throws {
        var walk = try log.walk(from: from)
        var index = EventIndex()
        var written = 0
        while written < limit {
            switch try walk.next() {
            case .records(let bytes):
                for record in unsafe LogRecords(bytes) where record.lsn >= from ?? 0 {
                    guard written < limit, record.lsn < to ?? .max else { return }
                    try write(shown(LogLine(record, &index)))
                    written += 1
                }
            case .damage(let range):
                guard range.lowerBound < to ?? .max else { return }
                guard range.upperBound > from ?? 0 else { continue }
                try write(shown(LogLine(damaged: range)))
                written += 1
            case .trimmed: break
            case .end: return
            }
        }
    }

    private func shown(_ line: LogLine) throws -> String {
        isJSON ? try Report.json(line) : line.text
    }
}
