import AnomalyRules
import Glibc
import IngestLog
package import Logging
import SystemIO
import TraceFiles
package import TraceModel
import TraceProcessing
import TraceTime
import TraceWire

/// Makes the segments of one window of a worker again, from the checkpoint kept of it and the log, in a process and a
/// directory of their own: nothing of the running worker's is touched. Whoever started it finds the outcome in
/// `RebuiltSegments`.
package struct WindowRebuild {
    private let window: WorkerWindow
    private let timeZone: String?
    private let guardsFormulas: Bool
    private let stateBytesMax: Int
    private let logger: Logger

    /// The arguments are those of `Worker`.
    package init(
        _ window: WorkerWindow,
        timeZone: String?,
        guardsFormulas: Bool,
        stateBytesMax: Int,
        logger: Logger
    ) {
        self.window = window
        self.timeZone = timeZone
        self.guardsFormulas = guardsFormulas
        self.stateBytesMax = stateBytesMax
        self.logger = logger
    }

    /// Runs in the data directory to the end of the window; what came of it is on the disk when this returns. Returns the code
    /// for the process to end with.
    package func run() throws -> Int32 {
        Limits.assertRelations()
        ChildProcess.endWithParent()
        Self.endFirstWhereMemoryIsShort()
        let directory = ClusterPaths.rebuild(of: window)
        try FileSystem.createDirectory(directory)
        let lock = try File("\(directory)/lock", .readWrite)
        guard try lock.lock() else { return RebuiltSegments.laterCode }
        let watchdog = Watchdog(seconds: Limits.watchdogSeconds, cell: nil)
        watchdog.start()
        NameHash.key(with: try HashSecret.read())
        let zone = try TimeZoneRules.configure(timeZone)
        do {
            try outcome(zone) { watchdog.feed() }.publish(for: window)
            return 0
        } catch let error as SystemError where error.isOutOfSpace {
            logger.warning("The disk is full", metadata: ["error": "\(error)"])
            try? FileSystem.removeTree("\(directory)/\(ClusterPaths.segments)")
            return RebuiltSegments.laterCode
        }
    }

    /// `advanced` is called again and again while it comes along. What keeps the segments from being made whenever that is
    /// tried is an outcome; all else is thrown.
    func outcome(
        _ zone: TimeZoneRules,
        budget: FileBudget = FileBudget(),
        advanced: @escaping () -> Void = {}
    ) throws -> RebuiltSegments {
        do { return try make(zone, budget, advanced) } catch let error as TraceError
            where error.code == .corrupt
        {
            return .impossible(error.message)
        }
    }

    /// The kernel is to end this process rather than the one that started it and shares its limits.
    private static func endFirstWhereMemoryIsShort() {
        guard let file = try? File("/proc/self/oom_score_adj", .readWrite) else { return }
        try? Array("1000\n".utf8).withUnsafeBytes { try file.write($0, at: 0) }
    }

    /// - Throws: `TraceError(.corrupt)` where the checkpoint or the log are not what they were.
    private func make(
        _ zone: TimeZoneRules,
        _ budget: FileBudget,
        _ advanced: @escaping () -> Void
    ) throws -> RebuiltSegments {
        let directory = try DataDirectory.read()
        let worker = window.worker
        let files = try TraceFileManager(
            worker: worker,
            csvHeader: ProcessorRegistry.csvHeader(of: worker.resource),
            timeZoneName: zone.name,
            guardsFormulas: guardsFormulas,
            root: ClusterPaths.rebuild(of: window),
            budget: budget
        )
        let processor = ProcessorRegistry.makeProcessor(
            of: worker.resource,
            files: files,
            zone: zone,
            budget: StateBudget(bytesMax: stateBytesMax)
        )
        let observer = RebuildObserver(onAdvance: advanced)
        processor.observer = observer
        defer { withExtendedLifetime(observer) {} }
        files.onProgress = advanced
        guard let checkpoint = try WorkerCheckpoint.restoreKept(window, into: processor) else {
            return .impossible("no checkpoint of the window was kept")
        }
        guard checkpoint.window == window.window, checkpoint.gained == nil else {
            return .impossible("the checkpoint that was kept is not the window's")
        }
        // Another version's, which can't be read, the worker has replaced by the defaults, too.
        if let rules = try? RuleSet(checkpoint.rules, file: "") { processor.rules = rules }
        let log = WindowLog(
            salt: directory.salt,
            worker: worker,
            slots: checkpoint.ownedSlots(of: worker),
            from: checkpoint.lsn
        )
        let applier = BatchApplier(processor, machine: directory.machine)
        let end = try log.forEachRecord { part in
            advanced()
            switch part {
            case .batch(let record, let body):
                try applier.apply(
                    body,
                    host: record.host,
                    arrival: record.arrival,
                    lsn: record.lsn,
                    semantics: record.semantics
                )
            case .tick(let arrival): try processor.tick(arrival: arrival)
            }
        }
        guard end.window == window.window else {
            return .impossible("the log ends another window there: \(end.window)")
        }
        let closed = try processor.finalize(stem: end.stem, nextWindow: end.window + 1)
        let root = ClusterPaths.rebuild(of: window)
        return .files(closed.map { $0.moved(below: root) })
    }
}

