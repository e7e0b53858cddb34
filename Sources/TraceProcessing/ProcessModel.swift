import SystemIO
import TraceMetrics
import TraceModel
import TraceWire

/// What one traced process looks like to one resource's processor: its state, and what an event does to
/// it and writes. `EventProcessor` does everything that is the same for all resources.
protocol ProcessModel: ~Copyable {
    associatedtype Event: WireEvent

    /// The resource's CSV columns, the original's first, ending in `,host,Timestamp(ns)`.
    static var csvHeader: StaticString { get }

    /// A process seen for the first time.
    init()

    /// Applies one event: state, then the rows it gives. Events of one process come in time order within
    /// a batch. No allocation but where something new is remembered.
    mutating func apply(_ event: Event, _ context: inout EventContext)

    /// The process's first event in a new window is about to be applied: what was going on at the
    /// rotation appears in the new files too.
    mutating func windowBegins(_ context: inout EventContext)

    /// Whether time that passes without events can lead to findings.
    var needsTicks: Bool { get }

    /// Time has passed: the context's is what the process's clock would show. Whether rows were written.
    mutating func tick(_ context: EventContext) -> Bool

    /// The name the events give the process; empty where they give none.
    borrowing func processName() -> ByteView

    /// The process's series that changed since the last call, or all.
    mutating func collect(_ samples: inout ProcessSamples, all: Bool)

    /// Appends the state; `init(decoding:)` takes it back.
    borrowing func encode(into buffer: inout RawBuffer)

    /// - Throws: `TraceError(.corrupt)` where the bytes are no state.
    init(decoding reader: inout StateReader) throws(TraceError)
}

extension ProcessModel where Self: ~Copyable {
    mutating func windowBegins(_ context: inout EventContext) {}

    var needsTicks: Bool { false }

    mutating func tick(_ context: EventContext) -> Bool { false }
}
