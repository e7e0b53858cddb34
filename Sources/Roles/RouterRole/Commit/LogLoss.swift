import Glibc
import IngestLog
import SystemIO
import TraceModel

/// A loss at the log's end: what was acknowledged and is not there any more. Nothing is taken before an operator has accepted
/// it (`tracectl log accept-loss`), as the files may still be put back from a backup. A value.
///
/// `log/loss`, written by the router that found it: lines of `name=value` (from, to, reason). Accepted, the file is called
/// `log/loss.accepted`, until a damage record with the range is in the log.
struct LogLoss: Equatable, Sendable {
    /// From where the log ends to where it goes on, which is beyond all that is known to have been given.
    let range: Range<LSN>
    /// What tells, in words.
    let reason: String

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
        } else if let (worker, lsn) = evidence.checkpoints.max(by: { $0.value < $1.value }), lsn > end {
            reasons.append("the checkpoint of \(worker) stands at \(lsn)")
            to = max(to, lsn)
        }
        if isEmpty, reasons.isEmpty, evidence.hasSegments { reasons.append("there are segments, and no log") }
        guard !reasons.isEmpty else { return nil }
        // Records stand at multiples of 8, and a range is not empty.
        let next = (max(to, end + 8) + 7) & ~7
        return LogLoss(range: end..<next, reason: reasons.joined(separator: ", and "))
    }

    /// Returns where the operator has accepted this loss; else leaves word of it.
    /// - Throws: `RouterLost` with what an operator can do.
    func requireAcceptance() throws {
        if let accepted = try Self.read(ClusterPaths.acceptedLogLoss), accepted.range == range { return }
        try FileSystem.remove(ClusterPaths.acceptedLogLoss)
        let text = "from=\(range.lowerBound)\nto=\(range.upperBound)\nreason=\(reason)\n"
        try Array(text.utf8).withUnsafeBytes { try FileSystem.publish(ClusterPaths.logLoss, $0) }
        throw RouterLost(
            cause: TraceError(
                .corrupt,
                "The ingest log has lost its end: it ends at LSN \(range.lowerBound), and what stood below"
                    + " \(range.upperBound) is gone, as \(reason)",
                remedy: "Nothing is taken until you have decided. Put the files of \(ClusterPaths.log)/ back, or have"
                    + " the log go on without them: `tracectl log accept-loss --data DIR`; then"
                    + " `scripts/cluster up` or `restart router`"))
    }

    /// The damage record that says it is in the log.
    static func settled() throws(SystemError) {
        try FileSystem.remove(ClusterPaths.logLoss)
        try FileSystem.remove(ClusterPaths.acceptedLogLoss)
    }

    private static func read(_ path: String) throws -> LogLoss? {
        guard FileSystem.exists(path) else { return nil }
        var fields: [Substring: Substring] = [:]
        for line in String(decoding: try FileSystem.contents(path), as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { fields[parts[0]] = parts[1] }
        }
        guard let from = fields["from"].flatMap({ LSN($0) }), let to = fields["to"].flatMap({ LSN($0) }), from < to
        else { return nil }
        return LogLoss(range: from..<to, reason: fields["reason"].map(String.init) ?? "")
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
            guard name.hasSuffix(suffix), let worker = WorkerName(String(name.dropLast(suffix.count))),
                positions[worker] == nil
            else { continue }
            var position = CheckpointPosition.glance(at: worker)
            if position.map(isChecked) ?? true { position = try? CheckpointPosition.read(of: worker) }
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
