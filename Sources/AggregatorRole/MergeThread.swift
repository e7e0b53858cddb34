import ClusterMessages
import Synchronization
import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries
import ZeroMQ

/// Merges windows, one at a time, on a thread of its own: the fabric never waits for a disk.
final class MergeThread: Sendable {
    struct Outcome: Sendable {
        let job: MergeJob
        let result: Result<[String], TraceError>
        let seconds: Double
        /// Of the final files together.
        let bytes: UInt64
    }

    private struct Queue: Sendable {
        var jobs: [MergeJob] = []
        var outcomes: [Outcome] = []
        /// Merged, and their marks saved: the merger's own record of them can go.
        var settled: [MergeJob] = []
        var isStopping = false
    }

    private let queue = Mutex(Queue())
    private let wakeup: Wakeup
    private let onOutcome: @Sendable () -> Void
    private let timeZoneName: String
    private let localHostName: String

    /// `onOutcome` is called on the merge thread, once a job.
    init(
        timeZoneName: String,
        localHostName: String,
        onOutcome: @escaping @Sendable () -> Void
    ) throws {
        wakeup = try Wakeup()
        self.timeZoneName = timeZoneName
        self.localHostName = localHostName
        self.onOutcome = onOutcome
    }

    /// Starts the thread; it holds this object until `stop`.
    func start() -> DedicatedThread { DedicatedThread("merge") { self.run() } }

    func submit(_ job: MergeJob) {
        queue.withLock { $0.jobs.append(job) }
        wakeup.signal()
    }

    /// The window's mark is on the disk.
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

    /// The thread ends once the merge under way is done.
    func stop() {
        queue.withLock { $0.isStopping = true }
        wakeup.signal()
    }

    private func run() {
        let merger = WindowMerger(localHostName: localHostName, timeZoneName: timeZoneName)
        let poller = ZMQPoller()
        _ = poller.add(descriptor: wakeup.descriptor)
        while true {
            let (job, settled, isStopping) = queue.withLock { queue in
                defer { queue.settled = [] }
                let job = queue.jobs.isEmpty ? nil : queue.jobs.removeFirst()
                return (job, queue.settled, queue.isStopping)
            }
            // A record that stays is no harm: it is read again only if its mark were lost.
            for job in settled { try? merger.forget(job.resource, window: job.window) }
            if isStopping { return }
            guard let job else {
                poller.wait(milliseconds: nil)
                wakeup.clear()
                continue
            }
            let outcome = merge(job, with: merger)
            queue.withLock { $0.outcomes.append(outcome) }
            onOutcome()
        }
    }

    private func merge(_ job: MergeJob, with merger: WindowMerger) -> Outcome {
        let begin = WallClock.monotonic()
        var result: Result<[String], TraceError>
        do {
            let files = try job.announcements.flatMap { try Self.files(of: $0.files) }
            result = .success(
                try merger.merge(
                    resource: job.resource,
                    window: job.window,
                    stem: job.stem,
                    files: files,
                    document: try SummaryFile.document(
                        job.resource,
                        stem: job.stem,
                        window: job.window,
                        summaries: job.announcements.map(\.summary)
                    )
                )
            )
        } catch let error as TraceError {
            result = .failure(error)
        } catch {
            result = .failure(TraceError(.system, "merging failed", cause: error))
        }
        var bytes: UInt64 = 0
        for path in (try? result.get()) ?? [] { bytes += UInt64(FileSystem.size(path) ?? 0) }
        let seconds = Double(WallClock.monotonic() - begin) / 1e9
        return Outcome(job: job, result: result, seconds: seconds, bytes: bytes)
    }

    private static func files(of bytes: [UInt8]) throws -> [ClosedFile] {
        guard !bytes.isEmpty else { return [] }
        return try bytes.withUnsafeBytes { try ClosedFile.decode(ByteView($0)) }
    }
}
