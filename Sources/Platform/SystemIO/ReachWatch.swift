import Glibc
package import TraceModel

/// Checks that this process's lock file and sockets still exist. If they were removed, the process could not be reached
/// any more, but would hold its port, and the router would acknowledge batches that no worker can apply.
package struct ReachWatch {
    /// Device and inode of a file.
    private struct Identity: Equatable {
        let device: UInt
        let inode: UInt
    }

    private static let intervalNanoseconds: Int64 = 1_000_000_000

    private let paths: [String]
    /// Identity of each file at the first check that found it; a socket may be created after the process has started.
    private var known: [String: Identity] = [:]
    private var nextCheck: Int64 = 0

    /// Creates a watch for `paths`, relative to the data directory, which is the working directory.
    package init(_ paths: [String]) { self.paths = paths }

    /// Checks the files, at most once a second. `now` is in monotonic nanoseconds.
    /// - Throws: `TraceError(.configuration)` if one of the files was removed or replaced.
    package mutating func check(now: Int64) throws(TraceError) {
        guard now >= nextCheck else { return }
        nextCheck = now + Self.intervalNanoseconds
        for path in paths {
            let seen = Self.identity(path)
            guard let before = known[path] else {
                known[path] = seen
                continue
            }
            guard seen != before else { continue }
            throw TraceError(
                .configuration,
                "\(path) was removed while the cluster runs, so this process cannot be reached any more; it exits",
                remedy:
                    "Start the cluster again with scripts/cluster up, which goes on from the log; leave the"
                    + " directory \(ClusterPaths.run) alone while it runs"
            )
        }
    }

    private static func identity(_ path: String) -> Identity? {
        var info = stat()
        guard unsafe stat(path, &info) == 0 else { return nil }
        return Identity(device: UInt(info.st_dev), inode: UInt(info.st_ino))
    }
}

/// The s6 supervisor of `scripts/cluster`, as seen by a process that it runs.
package enum Supervisor {
    /// Ends s6-svscan and all its services if this process is supervised and its service directory was removed.
    /// Nobody could control that s6 any more; it would hold the port without starting anything.
    package static func endIfOrphaned() {
        let parent = getppid()
        guard let (name, scanner) = process(parent), name == "s6-supervise",
            process(scanner)?.name == "s6-svscan",
            !FileSystem.exists("/proc/\(parent)/cwd/run")
        else { return }
        kill(scanner, SIGTERM)
    }

    /// Returns the name and parent of a process from proc(5), `4711 (name) S 1 …`; nil if there is none.
    private static func process(_ pid: pid_t) -> (name: String, parent: pid_t)? {
        guard let text = try? File.text("/proc/\(pid)/stat"), let open = text.firstIndex(of: "("),
            let close = text.lastIndex(of: ")")
        else { return nil }
        let rest = text[text.index(after: close)...].split(separator: " ")
        guard rest.count > 1, let parent = pid_t(rest[1]) else { return nil }
        return (String(text[text.index(after: open)..<close]), parent)
    }
}