/// A full disk ends the rebuild; it is begun anew later.
private final class RebuildObserver: BatchObserver {
    private let onAdvance: () -> Void

    init(onAdvance: @escaping () -> Void) { self.onAdvance = onAdvance }

    func advanced() { onAdvance() }

    func writeRows(after error: SystemError) throws { throw error }
}

/// A worker's part of the log from an LSN to the end of the window there, read while a router may write and trim it.
struct WindowLog {
    /// A record as the worker gets it.
    enum Part {
        /// The batch's bytes that are the worker's; valid during the call.
        case batch(LogRecord, UnsafeRawBufferPointer)
        case tick(arrival: EpochNanoseconds)
    }

    private let directory = LogDirectory(path: ClusterPaths.log)
    private let salt: UInt32
    private let worker: WorkerName
    private let begin: LSN
    private let isOwned: [Bool]

    /// `slots`: the worker's, up to the end of the window.
    init(salt: UInt32, worker: WorkerName, slots: [UInt8], from begin: LSN) {
        self.salt = salt
        self.worker = worker
        self.begin = begin
        var isOwned = [Bool](repeating: false, count: Slot.count)
        for slot in slots { isOwned[Int(slot)] = true }
        self.isOwned = isOwned
    }

    /// Calls `visit` for all records of the window in their order, and returns the barrier that ends it. Blocks.
    /// - Throws: `TraceError(.corrupt)` where a part of the log is damaged, trimmed or missing; what `visit` throws.
    func forEachRecord(_ visit: (Part) throws -> Void) throws -> BarrierPayload {
        let verdicts = try verdicts()
        var body = RawBuffer()
        var barrier: BarrierPayload?
        try walk { record in
            switch record.type {
            case .batch where verdicts.contains(where: { $0.contains(record.lsn) }): break
            case .batch:
                body.removeAll()
                try appendOwned(of: record, to: &body)
                if body.count > 0 { try visit(.batch(record, body.bytes)) }
            case .tick: try visit(.tick(arrival: record.arrival))
            case .barrier:
                barrier = try BarrierPayload(decoding: record.body)
                return false
            case .fileHead, .damage, .verdict, nil: break
            }
            return true
        }
        guard let barrier else {
            throw TraceError(.corrupt, "the log does not hold the window's end")
        }
        return barrier
    }

    /// What of the log was left out for the worker. A verdict stands behind the records it is about, perhaps in a later window.
    private func verdicts() throws -> [Range<LSN>] {
        var ranges: [Range<LSN>] = []
        try walk(toleratingDamage: true) { record in
            if record.type == .verdict {
                let verdict = try VerdictPayload(decoding: record.body)
                if verdict.worker == worker { ranges.append(verdict.range) }
            }
            return true
        }
        return ranges
    }

    /// Calls `visit` for the records from the begin on until it returns false, or the log ends.
    private func walk(
        toleratingDamage isTolerant: Bool = false,
        _ visit: (LogRecord) throws -> Bool
    ) throws {
        var walk = try LogWalk(directory, salt: salt, from: begin)
        guard walk.position <= begin else { throw trimmed(to: walk.position) }
        while true {
            switch try walk.next() {
            case .records(let bytes):
                for record in LogRecords(bytes) where record.lsn >= begin {
                    guard try visit(record) else { return }
                }
            case .damage(let range):
                guard isTolerant || range.upperBound <= begin else {
                    throw TraceError(
                        .corrupt,
                        "the log is damaged at LSN \(range.lowerBound)..<\(range.upperBound)"
                    )
                }
            case .trimmed(let range):
                guard range.upperBound <= begin else { throw trimmed(to: range.upperBound) }
            case .end: return
            }
        }
    }

    private func trimmed(to lsn: LSN) -> TraceError {
        TraceError(.corrupt, "the log begins at LSN \(lsn); it is needed from \(begin) on")
    }

    /// As the router narrows a batch for a worker that reads the log again: events first, then names.
    private func appendOwned(of record: LogRecord, to body: inout RawBuffer) throws {
        let batch = record.body
        let hash = Slot.hash(host: record.host)
        func append(_ range: Range<Int>, process: UInt32) {
            guard isOwned[Int(Slot.of(hostHash: hash, processID: process))] else { return }
            body.append(UnsafeRawBufferPointer(rebasing: batch[range]))
        }
        var fields = EventFields(of: worker.resource, in: batch)
        while let (range, process) = fields.nextWithProcess() { append(range, process: process) }
        guard !fields.isDamaged else {
            throw TraceError(.corrupt, "the batch at LSN \(record.lsn) is damaged")
        }
        guard fields.hasNames, Resource.namedByAgents.contains(worker.resource) else { return }
        var names = NameFields(in: batch)
        while let (name, _) = names.next() {
            let begin = Int(name.offset)
            append(begin..<begin + Int(name.length), process: name.processID)
        }
    }
}
