import IngestLog
import SystemIO
package import TraceModel
import TraceWire

/// The result of `tracectl log verify`.
package struct LogVerification: Encodable, Sendable {
    /// A record with a valid checksum that the log's writer would not have written there.
    package struct Fault: Encodable, Sendable {
        package let lsn: LSN
        package let problem: String
    }

    /// A missing range before the log's oldest record that workers still need.
    package struct LostBegin: Encodable, Sendable {
        package let fromLsn: LSN
        package let toLsn: LSN
        /// The evidence, in words.
        package let reason: String
    }

    /// How many findings of each kind are listed; all are counted.
    private static let findingsMax = 1_000

    package private(set) var files = 0
    package private(set) var beginLsn: LSN = 0
    package private(set) var endLsn: LSN = 0
    package private(set) var records = 0
    package private(set) var damagedRanges = 0
    package private(set) var damagedBytes: LSN = 0
    package private(set) var damaged: [LogRange] = []
    /// nil if no file is missing at the front.
    package private(set) var lostBegin: LostBegin?
    package private(set) var faultyRecords = 0
    package private(set) var faults: [Fault] = []
    /// Bytes behind the end, of a write that never finished or has not finished yet. They were not acknowledged.
    package private(set) var unfinishedBytes = 0
    /// Bytes that a running router removed before they were read.
    package private(set) var trimmedBytes: LSN = 0

    package var isClean: Bool { damagedRanges == 0 && faultyRecords == 0 && lostBegin == nil }

    /// Reads the whole log. Blocks; uses bounded memory.
    /// - Throws: `SystemError` where it cannot be read.
    package init(_ log: StoredLog) throws {
        let bases = try log.directory.bases()
        // Read before the walk, because a running router keeps writing.
        let noted = log.notedEnd
        files = bases.count
        var walk = try log.walk()
        beginLsn = walk.position
        var consistency = LogConsistency(bases: bases)
        var need = LogNeed()
        reading: while true {
            switch try walk.next() {
            case .records(let bytes):
                for record in unsafe LogRecords(bytes) {
                    records += 1
                    need.pass(record)
                    if let problem = consistency.findFault(in: record) {
                        add(Fault(lsn: record.lsn, problem: problem))
                    }
                }
            case .damage(let range): add(damage: range)
            case .trimmed(let range): trimmedBytes += range.upperBound - range.lowerBound
            case .end(let unfinished):
                unfinishedBytes = unfinished
                break reading
            }
        }
        endLsn = walk.position
        let cut = try log.cut(endingAt: endLsn)
        let lostEnd = max(cut?.end ?? 0, noted ?? 0)
        if lostEnd > endLsn { add(damage: endLsn..<lostEnd) }
        lostBegin = need.missing(before: beginLsn).map {
            LostBegin(fromLsn: $0.from, toLsn: beginLsn, reason: $0.reason)
        }
    }

    private mutating func add(damage range: Range<LSN>) {
        damagedRanges += 1
        damagedBytes += range.upperBound - range.lowerBound
        if damaged.count < Self.findingsMax { damaged.append(LogRange(range)) }
    }

    private mutating func add(_ fault: Fault) {
        faultyRecords += 1
        if faults.count < Self.findingsMax { faults.append(fault) }
    }

    package var text: String {
        var lines = [
            "\(files) files, LSN \(beginLsn) to \(endLsn), \(Report.grouped(records)) records: "
                + (isClean ? "no damage" : "DAMAGED")
        ]
        if let lost = lostBegin {
            lines.append(
                "lost at the front: \(LogRange(lost.fromLsn..<lost.toLsn).text), still needed, as \(lost.reason)."
                    + " Put the files of \(ClusterPaths.log)/ back; or start the router, which takes nothing then, and"
                    + " have it go on without them: `tracectl log accept-loss`"
            )
        }
        lines += damaged.map { "damaged: \($0.text)" }
        if damaged.count < damagedRanges {
            lines.append("damaged: \(damagedRanges - damaged.count) ranges more")
        }
        lines += faults.map { "faulty record at LSN \($0.lsn): \($0.problem)" }
        if faults.count < faultyRecords {
            lines.append("faulty: \(faultyRecords - faults.count) records more")
        }
        if unfinishedBytes > 0 {
            lines.append(
                "behind the end: \(Report.grouped(unfinishedBytes)) bytes of a write that did not finish"
                    + " (torn by a crash, or under way); nothing of it was acknowledged"
            )
        }
        if trimmedBytes > 0 {
            lines.append("trimmed while reading: \(Report.grouped(Int(trimmedBytes))) bytes")
        }
        return lines.joined(separator: "\n")
    }
}

