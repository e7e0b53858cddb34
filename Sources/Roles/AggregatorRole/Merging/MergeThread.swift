import ClusterMessages
import Compression
import IngestLog
import Logging
import Synchronization
import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries
import ZeroMQ

/// Merges windows, one at a time, on its own thread, so that the fabric thread never waits for a disk.
final class MergeThread: Sendable {
    /// The result of one merge.
    struct Outcome: Sendable {
        let job: MergeJob
        let result: Result<[String], TraceError>
        let seconds: Double
        /// Total size of the segments.
        let segmentBytes: UInt64
        /// Total size of the final files.
        let bytes: UInt64
        /// Damaged segments whose rows are missing in the final files.
        let losses: [SegmentLoss]
        /// Segments that were found damaged. Nothing was merged, because they may be rebuilt.
        let damaged: [String]
    }

    /// State shared with the fabric thread.
    private struct Queue: Sendable {
        var jobs: [MergeJob] = []
        var outcomes: [Outcome] = []
        /// Merged windows whose marks are saved; the merger's manifest becomes their record.
        var settled: [MergeJob] = []
        var current: MergeState.Current?
        var retention = RetentionCounts()
        var isStopping = false
    }

    private let queue = Mutex(Queue())
    private let wakeup: Wakeup
    private let onOutcome: @Sendable () -> Void
    /// Uploads final files; nil if there is no object store.
    private let uploads: UploadThread?
    private let timeZoneName: String
    private let localHostName: String
    private let compression: FileCompression?
    private let csvColumns: CSVColumns
    private let retention: RetentionPolicy
    /// The last merged window of each resource at the start.
    private let marks: [Resource: UInt64]
    private let log: Logger

    /// Creates the thread's object. `onOutcome` is called on the merge thread, once per job.
    init(
        timeZoneName: String,
        localHostName: String,
        compression: FileCompression?,
        csvColumns: CSVColumns,
        retention: RetentionPolicy,
        marks: [Resource: UInt64],
        uploads: UploadThread? = nil,
        log: Logger,
        onOutcome: @escaping @Sendable () -> Void
    ) throws {
        wakeup = try Wakeup()
        self.timeZoneName = timeZoneName
        self.localHostName = localHostName
        self.compression = compression
        self.csvColumns = csvColumns
        self.retention = retention
        self.marks = marks
        self.log = log
        self.onOutcome = onOutcome
        self.uploads = uploads
    }

    /// Starts the thread; it holds this object until `stop`.
    func start() -> DedicatedThread { DedicatedThread("merge") { self.run() } }

    func submit(_ job: MergeJob) {
        queue.withLock { $0.jobs.append(job) }
        wakeup.signal()
    }

    /// Records that the window's mark is on disk.
    func settle(_ job: MergeJob) {
        queue.withLock { $0.settled.append(job) }
        wakeup.signal()
    }

    func takeOutcomes() -> [Outcome] {
        queue.withLock { queue in
            defer { queue.outcomes = [] }
            return queue.outcomes
        }
    }

    /// The current merge.
    var current: MergeState.Current? { queue.withLock { $0.current } }

    var retentionCounts: RetentionCounts { queue.withLock { $0.retention } }

    /// Makes the thread end after the current merge.
    func stop() {
        queue.withLock { $0.isStopping = true }
        wakeup.signal()
    }

    private func run() {
        let merger = WindowMerger(
            localHostName: localHostName,
            timeZoneName: timeZoneName,
            compression: compression,
            csvColumns: csvColumns
        )
        let records = FinalWindowRecords()
        for (resource, window) in marks { removeRebuilt(of: resource, through: window) }
        var retention = startRetention(records)
        let poller = ZMQPoller()
        _ = poller.add(descriptor: wakeup.descriptor)
        while true {
            let (job, settled, isStopping) = queue.withLock { queue in
                defer { queue.settled = [] }
                let job = queue.jobs.isEmpty ? nil : queue.jobs.removeFirst()
                return (job, queue.settled, queue.isStopping)
            }
            for job in settled { record(job, records, &retention) }
            if isStopping { return }
            retain(&retention)
            guard let job else {
                poller.wait(milliseconds: retention.map { _ in Limits.retentionSeconds * 1_000 })
                wakeup.clear()
                continue
            }
            let outcome = merge(job, with: merger)
            queue.withLock { $0.outcomes.append(outcome) }
            onOutcome()
        }
    }

    // MARK: Retention

