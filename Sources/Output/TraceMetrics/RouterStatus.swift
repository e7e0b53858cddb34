package import TraceModel

/// The router's part of the status. Event counts are cumulative over the life of the data directory.
package struct RouterStatus: Sendable, Equatable {
    package var headLSN: LSN
    package var receivedEvents: UInt64
    package var deduplicatedEvents: UInt64
    package var rejectedEvents: UInt64
    package var deadLetteredEvents: UInt64
    /// Every worker that should exist; retired ones are absent.
    package var workers: [WorkerLink]
    /// Number of the window being filled.
    package var window: UInt64
    package var draining: Bool
    package var accepting: Bool
    /// Events of damaged log ranges, some of which may have been applied before.
    package var uncertainEvents: UInt64

    package init(
        headLSN: LSN = 0,
        receivedEvents: UInt64 = 0,
        deduplicatedEvents: UInt64 = 0,
        rejectedEvents: UInt64 = 0,
        deadLetteredEvents: UInt64 = 0,
        workers: [WorkerLink] = [],
        window: UInt64 = 0,
        draining: Bool = false,
        accepting: Bool = false,
        uncertainEvents: UInt64 = 0
    ) {
        self.headLSN = headLSN
        self.receivedEvents = receivedEvents
        self.deduplicatedEvents = deduplicatedEvents
        self.rejectedEvents = rejectedEvents
        self.deadLetteredEvents = deadLetteredEvents
        self.workers = workers
        self.window = window
        self.draining = draining
        self.accepting = accepting
        self.uncertainEvents = uncertainEvents
    }
}

/// The router's view of one worker that it expects.
package struct WorkerLink: Sendable, Equatable {
    package var worker: WorkerName
    package var connected: Bool
    /// Bytes of log between the worker's applied position and the head.
    package var lagBytes: UInt64

    package init(worker: WorkerName, connected: Bool, lagBytes: UInt64) {
        self.worker = worker
        self.connected = connected
        self.lagBytes = lagBytes
    }
}

/// What the store knows of one process.
package struct ProcessState: Sendable, Equatable {
    package internal(set) var incarnation: UInt64
    package internal(set) var pid: UInt32
    package internal(set) var appliedLSN: LSN = 0
    package internal(set) var checkpointLSN: LSN = 0
    package internal(set) var headLSN: LSN = 0
    /// False from `declareDown` until the process is heard from again.
    package internal(set) var isUp = true
    /// Starts after the first one.
    package internal(set) var restarts: UInt64 = 0
    /// True once its samples are part of the retired totals: further reports of this incarnation are ignored.
    var isRetired = false
    var own: [SeriesKey: MetricValue] = [:]

    init(incarnation: UInt64, pid: UInt32) {
        self.incarnation = incarnation
        self.pid = pid
    }
}

/// How a process recently ended without being asked to.
package struct RecentEnds: Sendable, Equatable {
    /// Ends within the last minute.
    package let count: Int
    /// The cause of the last end; nil where there was none.
    package let last: String?
    /// Why the process cannot be relied on, and what to do; nil where it stays up.
    package let problem: String?

    package init(count: Int, last: String?, problem: String?) {
        self.count = count
        self.last = last
        self.problem = problem
    }

    package static let none = RecentEnds(count: 0, last: nil, problem: nil)
}
