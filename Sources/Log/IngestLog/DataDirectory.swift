import Glibc
import SystemIO
import TraceModel

/// The data directory's identity: generated when it is first used, checked at every start.
///
/// The manifest: lines of `name=value` (format, salt, slots, machine), the last one `crc32c` with the CRC-32C of the
/// bytes before that line, as eight hexadecimal digits. There are two copies, `manifest` and `manifest.mirror`.
package struct DataDirectory: Sendable {
    /// Stored in every log record, so that records of another log are never accepted.
    package let salt: UInt32
    let slotCount: Int
    /// Host name of the machine that created it, for batches of local peers without a host.
    package let machine: String

    private static let formatVersion = 2
    private static let mirror = ClusterPaths.manifest + ".mirror"

    /// Opens the working directory as a data directory, initialising an empty one. Damage to one copy of the manifest
    /// is repaired from the other one and reported to `onRepair`. Blocks.
    /// - Throws: `TraceError(.configuration)` if the directory belongs to something else.
    package static func open(onRepair: (String) -> Void = { _ in }) throws -> DataDirectory {
        for directory in [
            ClusterPaths.run, ClusterPaths.log, ClusterPaths.segments, ClusterPaths.checkpoints,
            ClusterPaths.output,
            ClusterPaths.deadLetters,
        ] {
            try FileSystem.createDirectory(directory)
            // A directory of an earlier version is readable by other users of the machine. One owned by another user is
            // left as it is.
            try? FileSystem.setMode(directory, directory == ClusterPaths.run ? 0o700 : 0o750)
        }
        if FileSystem.exists(ClusterPaths.manifest) || FileSystem.exists(mirror) {
            let known = try read()
            for copy in [ClusterPaths.manifest, mirror] {
                do { _ = try read(copy) } catch {
                    // A manifest of an earlier version has no mirror yet, nor has one whose first writer died.
                    if FileSystem.exists(copy) || copy != mirror { onRepair("\(error)") }
                    try known.write(to: copy)
                }
            }
            // The creator may have died before this sync.
            try FileSystem.syncDirectory(FileSystem.parent(of: ClusterPaths.manifest))
            return known
        }
        // A new salt would invalidate every record there and restart the log. The aggregator may have started before
        // this process: it needs no manifest.
        let saved = try FileSystem.list(ClusterPaths.checkpoints).filter {
            !"\(ClusterPaths.checkpoints)/\($0)".hasPrefix(ClusterPaths.aggregatorCheckpoints)
        }
        guard saved.isEmpty, try LogDirectory(path: ClusterPaths.log).bases().isEmpty else {
            throw TraceError(
                .corrupt,
                "The data directory has a log or checkpoints, but no \(ClusterPaths.manifest)",
                remedy: "Restore that file from a backup, or use another data directory"
            )
        }
        let fresh = DataDirectory(
            salt: UInt32.random(in: 1 ... .max),
            slotCount: Slot.count,
            machine: hostName()
        )
        try fresh.write(to: ClusterPaths.manifest)
        try fresh.write(to: mirror)
        return fresh
    }

    /// Reads the manifest written by `open` in any process of the cluster, from a valid copy.
    package static func read() throws -> DataDirectory {
        do { return try read(ClusterPaths.manifest) } catch {
            guard let other = try? read(mirror) else { throw error }
            return other
        }
    }

    private static func read(_ path: String) throws -> DataDirectory {
        let bytes = try FileSystem.contents(path)
        let text = String(decoding: bytes, as: UTF8.self)
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { fields[String(parts[0])] = String(parts[1]) }
        }
        if let format = fields["format"].flatMap(Int.init), format != formatVersion {
            throw TraceError(
                .configuration,
                "\(path) has format \(format), this version reads \(formatVersion)",
                remedy: "Use another data directory, or the version that wrote this one"
            )
        }
        let end = bytes.count - checksumLine(of: []).utf8.count
        guard end > 0, checksumLine(of: Array(bytes[..<end])).utf8.elementsEqual(bytes[end...]),
            let salt = fields["salt"].flatMap(UInt32.init),
            let slots = fields["slots"].flatMap(Int.init),
            let machine = fields["machine"]
        else {
            throw TraceError(
                .corrupt,
                "\(path) is damaged",
                remedy: "Restore it from a backup: without it the log cannot be read"
            )
        }
        guard slots == Slot.count else {
            throw TraceError(
                .configuration,
                "The data directory has \(slots) slots a resource, this version \(Slot.count)",
                remedy: "Use another data directory"
            )
        }
        return DataDirectory(salt: salt, slotCount: slots, machine: machine)
    }

    private func write(to path: String) throws {
        let text = """
            format=\(Self.formatVersion)
            salt=\(salt)
            slots=\(slotCount)
            machine=\(machine)

            """
        let whole = text + Self.checksumLine(of: Array(text.utf8))
        try unsafe Array(whole.utf8).withUnsafeBytes { try unsafe FileSystem.publish(path, $0) }
    }

    /// Returns the line, which always has the same length.
    private static func checksumLine(of bytes: [UInt8]) -> String {
        let digits = unsafe String(bytes.withUnsafeBytes { unsafe Checksum.crc32c($0) }, radix: 16)
        return "crc32c=" + String(repeating: "0", count: 8 - digits.utf8.count) + digits + "\n"
    }

    private static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}
