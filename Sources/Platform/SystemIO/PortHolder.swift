import Glibc
import TraceModel

/// Who listens on a TCP port of this machine, as far as /proc says.
package struct PortHolder: Sendable, Equatable, CustomStringConvertible {
    package let pid: Int32
    /// The program's name.
    package let name: String
    /// Where it works; of a process of a trace cluster below the data directory.
    package let directory: String?

    package var description: String {
        "\(name) (process \(pid)\(directory.map { ", which works in \($0)" } ?? ""))"
    }

    /// Nil where nobody listens there, or only the holder's user and root may know who does. Blocks on /proc for as long as
    /// looking at every open file takes.
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
                target.hasPrefix("socket:["), target.hasSuffix("]")
            else { return false }
            return sockets.contains(String(target.dropFirst(8).dropLast()))
        }
    }

    private static func text(_ path: String) -> String { (try? File.text(path)) ?? "" }
}
