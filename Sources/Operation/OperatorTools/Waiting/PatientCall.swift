import Glibc
import SystemIO

/// A command's wait for the cluster that took longer than it may.
package struct WaitExpired: Error, CustomStringConvertible {
    package let seconds: Int
    /// What was in the way last.
    package let lines: [String]
    package let remedy: String

    package var description: String {
        "not done within \(seconds) s, as \(lines.joined(separator: "; ")). \(remedy)"
    }
}

/// Waits for the cluster on behalf of an operator, and says every few seconds what for.
package struct PatientCall {
    /// How often it is said what is waited for.
    private static let reportSeconds = 5

    /// Absolute, as the call may change the directory.
    private let dataDirectory: String
    private let timeoutSeconds: Int?
    private let remedy: String

    /// `timeoutSeconds`: nil for as long as it takes. `remedy`: what can be done where that was not enough.
    package init(dataDirectory: String, timeoutSeconds: Int?, remedy: String) {
        self.dataDirectory = FileSystem.realPath(dataDirectory) ?? dataDirectory
        self.timeoutSeconds = timeoutSeconds
        self.remedy = remedy
    }

    /// Runs `call` on a thread of its own and returns what it does. Throws `WaitExpired` where it takes too long; the
    /// thread then goes on by itself, so the process should end.
    package func run<Value: Sendable>(
        _ call: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        let outcome = Outcome<Value>()
        _ = DedicatedThread("call") { outcome.finish(Result { try call() }) }
        return try wait { outcome.wait(until: $0) }.get()
    }

    /// Asks every fifth of a second whether the cluster is as it should be, and returns once it is. Throws `WaitExpired`
    /// where it takes too long.
    package func until(_ isMet: (ClusterStatus) -> Bool) throws {
        let query = StatusQuery(dataDirectory: dataDirectory, metrics: nil)
        try wait { until -> Void? in
            while true {
                let answer = query.run()
                if answer.problem == nil, isMet(answer.status) { return () }
                let now = WallClock.monotonic()
                guard now < until else { return nil }
                usleep(UInt32(min(200_000_000, until - now) / 1_000))
            }
        }
    }

    /// `step` waits until the time it is given, monotonic nanoseconds, or returns what was waited for.
    private func wait<Value>(_ step: (Int64) -> Value?) throws -> Value {
        let began = WallClock.monotonic()
        let end = timeoutSeconds.map { began + Int64($0) * 1_000_000_000 } ?? .max
        var report = WaitReport()
        var next = began
        while true {
            next += Int64(Self.reportSeconds) * 1_000_000_000
            if let value = step(min(next, end)) { return value }
            let now = WallClock.monotonic()
            let waited = Int((now - began) / 1_000_000_000)
            let lines = lines(of: &report, waited: waited)
            if now >= end {
                throw WaitExpired(seconds: waited, lines: lines, remedy: remedy)
            }
            Terminal.error.line("Waiting for \(waited) s: \(lines.joined(separator: "; "))")
        }
    }

    private func lines(of report: inout WaitReport, waited: Int) -> [String] {
        let answer = StatusQuery(dataDirectory: dataDirectory, metrics: nil).run()
        return report.lines(
            answer.problem == nil ? answer.status : nil,
            ends: SupervisedProcesses.ends(in: dataDirectory),
            waited: waited,
            now: WallClock.now() / 1_000_000_000
        )
    }
}

/// What a call on another thread has come to.
private final class Outcome<Value: Sendable>: @unchecked Sendable {
    private let lock = ConditionLock()
    /// Under the lock.
    private var result: Result<Value, any Error>?

    func finish(_ result: Result<Value, any Error>) {
        lock.withLock {
            self.result = result
            lock.signal()
        }
    }

    /// Nil where there is none at `deadline`, monotonic nanoseconds.
    func wait(until deadline: Int64) -> Result<Value, any Error>? {
        lock.withLock {
            while result == nil, WallClock.monotonic() < deadline { lock.wait(until: deadline) }
            return result
        }
    }
}
