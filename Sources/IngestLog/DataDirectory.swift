import Glibc
import SystemIO
import TraceModel

/// The data directory's identity: drawn when it is first used, checked at every start.
package struct DataDirectory: Sendable {
    /// Stands in every log record, so that records of another log are never taken for this one's.
    package let salt: UInt32
    let slotCount: Int
    /// The machine that created it: batches of local peers that name no host carry this name.
    package let machine: String

    private static let formatVersion = 1

    /// Opens the directory the process is in, or makes it this system's. Blocks.
    /// - Throws: `TraceError(.configuration)` where it belongs to something else.
    package static func open() throws -> DataDirectory {
        for directory in [
            ClusterPaths.run, ClusterPaths.log, ClusterPaths.segments, ClusterPaths.checkpoints,
            ClusterPaths.output,
        ] {
            try FileSystem.createDirectory(directory)
        }
        _ = chmod(ClusterPaths.run, 0o700)
        if FileSystem.exists(ClusterPaths.manifest) { return try read() }
        let fresh = DataDirectory(
            salt: UInt32.random(in: 1 ... .max),
            slotCount: Slot.count,
            machine: hostName()
        )
        try fresh.write()
        return fresh
    }

    /// Reads what `open` of any process of the cluster wrote.
    package static func read() throws -> DataDirectory {
        let text = String(decoding: try FileSystem.contents(ClusterPaths.manifest), as: UTF8.self)
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { fields[String(parts[0])] = String(parts[1]) }
        }
        guard fields["format"] == "\(formatVersion)",
            let salt = fields["salt"].flatMap(UInt32.init),
            let slots = fields["slots"].flatMap(Int.init), let machine = fields["machine"]
        else {
            throw TraceError(
                .configuration,
                "\(ClusterPaths.manifest) is not one that this version can read",
                remedy: "Use another data directory, or the version that wrote this one"
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

    private func write() throws {
        let text = """
            format=\(Self.formatVersion)
            salt=\(salt)
            slots=\(slotCount)
            machine=\(machine)

            """
        try Array(text.utf8).withUnsafeBytes { try FileSystem.publish(ClusterPaths.manifest, $0) }
    }

    private static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}
