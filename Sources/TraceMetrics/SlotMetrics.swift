package import TraceModel

/// All that one slot's processes have to show as of `lsn`.
package struct SlotMetrics: Sendable, Equatable {
    package var slot: UInt8
    /// The log position up to which the slot's state is applied.
    package var lsn: LSN
    /// True: replaces everything known of the slot. False: holds only what changed since this worker's
    /// last message about the slot.
    package var full: Bool
    package var samples: [MetricSample]
    /// Series that are gone; their values are the last ones.
    package var expired: [MetricSample]

    package init(
        slot: UInt8,
        lsn: LSN,
        full: Bool,
        samples: [MetricSample],
        expired: [MetricSample] = []
    ) {
        self.slot = slot
        self.lsn = lsn
        self.full = full
        self.samples = samples
        self.expired = expired
    }
}
