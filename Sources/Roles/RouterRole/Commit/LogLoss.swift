import Glibc
import IngestLog
import SystemIO
import TraceModel

/// A loss at one end of the log: what was acknowledged, is still needed, and is not there any more. Nothing is taken before
/// an operator has accepted it (`tracectl log accept-loss`), as the files may still be put back from a backup. A value.
///
/// `log/loss`, written by the router that found it: for each loss lines of `name=value` (from, to, reason). Accepted, the file
/// is called `log/loss.accepted`, until damage records with the ranges are in the log.
struct LogLoss: Equatable, Sendable {
    /// At the log's end: from there to where it goes on, which is beyond all that is known to have been given. At its begin:
    /// from what a worker needs next to there.
    let range: Range<LSN>
    /// What tells, in words.
    let reason: String
    /// Whether what is missing stood before the log's oldest record.
    var isBegin = false

    /// What there is to go by, beside the log itself.
    struct Evidence {
        /// As the router noted it.
        var noted: (end: LSN, isExact: Bool)?
        /// Up to where workers' checkpoints go.
        var checkpoints: [WorkerName: LSN] = [:]
        /// Workers that have written segments.
        var hasSegments = false
    }

    /// What is lost of a log that ends at `end`; nil where nothing tells of a loss. `isEmpty`: it has no files at all.
    static func find(end: LSN, isEmpty: Bool, cut: LogCut?, evidence: Evidence) -> LogLoss? {
        // Who says exactly where the log ended says that nothing behind it is lost, whatever file was cut and
        // whatever a checkpoint claims.
        if let noted = evidence.noted, noted.isExact, noted.end <= end { return nil }
        var reasons: [String] = []
        var to = end
        if let cut {
            reasons.append("\(cut.path) was cut to \(cut.bytes) bytes")
            to = max(to, cut.end)
        }
        if let noted = evidence.noted, noted.end > end {
            reasons.append("\(ClusterPaths.logEnd) says that it reached to \(noted.end)")
            to = max(to, noted.end)
        } else if let (worker, lsn) = evidence.checkpoints.max(by: { $0.value < $1.value }),
            lsn > end
        {
            reasons.append("the checkpoint of \(worker) stands at \(lsn)")
            to = max(to, lsn)
        }
        if isEmpty, reasons.isEmpty, evidence.hasSegments {
            reasons.append("there are segments, and no log")
        }
        guard !reasons.isEmpty else { return nil }
        // Records stand at multiples of 8, and a range is not empty.
        let next = (max(to, end + 8) + 7) & ~7
        // What workers have applied of it is counted by them, and more of it by nobody.
        let uncounted =
            evidence.noted == nil
            ? "; nothing says how many events that were, so those that are lost will be in no count"
            : ""
        return LogLoss(range: end..<next, reason: reasons.joined(separator: ", and ") + uncounted)
    }

    /// What is lost of a log that begins at `begin`: its oldest files are removed only once no worker needs them. nil where
    /// none does. `accepted`: ranges that workers are led over. `checkpoints`: nil where one can't be read, which is the
    /// matter of its worker alone.
    static func findBegin(
        _ begin: LSN,
        maps: SlotMapHistory,
        accepted: [Range<LSN>],
        checkpoints: [WorkerName: LSN?]
    ) -> LogLoss? {
        func needed(by worker: WorkerName) -> LSN {
            let saved = (checkpoints[worker] ?? 0) ?? begin
            // One that came later begins where it first owned a slot, whatever it has saved in an earlier life.
            guard !maps.ownedFirst(by: worker), let first = maps.firstOwned(by: worker) else {
                return saved
            }
            return max(saved, first)
        }
        guard let from = maps.trimmable(needed), from < begin,
            !accepted.contains(where: { $0.upperBound == begin && $0.lowerBound <= from })
        else { return nil }
        let behind = checkpoints.keys.filter { needed(by: $0) == from }.min { "\($0)" < "\($1)" }
        let reason =
            behind.map { "the checkpoint of \($0) stands at \(from)" } ?? "workers have none of it"
        return LogLoss(range: from..<begin, reason: reason, isBegin: true)
    }

