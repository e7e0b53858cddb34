import SystemIO
import TraceModel

/// The data directory's secret key for hashes of received names. Without it a client could choose names that collide in
/// the workers' tables. Stored in `secret` and `secret.mirror`, readable only by the cluster's user: 16 bytes and their
/// CRC-32C u32. Earlier versions wrote one copy without the checksum.
///
/// No saved state depends on it, and no process depends on another's: it may be replaced whenever a router starts.
package enum HashSecret {
    package static let byteCount = 16
    private static let checksumBytes = 4
    private static let mirror = ClusterPaths.secret + ".mirror"
    private static let copies = [ClusterPaths.secret, mirror]

    /// Generates the secret if there is no valid copy, and rewrites a damaged copy. Requires the data directory's lock.
    /// Damage is reported to `onRepair`. Blocks until durable.
    /// - Throws: as `read` if a copy cannot be read at all; `SystemError` if it cannot be written.
    package static func ensure(onRepair: (String) -> Void = { _ in }) throws {
        let contents = try copies.map { try content(of: $0) }
        let sound = contents.map { $0.flatMap(Self.secret) }
        // The format of an earlier version is valid too.
        let known = sound.lazy.compactMap { $0 }.first
        let unsummed =
            known == nil ? contents.compactMap { $0 }.first { $0.count == byteCount } : nil
        let secret = known ?? unsummed ?? (0..<byteCount).map { _ in UInt8.random(in: 0 ... .max) }
        for (copy, (content, found)) in zip(copies, zip(contents, sound)) where found != secret {
            if let content, content != unsummed {
                onRepair(
                    "\(copy) was damaged and is written anew; nothing that is stored depends on it"
                )
            }
            try write(secret, to: copy)
        }
        // The creator may have died before this sync.
        try FileSystem.syncDirectory(FileSystem.parent(of: ClusterPaths.secret))
    }

    /// Returns the secret's bytes. Blocks.
    /// - Throws: `TraceError(.configuration)` if no copy can be read, or none is valid.
    package static func read() throws -> [UInt8] {
        let contents = try copies.map { try content(of: $0) }.compactMap { $0 }
        if let secret = contents.lazy.compactMap(Self.secret).first { return secret }
        if let unsummed = contents.first(where: { $0.count == byteCount }) { return unsummed }
        throw TraceError(
            .configuration,
            "The data directory's \(ClusterPaths.secret) is \(contents.isEmpty ? "missing" : "damaged")",
            remedy: "Start the router again: it draws another one"
        )
    }

    /// Returns the secret in a file's content; nil if that is invalid.
    private static func secret(in content: [UInt8]) -> [UInt8]? {
        guard content.count == byteCount + checksumBytes else { return nil }
        let secret = Array(content[..<byteCount])
        return secret + checksum(of: secret) == content ? secret : nil
    }

    private static func checksum(of secret: [UInt8]) -> [UInt8] {
        let sum = unsafe secret.withUnsafeBytes { unsafe Checksum.crc32c($0) }
        return unsafe withUnsafeBytes(of: sum.littleEndian) { unsafe Array($0) }
    }

    private static func content(of path: String) throws -> [UInt8]? {
        guard FileSystem.exists(path) else { return nil }
        do throws(SystemError) { return try FileSystem.contents(path) } catch {
            if error.isIOError { return [] }
            throw TraceError(
                .configuration,
                "The data directory's \(path) can't be read",
                remedy: """
                    Let the cluster's user read it, or remove it while the cluster is stopped: the next start \
                    draws another one
                    """,
                cause: error
            )
        }
    }

    private static func write(_ secret: [UInt8], to path: String) throws {
        let temporary = path + ".new"
        let file = try File(temporary, .replace, mode: 0o600)
        try FileSystem.setMode(temporary, 0o600)
        try unsafe (secret + checksum(of: secret)).withUnsafeBytes {
            try unsafe file.write($0, at: 0)
        }
        try file.syncData()
        try FileSystem.rename(temporary, to: path)
    }
}
