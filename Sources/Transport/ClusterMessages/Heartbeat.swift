internal import CTraceProtos
internal import TraceModel

/// Any process to any other: a sign of life where nothing else is said, and the first message to one
/// that needs to know its peer.
package struct Heartbeat: Sendable, Equatable {
    /// `function.0`, `router`, `aggregator`.
    package var process: String
    /// Grows with each start of the process.
    package var incarnation: UInt64
    package var pid: UInt32
    /// From the aggregator, where all is quiet: the events received that nothing is counted of; nil: not known.
    package var unaccountedEvents: UInt64?

    package init(
        process: String,
        incarnation: UInt64,
        pid: UInt32,
        unaccountedEvents: UInt64? = nil
    ) {
        self.process = process
        self.incarnation = incarnation
        self.pid = pid
        self.unaccountedEvents = unaccountedEvents
    }
}

extension Heartbeat: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__Heartbeat

    static var unpack: Unpack { unsafe trace_processor__cluster__heartbeat__unpack }
    static var free: Free { unsafe trace_processor__cluster__heartbeat__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        process = unsafe try readText(wire.process)
        incarnation = unsafe wire.incarnation
        pid = unsafe wire.pid
        let unaccounted = unsafe wire.unaccounted_events
        unaccountedEvents = unaccounted > 0 ? unaccounted - 1 : nil
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__heartbeat__init(&wire)
        unsafe wire.process = arena.text(process)
        unsafe wire.incarnation = incarnation
        unsafe wire.pid = pid
        unsafe wire.unaccounted_events = unaccountedEvents.map { $0 &+ 1 } ?? 0
        return unsafe wire
    }
}
