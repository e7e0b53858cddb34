import Logging
import SystemIO
import TestSupport
import TraceModel

@testable import TraceFiles
@testable import TraceTime
@testable import WorkerRole

/// Damages closed segments, and undoes damage that cannot be repaired, because that would be a loss. A case thus
/// shows that rebuilt segments equal the originals after any kills, hand-overs and verdicts. Outlives the
/// aggregators.
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
        // Every merge writes a trace's head again.
        let begin = file.kind == .json ? JSONSegment.headerBytes : 0
        guard begin < Int(run.bytes) else { return }
        flipped = (run.path, Int.random(in: begin..<Int(run.bytes), using: &random))
        flip()
    }

    /// Restores the damaged segment.
    func undo() {
        flip()
        flipped = nil
    }

    /// Forgets the damage: the window is published, and its segments are removed.
    func forget(isRebuilt: Bool) {
        flipped = nil
        if isRebuilt { disk.counts.rebuiltSegments += 1 }
    }

    private func flip() { if let flipped { disk.flip(flipped.path, at: flipped.position) } }

    /// Rebuilds the segments as the separate process does.
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
