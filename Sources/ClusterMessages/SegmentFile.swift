internal import CTraceProtos
internal import TraceModel

/// What a worker contributes to one final file: sorted runs.
package struct SegmentFile: Sendable, Equatable {
    package var kind: OutputKind
    /// Empty: this machine, or a file that holds all hosts.
    package var host: String
    /// Paths, relative to the data directory.
    package var runs: [String]
    package var rows: UInt64
    package var bytes: UInt64

    package init(kind: OutputKind, host: String, runs: [String], rows: UInt64, bytes: UInt64) {
        self.kind = kind
        self.host = host
        self.runs = runs
        self.rows = rows
        self.bytes = bytes
    }
}

extension SegmentFile: @unsafe WireMessage {
    typealias Wire = TraceProcessor__Cluster__SegmentFile

    init(_ wire: borrowing Wire) throws(TraceError) {
        let number = unsafe wire.kind.rawValue
        guard let kind = UInt32(exactly: number).flatMap(OutputKind.init(rawValue:)) else {
            throw TraceError(.corrupt, "\(number) is no kind of output")
        }
        self.kind = kind
        host = unsafe try readText(wire.host)
        runs = unsafe try readTexts(wire.n_runs, wire.runs)
        rows = unsafe wire.rows
        bytes = unsafe wire.bytes
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__segment_file__init(&wire)
        unsafe wire.kind = .init(.init(kind.rawValue))
        unsafe wire.host = arena.text(host)
        unsafe wire.n_runs = runs.count
        unsafe wire.runs = arena.texts(runs)
        unsafe wire.rows = rows
        unsafe wire.bytes = bytes
        return unsafe wire
    }
}
