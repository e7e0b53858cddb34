package import ActivityMonitoring
import Glibc
import SystemIO
import TraceModel

/// What the supervisor of `scripts/cluster` has noted in a data directory; there also while nothing of the cluster answers.
package enum SupervisedProcesses {
    /// How processes have ended lately without being asked to, by name.
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

    /// Processes that do not stay up, and what to do: a sentence each, by name.
    package static func problems(in dataDirectory: String) -> [String] {
        let now = WallClock.now() / 1_000_000_000
        return ends(in: dataDirectory).sorted { $0.key < $1.key }.compactMap { $1.problem(of: $0, at: now) }
    }
}

/// A command's wait for the cluster that took longer than it may.
package struct WaitExpired: Error, CustomStringConvertible {
    package let seconds: Int
    /// What was in the way last.
    package let lines: [String]
    package let remedy: String

    package var description: String { "not done within \(seconds) s, as \(lines.joined(separator: "; ")). \(remedy)" }
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
    package func run<Value: Sendable>(_ call: @escaping @Sendable () throws -> Value) throws -> Value {
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
            if now >= end { throw WaitExpired(seconds: waited, lines: lines, remedy: remedy) }
            Terminal.error.line("Waiting for \(waited) s: \(lines.joined(separator: "; "))")
        }
    }

    private func lines(of report: inout WaitReport, waited: Int) -> [String] {
        let answer = StatusQuery(dataDirectory: dataDirectory, metrics: nil).run()
        return report.lines(
            answer.problem == nil ? answer.status : nil, ends: SupervisedProcesses.ends(in: dataDirectory),
            waited: waited, now: WallClock.now() / 1_000_000_000)
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

/// Says in plain words what a cluster still has to do before an operator's command is done: which processes are missing and
/// why, who is behind and whether it moves, and what is being merged. Made of one status after another; a value without
/// I/O. Times are seconds.
package struct WaitReport {
    /// How far a worker had come, and since when it stands there.
    private struct Place {
        var appliedLSN: UInt64
        var since: Int
    }

    private var places: [String: Place] = [:]

    /// Lines of one report; what is beyond is counted.
    package static let linesMax = 8
    /// A worker that has not moved for so long is said to stand still.
    private static let stillSeconds = 10

    package init() {}

    /// What is in the way, the worst first; never empty. `status`: nil where the aggregator does not answer. `ends`: how
    /// processes have ended lately, by name. `waited`: since the command began; `now`: since the epoch.
    package mutating func lines(
        _ status: ClusterStatus?, ends: [String: ProcessEnds], waited: Int, now: Int64
    ) -> [String] {
        guard let status else { return limited(["the aggregator does not answer"] + loops(ends, now: now)) }
        var lines: [String] = []
        if status.router.pid == nil {
            lines.append("the router gives no sign of life" + lastEnd(of: "router", ends, now: now))
        }
        lines += status.workers.filter { !$0.up }.map { down($0, ends, now: now) }
        let told = Set(status.workers.filter { !$0.up }.map(\.name))
        lines += loops(ends.filter { !told.contains($0.key) }, now: now)
        let behind = status.workers.filter { $0.up && $0.lagBytes > 0 }.sorted {
            ($1.lagBytes, $0.name) < ($0.lagBytes, $1.name)
        }
        lines += behind.map { self.behind($0, waited: waited) }
        if let merging = status.merging { lines += self.merging(merging) }
        if lines.isEmpty { lines.append("all workers have applied the log; the last files are being named") }
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
        guard let ends = ends[process], let last = ends.last, ends.recent(at: now) > 0 else { return "" }
        return "; it ended \(max(now - last.at, 0)) s ago by \(last.cause)"
    }

    private func down(_ worker: ClusterStatus.Worker, _ ends: [String: ProcessEnds], now: Int64) -> String {
        if let lost = worker.lost { return "\(worker.name) is down for good: \(lost)" }
        if let problem = ends[worker.name]?.problem(of: worker.name, at: now) { return problem }
        let last = lastEnd(of: worker.name, ends, now: now)
        let lag = Report.grouped(worker.lagBytes)
        return "\(worker.name) gives no sign of life, \(lag) bytes of log behind\(last)"
    }

    private mutating func behind(_ worker: ClusterStatus.Worker, waited: Int) -> String {
        let text = "\(worker.name) is \(Report.grouped(worker.lagBytes)) bytes of log behind"
        guard let applied = worker.appliedLsn else { return text }
        let known = places[worker.name]
        let place = known?.appliedLSN == applied ? known : Place(appliedLSN: applied, since: waited)
        places[worker.name] = place
        let still = waited - (place?.since ?? waited)
        return still < Self.stillSeconds ? text : text + ", and has not moved for \(still) s"
    }

    private func merging(_ merging: ClusterStatus.Merging) -> [String] {
        var lines: [String] = []
        if let current = merging.current {
            lines.append(
                "\(current.resource) window \(current.window) is being merged:"
                    + " \(Report.grouped(current.mergedBytes)) of" + " \(Report.grouped(current.totalBytes)) bytes")
        }
        switch merging.waitingWindows {
        case 0: break
        case 1: lines.append("1 window waits for its merge")
        default: lines.append("\(merging.waitingWindows) windows wait for their merge")
        }
        return lines
    }
}
