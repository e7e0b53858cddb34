package import AnomalyRules
package import SystemIO
package import TraceFiles
package import TraceMetrics
package import TraceModel

/// Turns one resource's events into files, statistics and metrics. A worker has one, which belongs to its apply loop.
/// A deterministic function of the log: the same batches in the same order give the same bytes, so nothing here reads
/// a clock.
package protocol TraceProcessor: AnyObject {
    var resource: Resource { get }
    var files: TraceFileManager { get }
    /// The events processed over the life of the slots that this worker owns.
    var totalTraces: UInt64 { get }

    /// The observer of batches in progress. Without one, a write error ends the batch.
    var observer: (any BatchObserver)? { get set }

    /// Processes a worker's share of one batch, in this order: statistics of the batch, stable sort by time, then per
    /// event state, rules, JSON and CSV. Returns the number of events processed.
    /// - Throws: The observer's error, or `SystemError`, if a full buffer could not be written. The batch is then
    ///   half processed, and the processor must not be used any more.
    func processTraces(_ traces: TraceBatchView, isLastBatch: Bool) throws -> Int

    /// The rules in force from here on.
    var rules: RuleSet { get set }

    /// Applies a tick of the log: time has passed without events.
    func tick(arrival: EpochNanoseconds) throws

    /// Ends the window: closes and syncs its files, and carries state over into the next window.
    func finalize(stem: String, nextWindow: UInt64) throws -> [ClosedFile]

    /// Returns the encoded summary of the window that `finalize` has just ended; empty if it had no events. Call it
    /// once per window, before slots move to other workers. Resets the summary for the next window.
    func takeSummary() -> [UInt8]

    /// Returns the slots that changed since their last collection, or all that have had events.
    func slotsToCollect(all: Bool) -> [UInt8]

    /// Writes a slot's section: what changed since the last one, or everything if `isFull`. `lsn` is the position
    /// applied. Returns false if the definitions did not fit into one section; the slot then has to be collected
    /// again.
    func collectStats(slot: UInt8, isFull: Bool, lsn: LSN, into series: inout SeriesWriter) -> Bool

    /// The number of traced processes evicted since the worker started. Ids of their series are out of use.
    var processesGone: Int { get }

    /// The bytes that the state of all slots takes, as budgets are charged.
    var stateBytes: Int { get }

    /// Returns samples that do not follow from the log, cumulative since the worker process began.
    func ownSamples() -> [MetricSample]

    /// Appends the state of one slot's processes.
    func saveState(slot: UInt8, into buffer: inout RawBuffer)

    /// Replaces a slot's state by an encoded one.
    /// - Throws: `TraceError(.corrupt)` if the bytes are not valid state.
    func loadState(slot: UInt8, from reader: inout StateReader) throws

    /// Removes the state of a slot that another worker owns now.
    func dropState(slot: UInt8)
}
