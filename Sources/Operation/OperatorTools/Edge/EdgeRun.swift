package import ClusterConfiguration
import Glibc
import SystemIO
import TraceModel

/// Runs HAProxy as a child: writes its configuration, says when it is up, reloads its files at SIGHUP, and ends with it.
package struct EdgeRun {
    private static let checkSeconds: Int64 = 86_400
    private static let warnedSeconds = 14.0 * 86_400

    private let configuration: EdgeConfiguration
    private let files: EdgeFiles
    private let log: (String) -> Void

    /// - Parameter log: Called with lines for the operator.
    package init(
        configuration: EdgeConfiguration,
        files: EdgeFiles,
        log: @escaping (String) -> Void
    ) {
        self.configuration = configuration
        self.files = files
        self.log = log
    }

    /// Runs in the data directory until SIGTERM or SIGINT. The calling thread must be the only one.
    /// - Throws: `TraceError` where HAProxy cannot be started, or has ended by itself.
    package func run() throws {
        SignalReceiver.blockAll()
        try FileSystem.createDirectory(ClusterPaths.run, mode: 0o700)
        let lock = try File(ClusterPaths.edgeLock, .readWrite)
        guard try lock.lock() else {
            throw TraceError(
                .configuration,
                "another edge runs in this data directory",
                remedy: "End it, or choose another directory by --data"
            )
        }
        guard let program = EdgeProgram.path else {
            throw TraceError(
                .configuration,
                "HAProxy is not installed",
                remedy: "Install Debian's package haproxy, or run without it: --edge off"
            )
        }
        for copy in try files.copies() { try FileSystem.publish(copy.path, text: copy.text) }
        try FileSystem.publish(ClusterPaths.edgeSources, text: files.text)
        try FileSystem.publish(ClusterPaths.edgeConfiguration, text: configuration.text)
        try FileSystem.remove(ClusterPaths.edgeSocket)
        // HAProxy ends with this process, however that ends.
        let child = try ChildProcess(
            "/usr/bin/setpriv",
            [
                "--pdeathsig", "KILL", program, "-db", "-m", "\(Limits.edgeMemoryMegabytesMax)",
                "-f", ClusterPaths.edgeConfiguration,
            ]
        )
        try watch(child)
        withExtendedLifetime(lock) {}
    }

    private func watch(_ child: ChildProcess) throws {
        let control = EdgeControl(dataDirectory: ".")
        var isUp = false
        var nextCheck = Int64.max
        var reach = ReachWatch([ClusterPaths.edgeLock])
        while true {
            let signal = SignalReceiver.poll(
                for: [SIGTERM, SIGINT, SIGHUP, SIGCHLD],
                milliseconds: isUp ? 1_000 : 20
            )
            if let end = child.poll() {
                // What killed it was not meant for a program at fault, which the supervisor would wait with.
                if case .signalled(SIGKILL) = end { kill(getpid(), SIGKILL) }
                throw TraceError(.system, "HAProxy has ended: \(end)")
            }
            switch signal {
            case SIGTERM, SIGINT:
                Readiness.stopping()
                return end(child)
            case SIGHUP:
                do { for line in try control.reload() { log("reloaded \(line)") } } catch {
                    log("not reloaded: \(error)")
                }
            default: break
            }
            if !isUp, control.isUp {
                isUp = true
                nextCheck = WallClock.monotonic()
                log("HAProxy listens")
                Readiness.ready()
            }
            Readiness.alive()
            try reach.check(now: WallClock.monotonic())
            if WallClock.monotonic() >= nextCheck {
                nextCheck += Self.checkSeconds * 1_000_000_000
                warnOfExpiry(control)
            }
        }
    }

    private func warnOfExpiry(_ control: EdgeControl) {
        guard let expiry = try? control.expiry(), expiry.secondsLeft < Self.warnedSeconds else {
            return
        }
        log("warning: the certificate \(files.certificate ?? "") is \(expiry.text)")
    }

    /// Lets HAProxy answer the calls in progress, and returns when it has ended.
    private func end(_ child: ChildProcess) {
        child.send(SIGUSR1)
        // It ends by itself after `Limits.edgeEndSeconds`.
        let last = WallClock.monotonic() + Int64(Limits.edgeEndSeconds + 2) * 1_000_000_000
        while child.poll() == nil {
            if WallClock.monotonic() > last { child.send(SIGKILL) }
            _ = SignalReceiver.poll(for: [SIGCHLD], milliseconds: 100)
        }
    }
}
