import SystemIO
import TraceModel

/// The data directory's secret, by which workers key the hashes of what agents send, so that nobody can choose names that
/// fall together. 16 bytes in `secret`, which only the cluster's user may read. No saved state depends on it: it may be
/// drawn anew whenever no worker runs.
package enum HashSecret {
    package static let byteCount = 16

    /// Draws the secret where there is none; only under the data directory's lock. Durable when it returns. Blocks.
    /// - Throws: as `read`; `SystemError` where it can't be written.
    package static func ensure() throws {
        if FileSystem.exists(ClusterPaths.secret) {
            _ = try read()
            // Who drew it may have died before this.
            return try FileSystem.syncDirectory(FileSystem.parent(of: ClusterPaths.secret))
        }
        let temporary = ClusterPaths.secret + ".new"
        let file = try File(temporary, .replace)
        try FileSystem.setMode(temporary, 0o600)
        let secret = (0..<byteCount).map { _ in UInt8.random(in: 0 ... .max) }
        try secret.withUnsafeBytes { try file.write($0, at: 0) }
        try file.syncData()
        try FileSystem.rename(temporary, to: ClusterPaths.secret)
        try FileSystem.syncDirectory(FileSystem.parent(of: ClusterPaths.secret))
    }

    /// The secret's bytes. Blocks.
    /// - Throws: `TraceError(.configuration)` where the file can't be read or is not of its size.
    package static func read() throws -> [UInt8] {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try FileSystem.contents(ClusterPaths.secret)
        } catch {
            throw TraceError(
                .configuration,
                "The data directory's \(ClusterPaths.secret) can't be read",
                remedy: """
                    Let the cluster's user read it, or remove it while the cluster is stopped: the next start \
                    draws another one
                    """,
                cause: error
            )
        }
        guard bytes.count == byteCount else {
            throw TraceError(
                .configuration,
                "The data directory's \(ClusterPaths.secret) has \(bytes.count) bytes and not "
                    + "\(byteCount)",
                remedy: "Remove it while the cluster is stopped: the next start draws another one"
            )
        }
        return bytes
    }
}
