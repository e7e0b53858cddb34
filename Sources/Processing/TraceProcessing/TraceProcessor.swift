package import AnomalyRules
package import SystemIO
package import TraceFiles
package import TraceMetrics
package import TraceModel

/// What turns one resource's events into files, statistics and metrics. One a worker; belongs to the
/// worker's apply loop. A deterministic function of the log: the same batches in the same order give the
/// same bytes, so nothing here reads a clock.
package protocol TraceProcessor: AnyObject {
    var resource: Resource { get }
    var files: TraceFileManager { get }
    /// Events processed over the life of the slots this worker owns.
    var totalTraces: UInt64 { get }

    /// Asked while a batch is processed. Without one an error of a write ends the batch.
    var observer: (any BatchObserver)? { get set }

    /// Processes a worker's share of one batch, in this order: statistics of the batch, stable sort by
    /// time, then per event state, rules, JSON and CSV. Returns how many events it processed.
    /// - Throws: what the observer throws, or `SystemError`, where a full buffer could not be written: the batch is half
    ///   processed then, and the processor of no further use.
    func processTraces(_ traces: TraceBatchView, isLastBatch: Bool) throws -> Int

    /// What is judged by from here on.
    var rules: RuleSet { get set }

    /// The clock as the log has it: time has passed without events.
    func tick(arrival: EpochNanoseconds) throws

    /// Ends the window: files closed and synced, state carried over into the next window.
    func finalize(stem: String, nextWindow: UInt64) throws -> [ClosedFile]

    /// What the window was about that `finalize` has just ended, encoded; empty where it had no events. To be
    /// called once a window, before slots go to others. The next window begins with nothing.
    func takeSummary() -> [UInt8]

    /// Slots of which something changed since they were last collected, or all that have had events.
    func slotsToCollect(all: Bool) -> [UInt8]

    /// Writes a slot's section: what changed since its last one, or all where `isFull`. `lsn` is the position
    /// applied. False where the definitions were too many for one section: the slot has to be collected again.
    func collectStats(slot: UInt8, isFull: Bool, lsn: LSN, into series: inout SeriesWriter) -> Bool

    /// Processes that have gone since the process began, so that ids of their series are of no use any more.
    var processesGone: Int { get }

    /// What the state of all slots takes, as budgets are charged.
    var stateBytes: Int { get }

    /// What does not follow from the log, cumulative since the process began.
    func ownSamples() -> [MetricSample]

    /// Appends the state of one slot's processes.
    func saveState(slot: UInt8, into buffer: inout RawBuffer)

    /// Takes a slot's state in, in place of what is there.
    /// - Throws: `TraceError(.corrupt)` where the bytes are none.
    func loadState(slot: UInt8, from reader: inout StateReader) throws

    /// Forgets a slot that has another owner now.
    func dropState(slot: UInt8)
}
