import ActivityMonitoring
import TraceMetrics
import TraceModel

/// Tracks the processes at the other end of the fabric: which are connected, silent, or keep ending. Pure: no clock, no
/// I/O.
struct PeerTable: Sendable {
    /// The newest incarnation of each process.
    private(set) var peers: [String: Peer] = [:]
    /// Workers that should run, as the router has reported them.
    private(set) var expected: Set<WorkerName> = []

    private var monitor: ActivityMonitor
    /// When each peer was asked to send its complete state (monotonic nanoseconds).
    private var asked: [Peer: Int64] = [:]
    /// Ends that followed from a newer incarnation, by process name. Used for processes whose ends no supervisor
    /// records.
    private var ends: [String: ProcessEnds] = [:]

    private static let second: Int64 = 1_000_000_000

    /// Creates the table, which expects the router. `now` is in monotonic nanoseconds.
    init(now: Int64) {
        monitor = ActivityMonitor(now: now, inactivitySeconds: nil)
        monitor.expect(.router, now: now)
    }

    var router: Peer? { peers[MetricSnapshot.router] }

    /// Records that a peer is alive; returns whether it is a new process.
    mutating func heard(_ peer: Peer, at clocks: AggregationState.Clocks) -> Bool {
        monitor.heard(from: peer.member, now: clocks.monotonic)
        if let known = peers[peer.process] {
            guard known.incarnation < peer.incarnation else { return false }
            let end = ProcessEnds.End(at: clocks.epochSeconds, cause: .unknown)
            ends[peer.process, default: ProcessEnds()].add(end)
        }
        peers[peer.process] = peer
        return true
    }

    /// Returns whether a peer may be asked for its complete state, at most once a second, and records that it is.
    mutating func ask(_ peer: Peer, now: Int64) -> Bool {
        guard now - asked[peer, default: .min / 2] >= Self.second else { return false }
        asked = asked.filter { now - $0.value < Self.second }
        asked[peer] = now
        return true
    }

    /// Sets the workers that should run; returns those that should not any more, and forgets them.
    mutating func expect(_ workers: Set<WorkerName>, now: Int64) -> Set<WorkerName> {
        let gone = expected.subtracting(workers)
        for worker in gone {
            monitor.forget(.worker(worker))
            peers[worker.description] = nil
            ends[worker.description] = nil
        }
        for worker in workers.subtracting(expected) { monitor.expect(.worker(worker), now: now) }
        expected = workers
        return gone
    }

    /// Returns which processes became silent, or are heard again.
    mutating func tick(now: Int64) -> [ActivityEvent] { monitor.tick(now: now) }

    /// Returns how processes ended recently. A process that is killed right after its start may never send a message,
    /// so a supervisor's record is used where there is one.
    func recentEnds(_ files: ProcessFiles, at epochSeconds: Int64) -> [String: RecentEnds] {
        var recent: [String: RecentEnds] = [:]
        let processes = MetricSnapshot.singletons.union(expected.map(\.description))
        for process in processes.union(files.ends.keys) {
            guard let ends = files.ends[process] ?? ends[process],
                ends.recent(at: epochSeconds) > 0
            else { continue }
            recent[process] = RecentEnds(
                count: ends.recent(at: epochSeconds),
                last: ends.last.map { "\($0.cause)" },
                problem: ends.problem(of: process, at: epochSeconds)
            )
        }
        if let reason = files.routerLost {
            let ends = recent[MetricSnapshot.router] ?? .none
            recent[MetricSnapshot.router] = RecentEnds(
                count: ends.count,
                last: ends.last,
                problem: reason
            )
        }
        return recent
    }
}
