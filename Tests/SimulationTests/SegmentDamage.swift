import Logging
import SystemIO
import TestSupport
import TraceModel

@testable import TraceFiles
@testable import TraceTime
@testable import WorkerRole

/// Damage to closed segments. It is undone where they can't be made again, as that would be a loss: so a case says that
/// whatever is rebuilt, after any kills, hand-overs and verdicts, is what it was. Outlives the aggregators.
final class SegmentDamage {
    private let disk: SimulatedDisk
    private let budget: FileBudget
    private var random: SeededGenerator
    private var flipped: (path: String, position: Int)?

    init(seed: UInt64, disk: SimulatedDisk, budget: FileBudget) {
        self.disk = disk
        self.budget = budget
        random = SeededGenerator(seed: seed)
    }

    /// Changes a byte of one of a window's segments, or of none.
    func strike(_ files: [ClosedFile]) {
        guard flipped == nil, Bool.random(using: &random),
            let file = files.randomElement(using: &random),
            let run = file.runs.randomElement(using: &random)
        else { return }
        // A trace's head is written anew by every merge.
        let begin = file.kind == .json ? JSONSegment.headerBytes : 0
        guard begin < Int(run.bytes) else { return }
        flipped = (run.path, Int.random(in: begin..<Int(run.bytes), using: &random))
        flip()
    }

    /// The damaged segment is what it was.
    func undo() {
        flip()
        flipped = nil
    }

    /// The window is published, and its segments are gone.
    func forget(isRebuilt: Bool) {
        flipped = nil
        if isRebuilt { disk.counts.rebuiltSegments += 1 }
    }

    private func flip() { if let flipped { disk.flip(flipped.path, at: flipped.position) } }

    /// As a process of its own does it.
    func rebuild(_ window: WorkerWindow) throws -> RebuiltSegments {
        if let known = RebuiltSegments.read(of: window) { return known }
        let rebuild = WindowRebuild(
            window,
            timeZone: "UTC",
            guardsFormulas: false,
            stateBytesMax: Limits.stateBytesMax,
            logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
        )
        let made = try rebuild.outcome(TimeZoneRules(name: "UTC"), budget: budget)
        try made.publish(for: window)
        return made
    }
}
