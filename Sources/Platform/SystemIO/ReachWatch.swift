import Glibc
package import TraceModel

/// Watches that the lock and the sockets by which others find this process stay where they are. Where somebody removes
/// them, a process that went on would hold its port, and acknowledge what nobody can apply.
package struct ReachWatch {
    private struct Identity: Equatable {
        let device: UInt
        let inode: UInt
    }

    private static let intervalNanoseconds: Int64 = 1_000_000_000

    private let paths: [String]
    /// Of those that have been seen; a socket may come later.
    private var known: [String: Identity] = [:]
    private var nextLook: Int64 = 0

    /// `paths`: relative to the data directory, which the process is in.
    package init(_ paths: [String]) { self.paths = paths }

    /// Looks once a second, however often it is called; `now`: monotonic nanoseconds.
    /// - Throws: `TraceError(.configuration)` where one of the files is gone, or another one stands there.
    package mutating func check(now: Int64) throws(TraceError) {
        guard now >= nextLook else { return }
        nextLook = now + Self.intervalNanoseconds
        for path in paths {
            let seen = Self.identity(path)
            guard let before = known[path] else {
                known[path] = seen
                continue
            }
            guard seen != before else { continue }
            throw TraceError(
                .configuration,
                "\(path) was removed while the cluster runs, so nobody finds this process any more; it ends",
                remedy: "Start the cluster again with scripts/cluster up, which goes on from the log; leave the"
                    + " directory \(ClusterPaths.run) alone while it runs")
        }
    }

    private static func identity(_ path: String) -> Identity? {
        var info = stat()
        guard unsafe stat(path, &info) == 0 else { return nil }
        return Identity(device: UInt(info.st_dev), inode: UInt(info.st_ino))
    }
}

/// The supervisor of `scripts/cluster`, as a process that it runs sees it.
package enum Supervisor {
    /// Ends everything that is supervised together with this process, where s6 supervises it and what it would start it
    /// with was removed: nobody can speak with that s6 any more, which would go on holding the port and starting nothing.
    package static func endIfOrphaned() {
        let parent = getppid()
        guard let (name, scanner) = process(parent), name == "s6-supervise", process(scanner)?.name == "s6-svscan",
            !FileSystem.exists("/proc/\(parent)/cwd/run")
        else { return }
        kill(scanner, SIGTERM)
    }

    /// The name and the parent of a process; nil where there is none. proc(5): `4711 (name) S 1 …`.
    private static func process(_ pid: pid_t) -> (name: String, parent: pid_t)? {
        guard let text = try? File.text("/proc/\(pid)/stat"), let open = text.firstIndex(of: "("),
            let close = text.lastIndex(of: ")")
        else { return nil }
        let rest = text[text.index(after: close)...].split(separator: " ")
        guard rest.count > 1, let parent = pid_t(rest[1]) else { return nil }
        return (String(text[text.index(after: open)..<close]), parent)
    }
}
