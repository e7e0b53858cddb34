import Logging
import SystemIO
import TraceFiles
import TraceModel

/// How `trace-worker` is started to make segments again.
package struct RebuildProgram: Sendable {
    let path: String
    let options: [String]

    /// `options`: what the workers were started with, but their names.
    package init(path: String, options: [String]) {
        self.path = path
        self.options = options
    }
}

/// Has damaged segments made again, one worker's at a time, each by a process of its own, so that neither the worker nor this
/// process depends on how that goes. What a process has made stays until the window's mark is saved: an aggregator that is
/// killed meanwhile goes on from there. Belongs to the fabric thread, which it never blocks.
struct SegmentRebuilds {
    enum Result {
        /// The window can be merged.
        case merge(MergeJob)
        /// Not now.
        case failed(MergeJob, TraceError)
    }

    private let program: RebuildProgram?
    private let log: Logger
    private var plans: [RebuildPlan] = []
    private var child: ChildProcess?

    /// `program`: nil where there is none; then damaged segments are set aside.
    init(_ program: RebuildProgram?, log: Logger) {
        self.program = program
        self.log = log
    }

    /// What is being made.
    var current: WorkerWindow? { plans.first?.current }

    /// A merge has found these segments damaged.
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
        // The router does not trim the log while there are any.
        for window in plan.windows {
            try? FileSystem.createDirectory(ClusterPaths.rebuild(of: window))
        }
        plans.append(plan)
    }

    /// Looks how the process under way stands and begins what comes next; returns what is done.
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

    /// What came of the process for the first plan; an error where the window has to wait.
    private mutating func take(_ end: ChildProcess.End) -> TraceError? {
        guard let window = plans[0].current else { return nil }
        if end == .exited(RebuiltSegments.laterCode) {
            // It counts as an attempt: the space may be needed by this very window, which only its merge frees.
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
            try Array("\(Self.attempts(of: window) + 1)\n".utf8).withUnsafeBytes {
                try FileSystem.publish(Self.attemptsPath(of: window), $0)
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
