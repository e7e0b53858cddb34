import TraceFiles
import TraceModel

/// How the damaged segments of one window are made again, one worker's after the other, and what the merge then goes by. Pure:
/// processes and files are `SegmentRebuilds`' affair.
struct RebuildPlan {
    enum Step: Equatable {
        /// Have the segments of this worker's window made.
        case rebuild(WorkerWindow)
        /// All is tried: merge the window so. What is still damaged is set aside.
        case merge(MergeJob)
    }

    /// What came of a step.
    enum Outcome: Equatable {
        case done(RebuiltSegments)
        /// The process that was at it has ended without a word; how.
        case died(String)
    }

    /// Of a window that has been given back, to be tried again.
    let job: MergeJob
    private var repair: MergeJob.Repair
    private let damaged: Set<String>
    private var waiting: [WorkerWindow] = []

    /// `files`: all that the job's workers have announced; `damaged`: paths of their segments.
    init(_ job: MergeJob, files: [ClosedFile], damaged: [String]) {
        self.job = job
        self.damaged = Set(damaged)
        repair = MergeJob.Repair(files: files)
        for file in files where isDamaged(file) {
            let window = WorkerWindow(worker: file.worker, window: file.window)
            if !waiting.contains(window) { waiting.append(window) }
        }
    }

    /// The worker's window whose segments are being made, or are next.
    var current: WorkerWindow? { waiting.first }

    /// All whose segments are still to be made.
    var windows: [WorkerWindow] { waiting }

    /// What to do now. `attempts`: how often making the segments of `current` has been begun.
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

    /// `current` has ended so. One that died is begun again, as often as that is allowed.
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

    /// An output is replaced as a whole: how its rows are spread over runs depends on when they were written.
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
