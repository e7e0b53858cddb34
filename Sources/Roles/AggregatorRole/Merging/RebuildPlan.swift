import TraceFiles
import TraceModel

/// Plans how the damaged segments of one window are rebuilt, one worker after the other, and what is merged then.
/// Pure: `SegmentRebuilds` handles processes and files.
struct RebuildPlan {
    /// The next action.
    enum Step: Equatable {
        /// Rebuild the segments of this worker's window.
        case rebuild(WorkerWindow)
        /// Every rebuild has been tried; merge the window. Segments that are still damaged are set aside.
        case merge(MergeJob)
    }

    /// The result of a step.
    enum Outcome: Equatable {
        case done(RebuiltSegments)
        /// The rebuilding process ended without a result; the text says how.
        case died(String)
    }

    /// The job that found the damage; it is merged again.
    let job: MergeJob
    private var repair: MergeJob.Repair
    private let damaged: Set<String>
    private var waiting: [WorkerWindow] = []

    /// Creates the plan. `files` has everything the job's workers announced; `damaged` has paths of their segments.
    init(_ job: MergeJob, files: [ClosedFile], damaged: [String]) {
        self.job = job
        self.damaged = Set(damaged)
        repair = MergeJob.Repair(files: files)
        for file in files where isDamaged(file) {
            let window = WorkerWindow(worker: file.worker, window: file.window)
            if !waiting.contains(window) { waiting.append(window) }
        }
    }

    /// The worker's window whose segments are being rebuilt, or are next.
    var current: WorkerWindow? { waiting.first }

    /// All windows whose segments are still to be rebuilt.
    var windows: [WorkerWindow] { waiting }

    /// Returns the size of what was announced of a worker's window, all of which is made again.
    func bytes(of window: WorkerWindow) -> UInt64 {
        repair.files.filter { $0.worker == window.worker && $0.window == window.window }
            .reduce(0) { $0 + $1.bytes }
    }

    /// Returns the next step. `attempts` returns how often a rebuild of the window has been started.
    mutating func next(attempts: (WorkerWindow) -> Int) -> Step {
        while let window = waiting.first {
            let count = attempts(window)
            guard count >= Limits.rebuildAttemptsMax else { return .rebuild(window) }
            giveUp(window, because: "making them again was begun \(count) times and never ended")
        }
        var repaired = job
        repaired.repair = repair
        return .merge(repaired)
    }

    /// Records the result for `current`. After a crash it is started again, up to `Limits.rebuildAttemptsMax`
    /// times.
    mutating func ended(_ outcome: Outcome) {
        guard let window = waiting.first else { return }
        switch outcome {
        case .died: return
        case .done(.impossible(let reason)): giveUp(window, because: reason)
        case .done(.files(let rebuilt)): replaceDamaged(of: window, by: rebuilt)
        }
    }

    private func isDamaged(_ file: ClosedFile) -> Bool {
        file.runs.contains { damaged.contains($0.path) }
    }

    private func isDamaged(_ file: ClosedFile, of window: WorkerWindow) -> Bool {
        file.worker == window.worker && file.window == window.window && isDamaged(file)
    }

    /// Replaces each damaged output as a whole, because how its rows are spread over runs depends on when they were
    /// written.
    private mutating func replaceDamaged(of window: WorkerWindow, by rebuilt: [ClosedFile]) {
        for (index, file) in repair.files.enumerated() where isDamaged(file, of: window) {
            guard let whole = file.counterpart(in: rebuilt) else {
                note("the log gives other rows than those that were announced", of: file)
                continue
            }
            repair.files[index] = whole
            repair.replaced += file.runs.map(\.path)
            let count = file.runs.count { damaged.contains($0.path) }
            repair.rebuilt.append(
                MergeJob.Repair.Rebuilt(window: window, segments: count, rows: file.rows)
            )
        }
        waiting.removeAll { $0 == window }
    }

    private mutating func giveUp(_ window: WorkerWindow, because reason: String) {
        for file in repair.files where isDamaged(file, of: window) { note(reason, of: file) }
        waiting.removeAll { $0 == window }
    }

    private mutating func note(_ reason: String, of file: ClosedFile) {
        for run in file.runs where damaged.contains(run.path) { repair.reasons[run.path] = reason }
    }
}
