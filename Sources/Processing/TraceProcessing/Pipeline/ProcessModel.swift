import SystemIO
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceWire

/// The parts of a process beside its model that evictions of the model's entries update.
struct StateOwner {
    let totals: UnsafeMutablePointer<SlotTotals>
    let activity: UnsafeMutablePointer<WindowActivity>
    let suppressed: UnsafeMutablePointer<SuppressedFindings>
}

/// One traced process as seen by one resource's processor: its state, how an event changes it, and the rows it gives.
/// `EventProcessor` does everything that is the same for all resources.
protocol ProcessModel: ~Copyable {
    associatedtype Event: ProcessEvent

    /// The resource's CSV columns, the original's first, ending in `,host,Timestamp(ns)`.
    static var csvHeader: StaticString { get }

    /// Creates the state of a process seen for the first time.
    init()

    /// Whether the state of a process that has gone leaves memory for others.
    static var reusesMemory: Bool { get }

    /// Takes over memory of a process that has gone. This one has just been created. What is taken is a few small
    /// allocations, as it is kept until other processes come.
    mutating func takeMemory(of gone: inout Self)

    /// Applies one event: first state, then rows. Within a batch, events of one process come in time order. Allocates
    /// only when something new is remembered. The event is passed by address, as values of its size would be copied
    /// from call to call.
    mutating func apply(_ event: UnsafePointer<Event>, _ context: inout EventContext)

    /// The number of prefetch stages (calls of `lookAhead`) per event: up to four.
    static var looks: Int { get }

    /// Runs one prefetch stage for an event that is applied soon: memory that a stage prefetches has arrived at the
    /// next one. Changes nothing. Takes and returns the result of the event's stages so far, 0 at first. Other events
    /// are applied between two stages, so what an earlier one found may have been removed.
    borrowing func lookAhead(_ look: Int, at event: UnsafePointer<Event>, _ found: Int) -> Int

    /// Called before the process's first event in a new window: open calls and the like are repeated in the new
    /// files.
    mutating func windowBegins(_ context: inout EventContext)

    /// The bytes of the model's tables beyond the model itself, as charged to the budget. The same after a restart.
    /// O(1).
    var stateBytes: Int { get }

    /// Whether tables have entries that can be evicted; other models are evicted only with their process.
    static var givesWay: Bool { get }

    /// Notes the table entries that can be evicted. O(entries).
    borrowing func noteEntries(_ sweep: inout StateSweep)

    /// Evicts the entries that the sweep takes, in the order in which `noteEntries` noted them. Their counts move to
    /// an entry called `other`, and the evictions are counted. `context` makes a context of the process, for deferred
    /// rows. O(entries).
    mutating func giveUp(
        _ sweep: inout StateSweep,
        _ owner: StateOwner,
        context: () -> EventContext
    )

    /// Called when the open window is summed up. What the model counts of the window in its own state is visited, or
    /// moved to `activity`, and reset.
    mutating func takeWindow(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    )

    /// Whether summaries have tables of what exists at the end of a window, whether it had events or not.
    static var hasStanding: Bool { get }

    /// Visits the rows of those tables.
    borrowing func visitStanding(_ visit: (SummaryPart, _ table: Int) -> Void)

    /// Whether time without events can lead to findings.
    var needsTicks: Bool { get }

    /// Applies the passing of time; the context has the process's current clock. Returns whether rows were written.
    mutating func tick(_ context: EventContext) -> Bool

    /// Whether rows are deferred until further events of the process.
    var hasRowsWaiting: Bool { get }

    /// Writes the deferred rows, as no later event can belong to the open window's files.
    mutating func windowEnds(_ context: EventContext)

    /// Whether the process must be kept however long it is quiet.
    var staysWhenQuiet: Bool { get }

    /// Returns the name that the events give the process; empty if they give none.
    borrowing func processName() -> ByteView

    /// The capacity that `collect` needs, in series.
    static var seriesMax: Int { get }

    /// Collects the series of the process as a whole, always the same ones in the same order.
    func collect(_ series: inout SeriesWriter)

    /// Collects groups of series of the process's parts (functions, kernels, names that it had): those that changed
    /// since the last call, or all.
    mutating func collectParts(_ series: inout SeriesWriter, all: Bool)

    /// Appends the state for `init(decoding:)`.
    borrowing func encode(into buffer: inout RawBuffer)

    /// Decodes what `encode` has written.
    /// - Throws: `TraceError(.corrupt)` if the bytes are not valid state.
    init(decoding reader: inout StateReader) throws(TraceError)
}

extension ProcessModel where Self: ~Copyable {
    static var reusesMemory: Bool { false }

    mutating func takeMemory(of gone: inout Self) {}

    static var looks: Int { 0 }

    borrowing func lookAhead(_ look: Int, at event: UnsafePointer<Event>, _ found: Int) -> Int { 0 }

    mutating func windowBegins(_ context: inout EventContext) {}

    static var givesWay: Bool { false }

    borrowing func noteEntries(_ sweep: inout StateSweep) {}

    mutating func giveUp(
        _ sweep: inout StateSweep,
        _ owner: StateOwner,
        context: () -> EventContext
    ) {}

    mutating func takeWindow(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    ) {}

    static var hasStanding: Bool { false }

    borrowing func visitStanding(_ visit: (SummaryPart, _ table: Int) -> Void) {}

    var needsTicks: Bool { false }

    mutating func tick(_ context: EventContext) -> Bool { false }

    var hasRowsWaiting: Bool { false }

    mutating func windowEnds(_ context: EventContext) {}

    var staysWhenQuiet: Bool { false }

    mutating func collectParts(_ series: inout SeriesWriter, all: Bool) {}
}
