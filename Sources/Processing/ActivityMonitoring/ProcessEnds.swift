import TraceModel

/// The recent unrequested ends of one process, as its supervisor or other processes have recorded them. A value without
/// clock or I/O; times are seconds since the epoch.
package struct ProcessEnds: Sendable, Equatable {
    /// Why a process ended.
    package enum Cause: Sendable, Equatable, CustomStringConvertible {
        case signal(Int)
        case exitCode(Int)
        /// The process came back with another process id.
        case unknown

        package var description: String {
            switch self {
            case .signal(let number):
                Self.names[number].map { "signal \(number) (\($0))" } ?? "signal \(number)"
            case .exitCode(let code): "exit code \(code)"
            case .unknown: "an unknown cause"
            }
        }

        private static let names = [
            4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL",
            11: "SIGSEGV",
            24: "SIGXCPU", 31: "SIGSYS",
        ]

        /// What an operator can do about it.
        fileprivate func remedy(for process: String) -> String {
            let logs = "see scripts/cluster logs \(process)"
            guard self == .signal(9) else { return logs }
            return
                "the kernel kills so where memory is short: give the cluster more of it, or fewer"
                + " workers (--workers); \(logs)"
        }
    }

    /// One end of a process; `at` is in seconds since the epoch.
    package struct End: Sendable, Equatable {
        package let at: Int64
        package let cause: Cause

        package init(at: Int64, cause: Cause) {
            self.at = at
            self.cause = cause
        }
    }

    /// Oldest first.
    private var ends: [End] = []

    package init() {}

    /// Parses what `scripts/service/finish` writes: lines `SECONDS signal N` or `SECONDS exit code N`. Other lines are
    /// ignored.
    package init(parsing text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 3, let at = Int64(words[0]),
                let number = Int(words[words.count - 1])
            else { continue }
            add(End(at: at, cause: words[1] == "signal" ? .signal(number) : .exitCode(number)))
        }
    }

    /// Adds an end; of more than `Limits.processEndsMax` the oldest is dropped.
    package mutating func add(_ end: End) {
        ends.append(end)
        if ends.count > Limits.processEndsMax { ends.removeFirst() }
    }

    package var last: End? { ends.last }

    /// Returns the number of ends within `Limits.crashLoopSeconds`.
    package func recent(at now: Int64) -> Int {
        ends.count { now - $0.at < Int64(Limits.crashLoopSeconds) }
    }

    /// Whether the process does not stay up: `Limits.crashLoopFailuresMin` ends within `Limits.crashLoopSeconds`, the
    /// last of them within `Limits.crashLoopSettledSeconds`.
    package func isCrashLoop(at now: Int64) -> Bool {
        guard let last else { return false }
        return recent(at: now) >= Limits.crashLoopFailuresMin
            && now - last.at < Int64(Limits.crashLoopSettledSeconds)
    }

    /// Describes the problem and the remedy in a sentence; nil where the process stays up.
    package func problem(of process: String, at now: Int64) -> String? {
        guard isCrashLoop(at: now), let last else { return nil }
        return
            "\(process) does not stay up: it ended \(recent(at: now)) times within a minute, last by"
            + " \(last.cause); \(last.cause.remedy(for: process))"
    }
}
