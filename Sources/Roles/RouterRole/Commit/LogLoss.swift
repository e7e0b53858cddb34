import Glibc
import IngestLog
import SystemIO
import TraceModel

/// A loss at the start or end of the log: data that was acknowledged, is still needed, and is missing. The router takes
/// nothing until an operator has accepted the loss (`tracectl log accept-loss`), as the files may still be restored
/// from a backup. A value.
///
/// `log/loss` is written by the router that found it: lines of `name=value` for each loss (from, to, reason). After it
/// was accepted, the file is named `log/loss.accepted`, until damage records with the ranges are in the log.
struct LogLoss: Equatable, Sendable {
    /// The missing range. At the log's end: from there to the LSN at which it continues, which is above all LSNs known
    /// to have been assigned. At its start: from the first LSN that a worker still needs.
    let range: Range<LSN>
    /// The evidence, in words.
    let reason: String
    /// Whether the missing range precedes the log's oldest record.
    var isBegin = false

    /// Evidence of a loss besides the log itself.
    struct Evidence {
        /// The log's end as noted by the router.
        var noted: (end: LSN, isExact: Bool)?
        /// LSNs of the workers' checkpoints.
        var checkpoints: [WorkerName: LSN] = [:]
        /// Whether workers have written segments.
        var hasSegments = false
    }

    /// Returns the loss of a log that ends at `end`; nil if there is no evidence of one. `isEmpty` means that the log
    /// has no files at all.
    static func find(end: LSN, isEmpty: Bool, cut: LogCut?, evidence: Evidence) -> LogLoss? {
        // If the noted end is exact, nothing after it is lost, even if a file was truncated or a checkpoint claims
        // more.
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
        // Records start at multiples of 8, and a range is not empty.
        let next = (max(to, end + 8) + 7) & ~7
        // What workers have applied of the range is in their counts; the rest is counted nowhere.
        let uncounted =
            evidence.noted == nil
            ? "; nothing says how many events that were, so those that are lost will be in no count"
            : ""
        return LogLoss(range: end..<next, reason: reasons.joined(separator: ", and ") + uncounted)
    }

    /// Returns the loss of a log that begins at `begin`, as `SlotMapHistory.neededBelow` finds it; nil if there is none.
    static func findBegin(
        _ begin: LSN,
        maps: SlotMapHistory,
        accepted: [Range<LSN>],
        checkpoints: [WorkerName: LSN?]
    ) -> LogLoss? {
        maps.neededBelow(begin, accepted: accepted, checkpoints: checkpoints).map {
            LogLoss(range: $0.from..<begin, reason: $0.reason, isBegin: true)
        }
    }

    private var description: String {
        isBegin
            ? "has lost its begin: it begins at LSN \(range.upperBound), and what stood from"
                + " \(range.lowerBound) on is gone and still needed, as \(reason)"
            : "has lost its end: it ends at LSN \(range.lowerBound), and what stood below"
                + " \(range.upperBound) is gone, as \(reason)"
    }

    /// Returns if the operator has accepted these losses; otherwise writes `log/loss` and throws.
    /// - Throws: `RouterLost` with what an operator can do.
    static func requireAcceptance(of losses: [LogLoss]) throws {
        if try read(ClusterPaths.acceptedLogLoss) == losses.map(\.range) { return }
        try FileSystem.remove(ClusterPaths.acceptedLogLoss)
        let text = losses.map {
            "from=\($0.range.lowerBound)\nto=\($0.range.upperBound)\nreason=\($0.reason)\n"
        }
        .joined()
        try unsafe Array(text.utf8).withUnsafeBytes {
            try unsafe FileSystem.publish(ClusterPaths.logLoss, $0)
        }
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

    /// Removes the accepted loss, once the damage records are in the log.
    static func settled() throws(SystemError) {
        try FileSystem.remove(ClusterPaths.logLoss)
        try FileSystem.remove(ClusterPaths.acceptedLogLoss)
    }

    /// Reads the ranges of the file; empty if there is no such file.
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
    /// Gathers the evidence in the data directory for a log that ends at `end`. Blocks; reads whole checkpoints only if
    /// one seems to be above that.
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

/// The router cannot start before an operator has decided; starting it again changes nothing.
package struct RouterLost: Error, CustomStringConvertible, Sendable {
    /// The problem and its remedy.
    let cause: TraceError

    package var description: String { "\(cause)" }
}
