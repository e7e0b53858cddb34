package import ActivityMonitoring
import Glibc
import SystemIO
import TraceModel

/// Reads the records of the supervisor of `scripts/cluster` in a data directory. They are readable even while no
/// process of the cluster answers.
package enum SupervisedProcesses {
    /// Returns how processes recently ended without being asked to, by name.
    package static func ends(in dataDirectory: String) -> [String: ProcessEnds] {
        let services = "\(dataDirectory)/\(ClusterPaths.services)"
        var ends: [String: ProcessEnds] = [:]
        for name in (try? FileSystem.list(services)) ?? [] where !name.hasPrefix(".") {
            let path = "\(dataDirectory)/\(ClusterPaths.ends(of: name))"
            guard let text = try? FileSystem.contents(path) else { continue }
            ends[name] = ProcessEnds(parsing: String(decoding: text, as: UTF8.self))
        }
        return ends
    }

    /// Returns a sentence for each process that does not stay up, with the remedy, by name.
    package static func problems(in dataDirectory: String) -> [String] {
        let now = WallClock.now() / 1_000_000_000
        return ends(in: dataDirectory).sorted { $0.key < $1.key }.compactMap {
            $1.problem(of: $0, at: now)
        }
    }
}

/// A command's wait for the cluster exceeded its time limit.
package struct WaitExpired: Error, CustomStringConvertible {
    package let seconds: Int
    /// What the command was waiting for last.
    package let lines: [String]
    package let remedy: String

    package var description: String {
        "not done within \(seconds) s, as \(lines.joined(separator: "; ")). \(remedy)"
    }
}

/// A command's wait was given up because the cluster is to stop.
package struct WaitAbandoned: Error {}

