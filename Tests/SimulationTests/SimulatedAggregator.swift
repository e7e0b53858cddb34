import ClusterMessages
import IngestLog
import SystemIO
import TraceFiles
import TraceModel
import TraceSummaries

@testable import AggregatorRole

/// An aggregator without sockets and threads. Handles announcements as `FabricCoordinator` and `MergeThread` do.
final class SimulatedAggregator {
    private let journal = WindowJournal()
    private let merger: WindowMerger
    private let records = FinalWindowRecords()
    private let damage: SegmentDamage
    private(set) var ledger: WindowLedger

    init(budget: FileBudget, damage: SegmentDamage) throws {
        self.damage = damage
        let saved = try journal.load()
        if let lost = saved.lost { throw SimulationError("the window journal is lost: \(lost)") }
        let marks = saved.marks
        ledger = WindowLedger(marks: marks)
        try records.addMerged(upTo: marks.mapValues(\.window), at: 0)
        merger = WindowMerger(localHostName: "here", timeZoneName: "UTC", budget: budget)
    }

    func receive(
        _ message: Message,
        from endpoint: Endpoint,
        _ send: (Message, Endpoint) -> Void
    ) throws {
        guard case .segmentsClosed(let segments) = message else { return }
        switch ledger.announce(segments) {
        case .accepted: break
        case .merged(let files):
            let merged = WindowMerged(
                resource: segments.worker.resource,
                window: segments.window,
                files: files
            )
            send(.windowMerged(merged), endpoint)
        case .refused(let reason): throw SimulationError(reason)
        }
    }

    /// Merges the next complete window and returns the message for the workers.
    func merge() throws -> Message? {
        if let (window, coverage) = ledger.obstacle(of: .io), case .overlap = coverage {
            throw SimulationError("window \(window): \(coverage)")
        }
        guard let job = ledger.nextJob() else { return nil }
        do {
            let (outputs, isRebuilt) = try merge(job)
            var marked = ledger
            marked.finish(job, files: outputs)
            try journal.save(marked.marks)
            ledger = marked
            let window = FinalWindow(resource: job.resource, window: job.window, finalAt: 0)
            try? records.add(window)
            damage.forget(isRebuilt: isRebuilt)
            try? KeptCheckpoints.remove(of: job.resource, through: job.window)
            return .windowMerged(
                WindowMerged(resource: job.resource, window: job.window, files: outputs)
            )
        } catch let error as SystemError {
            ledger.giveBack(job)
            // The real aggregator tries again later.
            guard error.isOutOfSpace else { throw error }
            return nil
        }
    }

    /// Merges a window, possibly with a damaged segment.
    private func merge(_ job: MergeJob) throws -> (outputs: [String], isRebuilt: Bool) {
        let files = try job.announcedFiles()
        damage.strike(files)
        do { return (try publish(job, files), false) } catch let damaged as DamagedSegments {
            var plan = RebuildPlan(job, files: files, damaged: damaged.paths)
            while true {
                switch plan.next(attempts: { _ in 0 }) {
                case .rebuild(let window): plan.ended(.done(try damage.rebuild(window)))
                case .merge(let repaired):
                    if let repair = repaired.repair, repair.reasons.isEmpty,
                        let outputs = try? wholeOutputs(repaired, repair.files)
                    {
                        return (try outputs.get(), true)
                    }
                    damage.undo()
                    return (try publish(job, files), false)
                }
            }
        }
    }

    /// - Throws: `DamagedSegments` if rebuilt segments are damaged again: rows from before the kept checkpoint are copied.
    private func wholeOutputs(
        _ job: MergeJob,
        _ files: [ClosedFile]
    ) throws(DamagedSegments) -> Result<[String], any Error> {
        do { return .success(try publish(job, files)) } catch let damaged as DamagedSegments {
            throw damaged
        } catch {
            return .failure(error)
        }
    }

    private func publish(_ job: MergeJob, _ files: [ClosedFile]) throws -> [String] {
        var losses: [SegmentLoss] = []
        let outputs = try merger.merge(
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
            damage: .report,
            onLoss: { losses.append($0) }
        )
        guard losses.isEmpty else { throw SimulationError("segments are lost: \(losses)") }
        return outputs
    }

    /// Number of windows that have been merged.
    var merged: UInt64 { ledger.marks[.io].map { $0.window + 1 } ?? 0 }
}
