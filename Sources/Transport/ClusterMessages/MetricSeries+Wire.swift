internal import CTraceProtos
internal import TraceMetrics
internal import TraceModel

extension MetricSeries: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__MetricSeries

    static var unpack: Unpack { unsafe trace_processor__cluster__metric_series__unpack }
    static var free: Free { unsafe trace_processor__cluster__metric_series__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        unsafe self.init(
            process: unsafe try readText(wire.process),
            incarnation: wire.incarnation,
            begins: wire.begins != 0,
            sections: unsafe Array(
                UnsafeRawBufferPointer(start: wire.sections.data, count: wire.sections.len)
            ),
            renewedLSN: wire.renewed_lsn
        )
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__metric_series__init(&wire)
        unsafe wire.process = arena.text(process)
        unsafe wire.incarnation = incarnation
        unsafe wire.begins = begins ? 1 : 0
        unsafe wire.sections.len = sections.count
        unsafe wire.sections.data = arena.array(sections)
        unsafe wire.renewed_lsn = renewedLSN
        return unsafe wire
    }
}
