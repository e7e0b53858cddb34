package import TraceModel

/// How the router sees one worker that it expects.
package struct WorkerLink: Sendable, Equatable {
    package var worker: WorkerName
    package var connected: Bool
    /// Bytes of log between its applied position and the head.
    package var lagBytes: UInt64

    package init(worker: WorkerName, connected: Bool, lagBytes: UInt64) {
        self.worker = worker
        self.connected = connected
        self.lagBytes = lagBytes
    }
}
