package import ActivityMonitoring

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
            lines.append("the router gives no sign of life" + lastEnd(of: "router", ends, now: now))
        }
        lines += status.workers.filter { !$0.up }.map { down($0, ends, now: now) }
        let told = Set(status.workers.filter { !$0.up }.map(\.name))
        lines += loops(ends.filter { !told.contains($0.key) }, now: now)
        let behind = status.workers.filter { $0.up && $0.lagBytes > 0 }
            .sorted { ($1.lagBytes, $0.name) < ($0.lagBytes, $1.name) }
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

    private func lastEnd(
        of process: String,
        _ ends: [String: ProcessEnds],
        now: Int64
    ) -> String {
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
        return "\(worker.name) gives no sign of life, \(lag) bytes of log behind\(last)"
    }

    private mutating func behind(_ worker: ClusterStatus.Worker, waited: Int) -> String {
        let text = "\(worker.name) is \(Report.grouped(worker.lagBytes)) bytes of log behind"
        guard let applied = worker.appliedLsn else { return text }
        let known = places[worker.name]
        let place =
            known?.appliedLSN == applied ? known : Place(appliedLSN: applied, since: waited)
        places[worker.name] = place
        let still = waited - (place?.since ?? waited)
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
        switch merging.waitingWindows {
        case 0: break
        case 1: lines.append("1 window waits for its merge")
        default: lines.append("\(merging.waitingWindows) windows wait for their merge")
        }
        return lines
    }
}