    /// Writes records that are missing after a crash, and returns the retention; nil if every window is kept.
    private func startRetention(_ records: FinalWindowRecords) -> Retention? {
        do {
            try records.addMerged(upTo: marks, at: Self.seconds())
            uploads?.begin()
            guard !retention.isKeepingAll else { return nil }
            var retention = Retention(
                retention,
                records,
                waitsForUpload: uploads != nil,
                log: log
            )
            try retention.load()
            return retention
        } catch {
            log.error(
                "the records of final files can't be read; nothing is deleted",
                metadata: ["why": "\(error)"]
            )
            return nil
        }
    }

    private func record(
        _ job: MergeJob,
        _ records: FinalWindowRecords,
        _ retention: inout Retention?
    ) {
        removeRebuilt(of: job.resource, through: job.window)
        let window = FinalWindow(
            resource: job.resource,
            window: job.window,
            finalAt: Self.seconds()
        )
        do {
            try records.add(window)
            uploads?.add(window)
            retention?.add(window)
        } catch {
            log.warning(
                "a window has no record until the next start; its files are kept as long",
                metadata: ["window": "\(job.window)", "why": "\(error)"]
            )
        }
    }

    /// Removes the files kept for rebuilding segments of published windows, and those that rebuilding has left.
    private func removeRebuilt(of resource: Resource, through window: UInt64) {
        do {
            try KeptCheckpoints.remove(of: resource, through: window)
            try RebuiltSegments.remove(of: resource, through: window)
        } catch {
            log.warning(
                "what was kept for rebuilding segments stays until a later window is published",
                metadata: ["window": "\(window)", "why": "\(error)"]
            )
        }
    }

    private func retain(_ retention: inout Retention?) {
        guard retention != nil else { return }
        // If the free space is unknown, nothing is deleted for lack of space.
        let free = (try? FileSystem.freeBytes(at: ClusterPaths.output)) ?? .max
        let total = (try? FileSystem.totalBytes(at: ClusterPaths.output)) ?? 0
        retention?.pass(
            now: Self.seconds(),
            freeBytes: UInt64(free),
            freeBytesMin: UInt64(
                min(Limits.retentionFreeBytesMin, total / Limits.retentionFreeDivisor)
            )
        )
        guard let counts = retention?.counts else { return }
        queue.withLock { $0.retention = counts }
    }

    private static func seconds() -> Int64 { WallClock.now() / 1_000_000_000 }

    // MARK: Merging

    private func merge(_ job: MergeJob, with merger: WindowMerger) -> Outcome {
        let begin = WallClock.monotonic()
        var segmentBytes: UInt64 = 0
        var result: Result<[String], TraceError>
        var losses: [SegmentLoss] = []
        var damaged: [String] = []
        defer { queue.withLock { $0.current = nil } }
        do {
            let files = try job.repair?.files ?? job.announcedFiles()
            segmentBytes = files.reduce(0) { $0 + $1.bytes }
            note(MergeProgress(bytesTotal: segmentBytes), of: job)
            result = .success(
                try merger.merge(
                    resource: job.resource,
                    window: job.window,
                    stem: job.stem,
                    files: files,
                    replaced: job.repair?.replaced ?? [],
                    document: try SummaryFile.document(
                        job.resource,
                        stem: job.stem,
                        window: job.window,
                        summaries: job.announcements.map(\.summary)
                    ),
                    damage: job.repair == nil ? .report : .setAside,
                    onProgress: { self.note($0, of: job) },
                    onLoss: { losses.append($0) }
                )
            )
        } catch let error as TraceError { result = .failure(error) } catch let error
            as DamagedSegments
        {
            damaged = error.paths
            result = .failure(TraceError(.corrupt, "segments are damaged"))
        } catch { result = .failure(TraceError(.system, "merging failed", cause: error)) }
        var bytes: UInt64 = 0
        for path in (try? result.get()) ?? [] { bytes += UInt64(FileSystem.size(path) ?? 0) }
        let seconds = Double(WallClock.monotonic() - begin) / 1e9
        return Outcome(
            job: job,
            result: result,
            seconds: seconds,
            segmentBytes: segmentBytes,
            bytes: bytes,
            losses: losses,
            damaged: damaged
        )
    }

    private func note(_ progress: MergeProgress, of job: MergeJob) {
        let current = MergeState.Current(
            resource: job.resource,
            window: job.window,
            progress: progress
        )
        queue.withLock { $0.current = current }
    }
}
