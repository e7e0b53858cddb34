import SystemIO
import TraceModel

/// An operator's decision that the log goes on without what a router has found to be lost of it.
package enum LogLossDecision {
    /// Accepts the loss that the router of the data directory waits with. Returns what was accepted, for the operator. Blocks.
    /// - Throws: `TraceError(.notFound)` where there is none, `SystemError` where the operating system refuses.
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
            + "\nThe next start of the router goes on behind it: `scripts/cluster up` or `restart router`."
    }
}
