package import TraceModel

/// The head of what a worker tells of one slot.
package struct SeriesSection: Sendable, Equatable {
    package var slot: UInt8
    /// The log position up to which the slot's state is applied.
    package var lsn: LSN
    /// It names every series that the slot has: what it does not name is gone. Otherwise what changed since
    /// the worker's last one.
    package var isFull: Bool
    /// False: there is more, which a later section tells.
    package var isComplete: Bool
}
