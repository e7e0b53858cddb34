package import Glibc
import TraceModel

/// Finds the process that holds the lock of a file, by /proc.
package enum LockHolder {
    /// Returns the process that holds an exclusive flock(2) lock of the open file. Nil if there is none that this
    /// process may see. Blocks.
    package static func find(of file: borrowing File) -> pid_t? {
        var info = stat()
        guard unsafe fstat(file.descriptor, &info) == 0, let table = try? File.text("/proc/locks")
        else { return nil }
        return holder(in: table, inode: UInt(info.st_ino))
    }

    /// Finds the holder in the text of /proc/locks (proc(5)): `1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF`. Ignores
    /// device numbers, which some file systems report differently to processes.
    static func holder(in table: String, inode: UInt) -> pid_t? {
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 5, fields[1] == "FLOCK", fields[3] == "WRITE",
                fields[5].hasSuffix(":\(inode)"),
                let pid = pid_t(fields[4]), pid > 0
            else { continue }
            return pid
        }
        return nil
    }
}

extension File {
    /// Returns the content of a file in /proc, whose size the kernel reports as 0; at most one MiB.
    static func text(_ path: String) throws(SystemError) -> String {
        let file = try File(path, .read)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 1)
        defer { unsafe buffer.deallocate() }
        let count = unsafe try file.read(into: buffer, at: 0)
        return unsafe String(decoding: buffer[..<count], as: UTF8.self)
    }
}

/// The process that listens on a TCP port of this machine, by /proc.
package struct PortHolder: Sendable, Equatable, CustomStringConvertible {
    package let pid: Int32
    /// The program's name.
    package let name: String
    /// Its working directory, which for a process of a trace cluster is the data directory.
    package let directory: String?

    package var description: String {
        "\(name) (process \(pid)\(directory.map { ", which works in \($0)" } ?? ""))"
    }

    /// Finds the listening process; nil if there is none, or if only its user and root may see it. Blocks while it
    /// scans all open files in /proc.
    package static func find(port: UInt16) -> PortHolder? {
        let sockets = Set(
            ["/proc/net/tcp", "/proc/net/tcp6"].flatMap { listeners(in: text($0), port: port) }
        )
        guard !sockets.isEmpty else { return nil }
        let pids = ((try? FileSystem.list("/proc")) ?? []).compactMap { Int32($0) }.sorted()
        return pids.first { holds(sockets, process: $0) }.map { pid in
            PortHolder(
                pid: pid,
                name: text("/proc/\(pid)/comm").split(separator: "\n").first.map(String.init)
                    ?? "?",
                directory: FileSystem.linkTarget("/proc/\(pid)/cwd")
            )
        }
    }

    /// Returns advice for a port in use. `option` chooses another address, such as `--grpc`.
    package static func remedy(port: UInt16, option: String) -> String {
        guard let holder = find(port: port) else {
            return "Another process, perhaps of another user, listens there (as root: ss -ltnp):"
                + " end it, or choose another port with \(option) ADDR:PORT"
        }
        return "It is taken by \(holder): end that, or choose another port with \(option) ADDR:PORT"
    }

    /// Returns the inodes of the sockets listening on the port, from the text of /proc/net/tcp (proc(5)).
    static func listeners(in table: String, port: UInt16) -> [String] {
        let digits = String(port, radix: 16, uppercase: true)
        let suffix = ":" + String(repeating: "0", count: 4 - digits.count) + digits
        return table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            // Fields: number, local address, remote address, state; 0A is LISTEN.
            guard fields.count > 9, fields[1].hasSuffix(suffix), fields[3] == "0A" else {
                return nil
            }
            return String(fields[9])
        }
    }

    private static func holds(_ sockets: Set<String>, process pid: Int32) -> Bool {
        let directory = "/proc/\(pid)/fd"
        return ((try? FileSystem.list(directory)) ?? []).contains { number in
            guard let target = FileSystem.linkTarget("\(directory)/\(number)"),
                target.hasPrefix("socket:["),
                target.hasSuffix("]")
            else { return false }
            return sockets.contains(String(target.dropFirst(8).dropLast()))
        }
    }

    private static func text(_ path: String) -> String { (try? File.text(path)) ?? "" }
}
