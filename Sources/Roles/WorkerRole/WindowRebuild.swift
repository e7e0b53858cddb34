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

/// Rebuilds a worker's segments of one window from the kept checkpoint and the log. Runs in a process and a directory
/// of its own, and changes no file of the running worker. The outcome is written to `RebuiltSegments` for the process
/// that started it.
package struct WindowRebuild {
    private let window: WorkerWindow
    private let timeZone: String?
    private let guardsFormulas: Bool
    private let stateBytesMax: Int
    private let logger: Logger

    /// Creates a rebuild of one window; the other arguments are those of `Worker`.
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

    /// Runs in the data directory up to the end of the window. When it returns, the outcome is on the disk. Returns the
    /// exit code of the process.
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

    /// Rebuilds the segments, calling `advanced` repeatedly as it makes progress. A failure that would occur at every
    /// attempt is returned as an outcome; any other error is thrown.
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

    /// Makes the kernel's out-of-memory killer prefer this process to its parent, which shares its limits.
    private static func endFirstWhereMemoryIsShort() {
        guard let file = try? File("/proc/self/oom_score_adj", .readWrite) else { return }
        try? unsafe Array("1000\n".utf8).withUnsafeBytes { try unsafe file.write($0, at: 0) }
    }

    /// Replays the window in the rebuild's own directory.
    /// - Throws: `TraceError(.corrupt)` if the checkpoint or the log is not what it was.
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
        // If the rules are of another version and cannot be read, the worker has used the defaults too.
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
                try unsafe applier.apply(
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

/// Ends the rebuild if the disk is full; it is started again later.
private final class RebuildObserver: BatchObserver {
    private let onAdvance: () -> Void

    init(onAdvance: @escaping () -> Void) { self.onAdvance = onAdvance }

    func advanced() { onAdvance() }

    func writeRows(after error: SystemError) throws { throw error }
}

/// Reads a worker's part of the log from an LSN to the end of its window, while a router may write and trim the log.
struct WindowLog {
    /// A record as the worker receives it.
    @safe
    enum Part {
        /// The bytes of the batch that belong to the worker; valid during the call.
        case batch(LogRecord, UnsafeRawBufferPointer)
        case tick(arrival: EpochNanoseconds)
    }

    private let directory = LogDirectory(path: ClusterPaths.log)
    private let salt: UInt32
    private let worker: WorkerName
    private let begin: LSN
    private let isOwned: [Bool]

    /// `slots` are the worker's up to the end of the window.
    init(salt: UInt32, worker: WorkerName, slots: [UInt8], from begin: LSN) {
        self.salt = salt
        self.worker = worker
        self.begin = begin
        var isOwned = [Bool](repeating: false, count: Slot.count)
        for slot in slots { isOwned[Int(slot)] = true }
        self.isOwned = isOwned
    }

    /// Calls `visit` for all records of the window in their order, and returns the barrier that ends it. Blocks.
    /// - Throws: `TraceError(.corrupt)` if a part of the log is damaged, trimmed or missing; any error of `visit`.
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
                if body.count > 0 { try unsafe visit(.batch(record, body.bytes)) }
            case .tick: try visit(.tick(arrival: record.arrival))
            case .barrier:
                barrier = unsafe try BarrierPayload(decoding: record.body)
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

    /// Returns the ranges that were left out for the worker. A verdict comes after the records that it covers, possibly
    /// in a later window.
    private func verdicts() throws -> [Range<LSN>] {
        var ranges: [Range<LSN>] = []
        try walk(toleratingDamage: true) { record in
            if record.type == .verdict {
                let verdict = try unsafe VerdictPayload(decoding: record.body)
                if verdict.worker == worker { ranges.append(verdict.range) }
            }
            return true
        }
        return ranges
    }

    /// Calls `visit` for the records from `begin` on until it returns false, or the log ends.
    private func walk(
        toleratingDamage isTolerant: Bool = false,
        _ visit: (LogRecord) throws -> Bool
    ) throws {
        var walk = try LogWalk(directory, salt: salt, from: begin)
        guard walk.position <= begin else { throw trimmed(to: walk.position) }
        while true {
            switch try walk.next() {
            case .records(let bytes):
                for record in unsafe LogRecords(bytes) where record.lsn >= begin {
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

    /// Appends the worker's part of a batch as the router does in a catch-up: events first, then names.
    private func appendOwned(of record: LogRecord, to body: inout RawBuffer) throws {
        let batch = unsafe record.body
        let hash = unsafe Slot.hash(host: record.host)
        func append(_ range: Range<Int>, process: UInt32) {
            guard isOwned[Int(Slot.of(hostHash: hash, processID: process))] else { return }
            unsafe body.append(UnsafeRawBufferPointer(rebasing: batch[range]))
        }
        var fields = unsafe EventFields(of: worker.resource, in: batch)
        while let (range, process) = fields.nextWithProcess() { append(range, process: process) }
        guard !fields.isDamaged else {
            throw TraceError(.corrupt, "the batch at LSN \(record.lsn) is damaged")
        }
        guard fields.hasNames, Resource.namedByAgents.contains(worker.resource) else { return }
        var names = unsafe NameFields(in: batch)
        while let (name, _) = names.next() {
            let begin = Int(name.offset)
            append(begin..<begin + Int(name.length), process: name.processID)
        }
    }
}