/// Finds out from which LSN workers need the log, as the router does at its start.
private struct LogNeed {
    private var maps: SlotMapHistory?
    /// Damaged ranges that the router has found; workers skip them.
    private var accepted: [Range<LSN>] = []

    /// Processes the next record in LSN order. What is malformed is left to `LogConsistency`.
    mutating func pass(_ record: LogRecord) {
        switch record.type {
        case .fileHead where maps == nil:
            var reader = unsafe StateReader(record.body)
            guard let last = try? LastWindow(from: &reader) else { return }
            maps = SlotMapHistory(
                last.slotMap,
                window: last.closed.map { $0.window + 1 } ?? 0,
                windowBegin: min(last.begin, record.lsn)
            )
        case .barrier:
            guard let barrier = try? unsafe BarrierPayload(decoding: record.body) else { return }
            maps?.append(barrier, end: record.lsn + LSN(record.stride))
        case .damage:
            guard let damage = try? unsafe DamagePayload(decoding: record.body) else { return }
            accepted.append(damage.range)
        default: break
        }
    }

    /// Returns what workers need before `begin`, where the log begins. Reads the workers' checkpoints, which may only have
    /// advanced since the log was listed. Blocks.
    func missing(before begin: LSN) -> (from: LSN, reason: String)? {
        guard begin > 0, let maps else { return nil }
        return maps.neededBelow(
            begin,
            accepted: accepted,
            checkpoints: WorkerCheckpoints.positions { $0 < begin }
        )
    }
}

/// Checks what must hold from one record to the next: checksums do not detect a writer's error.
struct LogConsistency: ~Copyable {
    private var index = EventIndex()
    private var last: (end: LSN, counts: LogCounts, durable: LSN)?
    private var window: UInt64?

    /// The positions at which log files begin: each has a file head, and no other position has one.
    private let bases: Set<LSN>
    private let newest: LSN

    init(bases: [LSN]) {
        self.bases = Set(bases)
        newest = bases.last ?? 0
    }

    /// Returns what is wrong with the next record in LSN order, or nil.
    mutating func findFault(in record: LogRecord) -> String? {
        let counts = record.counts
        defer { last = (record.lsn + LSN(record.stride), counts, record.durableLSN) }
        // Files that a running router has begun since then are not in the list.
        if record.lsn <= newest, (record.type == .fileHead) != bases.contains(record.lsn) {
            return record.type == .fileHead
                ? "a file head where no file begins" : "no file head where a file begins"
        }
        guard record.durableLSN <= record.lsn else {
            return "its durable LSN is behind its own position"
        }
        if let fault = findFault(inBodyOf: record) { return fault }
        guard let last else { return nil }
        guard record.durableLSN >= last.durable else { return "the durable LSN goes back" }
        return findFault(in: counts, after: last.counts, record, isNext: record.lsn == last.end)
    }

    private mutating func findFault(inBodyOf record: LogRecord) -> String? {
        do throws(TraceError) {
            switch record.type {
            case .barrier:
                let barrier = try unsafe BarrierPayload(decoding: record.body)
                defer { window = barrier.window }
                if let window, barrier.window <= window { return "its window was closed before" }
            case .damage: _ = try unsafe DamagePayload(decoding: record.body)
            case .verdict: _ = try unsafe VerdictPayload(decoding: record.body)
            default: break
            }
        } catch { return error.message }
        return nil
    }

    /// Checks that counts never go back, and that accepted events grow by what the record holds where it follows its
    /// predecessor directly.
    private mutating func findFault(
        in counts: LogCounts,
        after earlier: LogCounts,
        _ record: LogRecord,
        isNext: Bool
    ) -> String? {
        var summary: BatchSummary?
        if record.type == .batch {
            do throws(WireError) {
                summary = unsafe try BatchScanner.scan(record.body, into: &index)
            } catch {
                return "the batch can't be decoded: \(error)"
            }
        }
        for resource in Resource.allCases {
            let position = Int(resource.rawValue)
            let (now, before) = (counts.accepted[position], earlier.accepted[position])
            guard now >= before else { return "the count of \(resource.name) events goes back" }
            let held = UInt64(summary?.count(of: resource) ?? 0)
            if isNext, now - before != held {
                return "the count of \(resource.name) events grows by \(now - before), "
                    + "the record holds \(held)"
            }
        }
        return counts.deduplicated < earlier.deduplicated || counts.rejected < earlier.rejected
            || counts.deadLettered < earlier.deadLettered ? "a count of events goes back" : nil
    }
}
