package import Glibc
import TraceModel

/// Who holds the lock of a file, as far as /proc says.
package enum LockHolder {
    /// The process that holds an exclusive lock (flock(2)) of the open file; nil where none does, or none that this process
    /// may see. Blocks.
    package static func find(of file: borrowing File) -> pid_t? {
        var info = stat()
        guard unsafe fstat(file.descriptor, &info) == 0, let table = try? File.text("/proc/locks") else { return nil }
        return holder(in: table, inode: UInt(info.st_ino))
    }

    /// Of the table's text (proc(5)): `1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF`. Device numbers are left alone, as
    /// some file systems say another one to processes.
    static func holder(in table: String, inode: UInt) -> pid_t? {
        for line in table.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 5, fields[1] == "FLOCK", fields[3] == "WRITE", fields[5].hasSuffix(":\(inode)"),
                let pid = pid_t(fields[4]), pid > 0
            else { continue }
            return pid
        }
        return nil
    }
}

extension File {
    /// All of a file in /proc, whose size the kernel does not say: of a mebibyte at most.
    static func text(_ path: String) throws(SystemError) -> String {
        let file = try File(path, .read)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 1)
        defer { unsafe buffer.deallocate() }
        let count = unsafe try file.read(into: buffer, at: 0)
        return unsafe String(decoding: buffer[..<count], as: UTF8.self)
    }
}

/// Who listens on a TCP port of this machine, as far as /proc says.
package struct PortHolder: Sendable, Equatable, CustomStringConvertible {
    package let pid: Int32
    /// The program's name.
    package let name: String
    /// Where it works; of a process of a trace cluster below the data directory.
    package let directory: String?

    package var description: String { "\(name) (process \(pid)\(directory.map { ", which works in \($0)" } ?? ""))" }

    /// Nil where nobody listens there, or only the holder's user and root may know who does. Blocks on /proc for as long as
    /// looking at every open file takes.
    package static func find(port: UInt16) -> PortHolder? {
        let sockets = Set(["/proc/net/tcp", "/proc/net/tcp6"].flatMap { listeners(in: text($0), port: port) })
        guard !sockets.isEmpty else { return nil }
        let pids = ((try? FileSystem.list("/proc")) ?? []).compactMap { Int32($0) }.sorted()
        return pids.first { holds(sockets, process: $0) }.map { pid in
            PortHolder(
                pid: pid, name: text("/proc/\(pid)/comm").split(separator: "\n").first.map(String.init) ?? "?",
                directory: FileSystem.linkTarget("/proc/\(pid)/cwd"))
        }
    }

    /// What can be done about an address that is taken. `option` chooses another one: `--grpc`.
    package static func remedy(port: UInt16, option: String) -> String {
        guard let holder = find(port: port) else {
            return "Another process, perhaps of another user, listens there (as root: ss -ltnp):"
                + " end it, or choose another port with \(option) ADDR:PORT"
        }
        return "It is taken by \(holder): end that, or choose another port with \(option) ADDR:PORT"
    }

    /// The inodes of the sockets that listen on the port, of the table's text (proc(5)).
    static func listeners(in table: String, port: UInt16) -> [String] {
        let digits = String(port, radix: 16, uppercase: true)
        let suffix = ":" + String(repeating: "0", count: 4 - digits.count) + digits
        return table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            // Local address, then the other side's, then the state: 0A is listening.
            guard fields.count > 9, fields[1].hasSuffix(suffix), fields[3] == "0A" else { return nil }
            return String(fields[9])
        }
    }

    private static func holds(_ sockets: Set<String>, process pid: Int32) -> Bool {
        let directory = "/proc/\(pid)/fd"
        return ((try? FileSystem.list(directory)) ?? []).contains { number in
            guard let target = FileSystem.linkTarget("\(directory)/\(number)"), target.hasPrefix("socket:["),
                target.hasSuffix("]")
            else { return false }
            return sockets.contains(String(target.dropFirst(8).dropLast()))
        }
    }

    private static func text(_ path: String) -> String { (try? File.text(path)) ?? "" }
}
