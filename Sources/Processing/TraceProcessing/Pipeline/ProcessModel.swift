import SystemIO
import TraceMetrics
import TraceModel
import TraceSummaries
import TraceWire

/// What a process has beside its model, for entries of the model that give way.
struct StateOwner {
    let totals: UnsafeMutablePointer<SlotTotals>
    let activity: UnsafeMutablePointer<WindowActivity>
    let suppressed: UnsafeMutablePointer<SuppressedFindings>
}

/// What one traced process looks like to one resource's processor: its state, and what an event does to
/// it and writes. `EventProcessor` does everything that is the same for all resources.
protocol ProcessModel: ~Copyable {
    associatedtype Event: ProcessEvent

    /// The resource's CSV columns, the original's first, ending in `,host,Timestamp(ns)`.
    static var csvHeader: StaticString { get }

    /// A process seen for the first time.
    init()

    /// Applies one event: state, then the rows it gives. Events of one process come in time order within
    /// a batch. No allocation but where something new is remembered. The event comes by address, as values of its
    /// size are copied from call to call.
    mutating func apply(_ event: UnsafePointer<Event>, _ context: inout EventContext)

    /// How many times `lookAhead` is called for an event before `apply`: up to four.
    static var looks: Int { get }

    /// Sends for the memory that an event applied soon will need: what one look has sent for is there at the
    /// next one. Changes nothing. Takes and returns what the looks at one event have found so far, 0 at first; other
    /// events are applied between two looks, so that what was found may have gone.
    borrowing func lookAhead(_ look: Int, at event: UnsafePointer<Event>, _ found: Int) -> Int

    /// The process's first event in a new window is about to be applied: what was going on at the
    /// rotation appears in the new files too.
    mutating func windowBegins(_ context: inout EventContext)

    /// Bytes that the model's tables take beyond the model itself, as the state's budget is charged with them: the same
    /// after a restart. O(1).
    var stateBytes: Int { get }

    /// Whether tables have entries that can give way: of other models only the process as a whole does.
    static var givesWay: Bool { get }

    /// Notes the entries of the tables that can give way. O(entries).
    borrowing func noteEntries(_ sweep: inout StateSweep)

    /// Gives up the entries that the sweep takes, in the order in which `noteEntries` has noted them: what they counted
    /// goes to an entry called `other` where there are counts, and how many go is counted. `context` makes one of the
    /// process, for rows that waited. O(entries).
    mutating func giveUp(
        _ sweep: inout StateSweep,
        _ owner: StateOwner,
        context: () -> EventContext
    )

    /// The open window is being summed up: what the model counts of it in its own state is visited, or goes to where all
    /// else is, and begins anew.
    mutating func takeWindow(
        _ activity: UnsafeMutablePointer<WindowActivity>,
        _ visit: (SummaryPart, _ table: Int, _ place: inout UInt32) -> Void
    )

    /// Whether summaries have tables of what there is at the end of a window, with events in it or without.
    static var hasStanding: Bool { get }

    /// Visits the rows of those tables.
    borrowing func visitStanding(_ visit: (SummaryPart, _ table: Int) -> Void)

    /// Whether time that passes without events can lead to findings.
    var needsTicks: Bool { get }

    /// Time has passed: the context's is what the process's clock would show. Whether rows were written.
    mutating func tick(_ context: EventContext) -> Bool

    /// Whether rows wait for what else comes of the process.
    var hasRowsWaiting: Bool { get }

    /// Writes the rows that wait, as nothing that comes later can belong into the open window's files.
    mutating func windowEnds(_ context: EventContext)

    /// Whether the process has to be remembered however long nothing comes of it.
    var staysWhenQuiet: Bool { get }

    /// The name the events give the process; empty where they give none.
    borrowing func processName() -> ByteView

    /// How many series `collect` has places for.
    static var seriesMax: Int { get }

    /// The series of the process as a whole, always the same in the same order.
    func collect(_ series: inout SeriesWriter)

    /// Groups of series of the process's parts (functions, kernels, names that it had) that changed since the
    /// last call, or all.
    mutating func collectParts(_ series: inout SeriesWriter, all: Bool)

    /// Appends the state; `init(decoding:)` takes it back.
    borrowing func encode(into buffer: inout RawBuffer)

    /// - Throws: `TraceError(.corrupt)` where the bytes are no state.
    init(decoding reader: inout StateReader) throws(TraceError)
}

extension ProcessModel where Self: ~Copyable {
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
