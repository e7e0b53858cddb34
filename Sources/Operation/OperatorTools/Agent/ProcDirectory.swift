import Glibc
import SystemIO

/// Reads files below `/proc` (or a copy of one). A file that is gone or not ours to read is nil:
/// processes end while they are looked at.
package struct ProcDirectory: Sendable {
    /// Enough for `net/tcp` with 100,000 sockets.
    private static let fileBytesMax = 16 << 20

    package let root: String

    package init(root: String = "/proc") {
        self.root = root
    }

    /// Ascending.
    package func processIDs() throws -> [UInt32] {
        try FileSystem.list(root).compactMap { UInt32($0) }.sorted()
    }

    /// The threads of a process, ascending; empty where it is gone.
    package func threadIDs(of process: UInt32) -> [UInt32] {
        ((try? FileSystem.list("\(root)/\(process)/task")) ?? []).compactMap { UInt32($0) }.sorted()
    }

    package func contents(of process: UInt32, _ name: String) -> [UInt8]? {
        contents("\(process)/\(name)")
    }

    /// The whole file, read until its end, as the kernel reports no size.
    package func contents(_ name: String) -> [UInt8]? {
        guard let file = try? File("\(root)/\(name)", .read) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 4096)
        var count = 0
        while true {
            guard
                let done = try? bytes.withUnsafeMutableBytes({ buffer in
                    try file.read(into: .init(rebasing: buffer[count...]), at: count)
                })
            else { return nil }
            count += done
            if count < bytes.count || count >= Self.fileBytesMax { break }
            bytes.append(contentsOf: [UInt8](repeating: 0, count: bytes.count))
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// The inodes of a process's sockets; empty where its descriptors aren't ours to see.
    package func socketInodes(of process: UInt32) -> [UInt64] {
        let directory = "\(root)/\(process)/fd"
        guard let names = try? FileSystem.list(directory) else { return [] }
        return names.compactMap { inode(of: "\(directory)/\($0)") }
    }

    /// Seconds since boot.
    package func uptime() -> Double? {
        guard let bytes = contents("uptime") else { return nil }
        var fields = FieldScanner(bytes)
        return fields.word().flatMap { Double(String(decoding: $0, as: UTF8.self)) }
    }

    /// `socket:[12345]`
    private func inode(of link: String) -> UInt64? {
        let target = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { buffer in
            guard let start = buffer.baseAddress else { return "" }
            let count = readlink(link, start, buffer.count)
            return String(
                decoding: buffer.prefix(max(0, count)).map(UInt8.init(bitPattern:)),
                as: UTF8.self
            )
        }
        guard target.hasPrefix("socket:["), target.hasSuffix("]") else { return nil }
        return UInt64(target.dropFirst(8).dropLast())
    }
}