/// Waits for the cluster on behalf of an operator's command and reports what it waits for every few seconds.
package struct ReportedWait {
    /// The interval of these reports.
    private static let reportSeconds = 5
    /// The interval at which `isGivenUpForStop` is checked.
    private static let stopPollNanoseconds: Int64 = 100_000_000

    /// Absolute, because the call may change the working directory.
    private let dataDirectory: String
    private let timeoutSeconds: Int?
    private let remedy: String
    private let isGivenUpForStop: Bool

    /// - Parameters:
    /// - timeoutSeconds: The time limit; nil means none.
    /// - remedy: What the operator can do after a timeout.
    /// - isGivenUpForStop: Whether to give up where another command waits to stop the cluster.
    package init(
        dataDirectory: String,
        timeoutSeconds: Int?,
        remedy: String,
        isGivenUpForStop: Bool = false
    ) {
        self.isGivenUpForStop = isGivenUpForStop
        self.dataDirectory = FileSystem.realPath(dataDirectory) ?? dataDirectory
        self.timeoutSeconds = timeoutSeconds
        self.remedy = remedy
    }

    /// Runs `call` on its own thread and returns its result.
    /// - Throws: `WaitExpired` on timeout, `WaitAbandoned`. The thread keeps running then, so the process should end.
    package func run<Value: Sendable>(
        _ call: @escaping @Sendable () throws -> Value
    ) throws -> Value {
        let outcome = Outcome<Value>()
        _ = DedicatedThread("call") { outcome.finish(Result { try call() }) }
        return try wait { outcome.wait(until: $0) }.get()
    }

    /// Polls the status five times a second and returns once the condition is met.
    /// - Throws: `WaitExpired` on timeout, `WaitAbandoned`.
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

    /// Waits with reports. `step` blocks until the given time (monotonic nanoseconds), or returns the result earlier.
    private func wait<Value>(_ step: (Int64) -> Value?) throws -> Value {
        let began = WallClock.monotonic()
        let end = timeoutSeconds.map { began + Int64($0) * 1_000_000_000 } ?? .max
        var report = WaitReport()
        var next = began
        while true {
            next += Int64(Self.reportSeconds) * 1_000_000_000
            if let value = try self.step(step, until: min(next, end)) { return value }
            let now = WallClock.monotonic()
            let waited = Int((now - began) / 1_000_000_000)
            let lines = lines(of: &report, waited: waited)
            if now >= end { throw WaitExpired(seconds: waited, lines: lines, remedy: remedy) }
            Terminal.error.line("Waiting for \(waited) s: \(lines.joined(separator: "; "))")
        }
    }

    /// Runs `step` until the given time; where the wait is given up for a stop, in pieces.
    private func step<Value>(_ step: (Int64) -> Value?, until: Int64) throws -> Value? {
        guard isGivenUpForStop else { return step(until) }
        let stop = "\(dataDirectory)/\(ClusterPaths.stopWanted)"
        repeat {
            if FileSystem.exists(stop) { throw WaitAbandoned() }
            if let value = step(min(until, WallClock.monotonic() + Self.stopPollNanoseconds)) {
                return value
            }
        } while WallClock.monotonic() < until
        return nil
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

/// The result of a call on another thread.
private final class Outcome<Value: Sendable>: @unchecked Sendable {
    private let lock = ConditionLock()
    /// Protected by the lock.
    private var result: Result<Value, any Error>?

    func finish(_ result: Result<Value, any Error>) {
        lock.withLock {
            self.result = result
            lock.signal()
        }
    }

    /// Returns nil where there is no result by `deadline`, in monotonic nanoseconds.
    func wait(until deadline: Int64) -> Result<Value, any Error>? {
        lock.withLock {
            while result == nil, WallClock.monotonic() < deadline { lock.wait(until: deadline) }
            return result
        }
    }
}

/// Describes what a cluster still has to do before an operator's command is done: which processes are missing and why,
/// which workers lag and whether they progress, and what is being merged. It compares each status with the previous
/// ones; a value without I/O. Times are seconds.
package struct WaitReport {
    /// A worker's applied LSN, and the time since when it has not changed.
    private struct Progress {
        var appliedLSN: UInt64
        var since: Int
    }

    private var progress: [String: Progress] = [:]

    /// The greatest number of lines of a report; a last line counts the rest.
    package static let linesMax = 8
    /// A worker that has not progressed for this time is reported as standing still.
    private static let stillSeconds = 10

    package init() {}

    /// Returns what is left to do, the worst first; never empty.
    /// - Parameters:
    /// - status: The status, or nil where the aggregator does not answer.
    /// - ends: How processes recently ended, by name.
    /// - waited: The time since the command began.
    /// - now: The time since the epoch.
    package mutating func lines(
        _ status: ClusterStatus?,
        ends: [String: ProcessEnds],
        waited: Int,
        now: Int64
    ) -> [String] {
        guard let status else {
            return limited(["the aggregator does not answer"] + loops(ends, now: now))
        }
        var lines: [String] = []
        if status.router.pid == nil {
            lines.append("the router sends no heartbeat" + lastEnd(of: "router", ends, now: now))
        }
        lines += status.workers.filter { !$0.up }.map { down($0, ends, now: now) }
        let reported = Set(status.workers.filter { !$0.up }.map(\.name))
        lines += loops(ends.filter { !reported.contains($0.key) }, now: now)
        let behind = status.workers.filter { $0.up && $0.lagBytes > 0 }.sorted {
            ($1.lagBytes, $0.name) < ($0.lagBytes, $1.name)
        }
        lines += behind.map { self.behind($0, waited: waited) }
        if let merging = status.merging { lines += self.merging(merging) }
        if lines.isEmpty {
            lines.append("all workers have applied the log; the last files are being named")
        }
        return limited(lines)
    }

    private func limited(_ lines: [String]) -> [String] {
        guard lines.count > Self.linesMax else { return lines }
        let rest = lines.count - Self.linesMax + 1
        return lines.prefix(Self.linesMax - 1) + ["and \(rest) more, see status"]
    }

    private func loops(_ ends: [String: ProcessEnds], now: Int64) -> [String] {
        ends.sorted { $0.key < $1.key }.compactMap { $1.problem(of: $0, at: now) }
    }

    private func lastEnd(of process: String, _ ends: [String: ProcessEnds], now: Int64) -> String {
        guard let ends = ends[process], let last = ends.last, ends.recent(at: now) > 0 else {
            return ""
        }
        return "; it ended \(max(now - last.at, 0)) s ago by \(last.cause)"
    }

    private func down(
        _ worker: ClusterStatus.Worker,
        _ ends: [String: ProcessEnds],
        now: Int64
    ) -> String {
        if let lost = worker.lost { return "\(worker.name) is down for good: \(lost)" }
        if let problem = ends[worker.name]?.problem(of: worker.name, at: now) { return problem }
        let last = lastEnd(of: worker.name, ends, now: now)
        let lag = Report.grouped(worker.lagBytes)
        return "\(worker.name) sends no heartbeat, \(lag) bytes of log behind\(last)"
    }

    private mutating func behind(_ worker: ClusterStatus.Worker, waited: Int) -> String {
        let text = "\(worker.name) is \(Report.grouped(worker.lagBytes)) bytes of log behind"
        guard let applied = worker.appliedLsn else { return text }
        let known = progress[worker.name]
        let current =
            known?.appliedLSN == applied ? known : Progress(appliedLSN: applied, since: waited)
        progress[worker.name] = current
        let still = waited - (current?.since ?? waited)
        return still < Self.stillSeconds ? text : text + ", and has not moved for \(still) s"
    }

    private func merging(_ merging: ClusterStatus.Merging) -> [String] {
        var lines: [String] = []
        if let current = merging.current {
            lines.append(
                "\(current.resource) window \(current.window) is being merged:"
                    + " \(Report.grouped(current.mergedBytes)) of"
                    + " \(Report.grouped(current.totalBytes)) bytes"
            )
        }
        if let rebuilding = merging.rebuilding {
            lines.append(
                "damaged segments of \(rebuilding.worker), window \(rebuilding.window), are made"
                    + " again from the log"
            )
        }
        switch merging.waitingWindows {
        case 0: break
        case 1: lines.append("1 window waits for its merge")
        default: lines.append("\(merging.waitingWindows) windows wait for their merge")
        }
        return lines
    }
}
