package import IngestLog
import SystemIO
package import TraceModel

/// The ingest log of a data directory, for reading: no lock is taken, so a cluster may run on it.
package struct StoredLog {
    package let directory = LogDirectory(path: ClusterPaths.log)
    private let salt: UInt32

    /// Changes into the data directory, in which all paths are relative.
    /// - Throws: `TraceError` where it is none.
    package init(dataDirectory: String) throws {
        do {
            try FileSystem.changeDirectory(to: dataDirectory)
        } catch {
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

    /// Where the log ended when a router last wrote to it; nil where that is not known.
    package var notedEnd: LSN? { LogEnd.read(salt: salt)?.end }

    /// What tells that the newest file was cut, where the last record ends at `end`. Blocks.
    /// - Throws: `SystemError` where it cannot be read.
    package func cut(endingAt end: LSN) throws -> LogCut? {
        try directory.cut(endingAt: end, salt: salt)
    }

    /// Blocks. From the file that holds `start`, or the oldest.
    /// - Throws: `SystemError` where the directory cannot be read.
    package func walk(from start: LSN? = nil) throws -> LogWalk {
        try LogWalk(directory, salt: salt, from: start)
    }
}
