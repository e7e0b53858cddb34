import IngestLog
import Logging
import SystemIO
import TraceFiles
import TraceModel

/// How `trace-worker` is started to rebuild segments.
package struct RebuildProgram: Sendable {
    let path: String
    let options: [String]

    /// Creates the description. `options` are the workers' options without their names.
    package init(path: String, options: [String]) {
        self.path = path
        self.options = options
    }
}

/// Rebuilds damaged segments in child processes, one worker's window at a time. A separate process keeps failures
/// away from the worker and the aggregator. Its results stay until the window's mark is saved, so that a restarted
/// aggregator continues from them. Used by the fabric thread, which it never blocks.
struct SegmentRebuilds {
    /// The end of a window's rebuilds.
    enum Result {
        /// The window can be merged.
        case merge(MergeJob)
        /// The window has to wait; it is tried again later.
        case failed(MergeJob, TraceError)
    }

    private let program: RebuildProgram?
    private let log: Logger
    private var plans: [RebuildPlan] = []
    private var child: ChildProcess?

    /// Creates the object. If `program` is nil, damaged segments are set aside.
    init(_ program: RebuildProgram?, log: Logger) {
        self.program = program
        self.log = log
    }

    /// The window being rebuilt.
    var current: WorkerWindow? { plans.first?.current }

    /// Begins rebuilding segments that a merge found damaged.
    mutating func begin(_ job: MergeJob, damaged: [String]) throws(TraceError) {
        let plan = RebuildPlan(job, files: try job.announcedFiles(), damaged: damaged)
        log.warning(
            "segments are damaged or gone; they are made again from the log, if it is still there",
            metadata: [
                "resource": "\(job.resource.name)", "window": "\(job.window)",
                "lsn": "\(job.range)",
                "files": "\(damaged.count)", "first": "\(damaged[0])",
            ]
        )
        // The router does not trim the log while one of these directories exists.
        for window in plan.windows {
            try? FileSystem.createDirectory(ClusterPaths.rebuild(of: window))
            try? RebuildReserve.note(plan.bytes(of: window), for: window)
        }
        plans.append(plan)
    }

    /// Checks the running process and starts the next one; returns the finished jobs.
    mutating func poll() -> [Result] {
        var results: [Result] = []
        while !plans.isEmpty {
            if let running = child {
                guard let end = running.poll() else { break }
                child = nil
                if let error = take(end) {
                    results.append(.failed(plans.removeFirst().job, error))
                    continue
                }
            }
            switch plans[0].next(attempts: Self.attempts) {
            case .merge(let job):
                plans.removeFirst()
                results.append(.merge(job))
            case .rebuild(let window):
                if let known = RebuiltSegments.read(of: window) {
                    plans[0].ended(.done(known))
                } else {
                    start(window)
                }
            }
        }
        return results
    }

    /// Handles the end of the process for the first plan; returns an error if the window has to wait.
    private mutating func take(_ end: ChildProcess.End) -> TraceError? {
        guard let window = plans[0].current else { return nil }
        if end == .exited(RebuiltSegments.laterCode) {
            // This counts as an attempt, because this window itself may occupy the space, which only its merge
            // frees.
            return TraceError(
                .system,
                "damaged segments of \(window.worker) can't be made again while the disk is full"
            )
        }
        if let result = RebuiltSegments.read(of: window) {
            plans[0].ended(.done(result))
        } else {
            log.warning(
                "the process that makes segments again has ended without a result",
                metadata: [
                    "worker": "\(window.worker)", "window": "\(window.window)", "end": "\(end)",
                ]
            )
            plans[0].ended(.died("\(end)"))
        }
        return nil
    }

    private mutating func start(_ window: WorkerWindow) {
        guard let program else {
            plans[0].ended(.done(.impossible("there is no program to make them again")))
            return
        }
        do {
            try FileSystem.createDirectory(ClusterPaths.rebuild(of: window))
            try unsafe Array("\(Self.attempts(of: window) + 1)\n".utf8).withUnsafeBytes {
                try unsafe FileSystem.publish(Self.attemptsPath(of: window), $0)
            }
            let name = window.worker
            child = try ChildProcess(
                program.path,
                [
                    "--resource", name.resource.name, "--index", "\(name.index)", "--rebuild",
                    "\(window.window)",
                ]
                    + program.options
            )
        } catch { plans[0].ended(.done(.impossible("\(error)"))) }
    }

    // MARK: How often it was begun

    private static func attemptsPath(of window: WorkerWindow) -> String {
        "\(ClusterPaths.rebuild(of: window))/attempts"
    }

    private static func attempts(of window: WorkerWindow) -> Int {
        guard let text = try? FileSystem.contents(attemptsPath(of: window)) else { return 0 }
        return Int(String(decoding: text, as: UTF8.self).dropLast()) ?? 0
    }
}