    private var description: String {
        isBegin
            ? "has lost its begin: it begins at LSN \(range.upperBound), and what stood from"
                + " \(range.lowerBound) on is gone and still needed, as \(reason)"
            : "has lost its end: it ends at LSN \(range.lowerBound), and what stood below"
                + " \(range.upperBound) is gone, as \(reason)"
    }

    /// Returns where the operator has accepted these losses; else leaves word of them.
    /// - Throws: `RouterLost` with what an operator can do.
    static func requireAcceptance(of losses: [LogLoss]) throws {
        if try read(ClusterPaths.acceptedLogLoss) == losses.map(\.range) { return }
        try FileSystem.remove(ClusterPaths.acceptedLogLoss)
        let text = losses.map {
            "from=\($0.range.lowerBound)\nto=\($0.range.upperBound)\nreason=\($0.reason)\n"
        }
        .joined()
        try Array(text.utf8).withUnsafeBytes { try FileSystem.publish(ClusterPaths.logLoss, $0) }
        throw RouterLost(
            cause: TraceError(
                .corrupt,
                "The ingest log \(losses.map(\.description).joined(separator: "; it "))",
                remedy:
                    "Nothing is taken until you have decided. Put the files of \(ClusterPaths.log)/ back, or have"
                    + " the log go on without them: `tracectl log accept-loss --data DIR`; then"
                    + " `scripts/cluster up` or `restart router`"
            )
        )
    }

    /// The damage records that say it are in the log.
    static func settled() throws(SystemError) {
        try FileSystem.remove(ClusterPaths.logLoss)
        try FileSystem.remove(ClusterPaths.acceptedLogLoss)
    }

    /// The ranges that the file names; none where there is no such file.
    private static func read(_ path: String) throws -> [Range<LSN>] {
        guard FileSystem.exists(path) else { return [] }
        let lines = String(decoding: try FileSystem.contents(path), as: UTF8.self).split(
            separator: "\n"
        )
        func values(_ name: String) -> [LSN] {
            lines.filter { $0.hasPrefix(name) }.compactMap { LSN($0.dropFirst(name.count)) }
        }
        return zip(values("from="), values("to=")).filter { $0 < $1 }.map { $0..<$1 }
    }
}

extension LogLoss.Evidence {
    /// What lies in the data directory, beside a log that ends at `end`. Blocks; reads whole checkpoints only where
    /// one seems to go beyond that.
    static func gather(noted: LogEnd?, end: LSN) throws -> LogLoss.Evidence {
        var evidence = LogLoss.Evidence()
        evidence.noted = noted.map { ($0.end, $0.isOfThisBoot) }
        if let noted = evidence.noted, noted.isExact, noted.end <= end { return evidence }
        evidence.checkpoints = WorkerCheckpoints.positions { $0 > end }.compactMapValues { $0 }
        for worker in try FileSystem.list(ClusterPaths.segments) where WorkerName(worker) != nil {
            let segments = try FileSystem.list("\(ClusterPaths.segments)/\(worker)")
            if !segments.isEmpty { evidence.hasSegments = true }
        }
        return evidence
    }
}

/// How far the workers' checkpoints go.
enum WorkerCheckpoints {
    /// Of all workers that have one; nil where it can't be read. What seems to be one that `isChecked` is read as a
    /// whole. Blocks.
    static func positions(where isChecked: (LSN) -> Bool) -> [WorkerName: LSN?] {
        let suffix = ".checkpoint"
        var positions: [WorkerName: LSN?] = [:]
        for entry in (try? FileSystem.list(ClusterPaths.checkpoints)) ?? [] {
            let name = MirroredFile.name(of: entry)
            guard name.hasSuffix(suffix),
                let worker = WorkerName(String(name.dropLast(suffix.count))),
                positions[worker] == nil
            else { continue }
            var position = CheckpointPosition.glance(at: worker)
            if position.map(isChecked) ?? true {
                position = try? CheckpointPosition.read(of: worker)
            }
            positions[worker] = .some(position)
        }
        return positions
    }
}

/// What an operator has to decide before the router can start: starting it again changes nothing.
package struct RouterLost: Error, CustomStringConvertible, Sendable {
    /// What is wrong, and the remedy.
    let cause: TraceError

    package var description: String { "\(cause)" }
}
