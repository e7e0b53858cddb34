package import TraceModel

/// Which events of a resource's final files are wanted.
package struct TraceSelection: Sendable, Equatable {
    package var resource: Resource
    /// Inclusive, nanoseconds since the epoch; nil: without a bound.
    package var from: EpochNanoseconds?
    package var to: EpochNanoseconds?
    package var pid: UInt32?

    package init(
        resource: Resource,
        from: EpochNanoseconds? = nil,
        to: EpochNanoseconds? = nil,
        pid: UInt32? = nil
    ) {
        self.resource = resource
        self.from = from
        self.to = to
        self.pid = pid
    }

    func holds(ts: EpochNanoseconds, pid: UInt32) -> Bool {
        if let from, ts < from { return false }
        if let to, ts > to { return false }
        return holds(pid: pid)
    }

    func holds(pid: UInt32) -> Bool { self.pid.map { $0 == pid } ?? true }
}
