package import TraceModel

/// The router's part of the status. The event counts are cumulative over the life of the data directory.
package struct RouterStatus: Sendable, Equatable {
    package var headLSN: LSN
    package var receivedEvents: UInt64
    package var deduplicatedEvents: UInt64
    package var rejectedEvents: UInt64
    package var deadLetteredEvents: UInt64
    /// Every worker that there should be; retired ones are absent.
    package var workers: [WorkerLink]
    /// Number of the window being filled.
    package var window: UInt64
    package var draining: Bool
    package var accepting: Bool
    /// Events of damaged ranges, of which some may have been applied before.
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
