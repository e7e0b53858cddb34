package import IngestLog
import SystemIO
package import TraceModel

/// A range of the log; `to_lsn` is exclusive.
package struct LogRange: Encodable, Equatable, Sendable {
    package let fromLsn: LSN
    package let toLsn: LSN

    package init(_ range: Range<LSN>) {
        fromLsn = range.lowerBound
        toLsn = range.upperBound
    }

    var text: String {
        "LSN \(fromLsn) to \(toLsn) (\(Report.grouped(Int(toLsn - fromLsn))) bytes)"
    }
}

/// The ingest log of a data directory, for reading. It takes no lock, so a cluster may be running on it.
package struct StoredLog {
    package let directory = LogDirectory(path: ClusterPaths.log)
    private let salt: UInt32

    /// Changes into the data directory, because all paths are relative to it.
    /// - Throws: `TraceError` where it is no data directory.
    package init(dataDirectory: String) throws {
        do { try FileSystem.changeDirectory(to: dataDirectory) } catch {
            throw TraceError(
                .notFound,
                "There is no data directory \(dataDirectory)",
                remedy: "Name the cluster's with --data",
                cause: error
            )
        }
        guard FileSystem.exists(ClusterPaths.manifest) else {
            throw TraceError(
                .notFound,
                "\(dataDirectory) is not a cluster's data directory: it has no \(ClusterPaths.manifest)",
                remedy: "Name the cluster's with --data"
            )
        }
        salt = try DataDirectory.read().salt
    }

    /// The end of the log when a router last wrote to it; nil where it is not known.
    package var notedEnd: LSN? { LogEnd.read(salt: salt)?.end }

    /// Returns the evidence that the newest file was cut, where the last record ends at `end`. Blocks.
    /// - Throws: `SystemError` where the log cannot be read.
    package func cut(endingAt end: LSN) throws -> LogCut? {
        try directory.cut(endingAt: end, salt: salt)
    }

    /// Walks the log from the file that contains `start`, or from the oldest. Blocks.
    /// - Throws: `SystemError` where the directory cannot be read.
    package func walk(from start: LSN? = nil) throws -> LogWalk {
        try LogWalk(directory, salt: salt, from: start)
    }
}

/// An operator's decision that the log continues without the part that a router has found to be lost.
package enum LogLossDecision {
    /// Accepts the loss on which the router of the data directory waits. Returns a message about what was accepted.
    /// Blocks.
    /// - Throws: `TraceError(.notFound)` where there is no loss to accept, `SystemError` where the operating system
    ///   refuses.
    package static func accept(dataDirectory: String) throws -> String {
        _ = try StoredLog(dataDirectory: dataDirectory)
        guard FileSystem.exists(ClusterPaths.logLoss) else {
            let isAccepted = FileSystem.exists(ClusterPaths.acceptedLogLoss)
            throw TraceError(
                .notFound,
                isAccepted
                    ? "The loss is accepted already"
                    : "The router of \(dataDirectory) waits for no such decision",
                remedy: isAccepted ? "Start it: `scripts/cluster up` or `restart router`" : nil
            )
        }
        let text = String(decoding: try FileSystem.contents(ClusterPaths.logLoss), as: UTF8.self)
        try FileSystem.rename(ClusterPaths.logLoss, to: ClusterPaths.acceptedLogLoss)
        try FileSystem.syncDirectory(ClusterPaths.log)
        try FileSystem.remove(ClusterPaths.routerLost)
        return "Accepted: " + text.split(separator: "\n").joined(separator: ", ")
            + "\nThe next start of the router continues behind it: `scripts/cluster up` or `restart router`."
    }
}
