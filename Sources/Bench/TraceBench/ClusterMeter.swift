import OperatorTools
import SystemIO
package import TraceModel

/// Measures a running cluster from outside: the resource usage of its processes, and when all events are written.
package struct ClusterMeter: Sendable {
    /// One process of the cluster, by its name in the status.
    package struct Member: Sendable {
        package let name: String
        package let pid: Int
    }

    private static let timeoutSeconds: Int64 = 300
    private static let pollNanoseconds: Int64 = 50_000_000

    package let members: [Member]
    private let dataDirectory: String

    /// - Parameter dataDirectory: The absolute path of the data directory.
    /// - Throws: `TraceError` where no cluster is ready in it.
    package init(dataDirectory: String) throws(TraceError) {
        self.dataDirectory = dataDirectory
        let answer = StatusQuery(dataDirectory: dataDirectory, metrics: nil).run()
        let status = answer.status
        var members: [Member] = []
        if let pid = status.router.pid { members.append(Member(name: "router", pid: pid)) }
        for worker in status.workers {
            if let pid = worker.pid { members.append(Member(name: worker.name, pid: pid)) }
        }
        if let pid = status.aggregator.pid { members.append(Member(name: "aggregator", pid: pid)) }
        if let pid = status.edge?.pid.flatMap(Self.child) {
            members.append(Member(name: "haproxy", pid: pid))
        }
        let count = status.workers.count + (status.edge == nil ? 2 : 3)
        guard status.ready, members.count == count else {
            throw TraceError(
                .unreachable,
                "the cluster in \(dataDirectory) is not ready",
                remedy: answer.problem
            )
        }
        self.members = members
    }

    /// Returns the only child of a process, as HAProxy is of `tracectl edge run`.
    private static func child(of pid: Int) -> Int? {
        guard let process = UInt32(exactly: pid),
            let children = ProcDirectory().contents(of: process, "task/\(pid)/children")
        else { return nil }
        return Int(String(decoding: children, as: UTF8.self).split(separator: " ").first ?? "")
    }

    /// Returns the usage of each member, in the order of `members`.
    /// - Throws: `TraceError` where a process has ended, because its figures are lost.
    package func usage() throws(TraceError) -> [ProcessUsage] {
        var all: [ProcessUsage] = []
        for member in members {
            guard let usage = ProcessUsage(pid: member.pid) else {
                throw TraceError(.notFound, "process \(member.name) (\(member.pid)) has ended")
            }
            all.append(usage)
        }
        return all
    }

    /// Returns the number of events received so far.
    package func receivedEvents() -> Int { status().receivedEvents }

    /// Waits until everything received, at least `events`, is written and reported as written. Returns the time at
    /// which the workers had applied it, which is before the reports (monotonic ns).
    /// - Throws: `TraceError` where it takes minutes.
    package func waitUntilWritten(_ events: Int) throws(TraceError) -> Int64 {
        let deadline = WallClock.monotonic() + Self.timeoutSeconds * 1_000_000_000
        var appliedAt: Int64?
        while true {
            let status = status()
            let now = WallClock.monotonic()
            let accounted =
                status.writtenEvents + status.deduplicatedEvents + status.deadLetteredEvents
                + status.rejectedEvents
            let isQuiet = status.workers.allSatisfy { $0.lagBytes == 0 }
            if isQuiet, status.receivedEvents >= events {
                let applied = appliedAt ?? now
                appliedAt = applied
                if accounted >= status.receivedEvents { return applied }
            }
            guard now < deadline else {
                throw TraceError(
                    .exhausted,
                    "the workers do not catch up: \(accounted) of \(events) events are written"
                )
            }
            Pause.until(WallClock.monotonic() + Self.pollNanoseconds)
        }
    }

    /// Closes the open window and returns once its files are final.
    package func finalize() throws { _ = try AdminClient.finalize(dataDirectory: dataDirectory) }

    private func status() -> ClusterStatus {
        StatusQuery(dataDirectory: dataDirectory, metrics: nil).run().status
    }
}
