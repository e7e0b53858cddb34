internal import CTraceProtos
internal import TraceMetrics
internal import TraceModel

extension MetricSample: @unsafe WireMessage {
    typealias Wire = TraceProcessor__Cluster__MetricSample

    /// Whether the sample has its family's shape is for the receiver to check: one that has not costs
    /// itself, not the message around it.
    init(_ wire: borrowing Wire) throws(TraceError) {
        let number = unsafe wire.family
        guard let family = UInt16(exactly: number).flatMap(MetricFamily.init(rawValue:)) else {
            throw TraceError(.corrupt, "\(number) is no metric family")
        }
        let value: MetricValue =
            switch family.descriptor.kind {
            case .counter: unsafe .counter(wire.value)
            case .gauge: unsafe .gauge(wire.value)
            case .histogram:
                unsafe .histogram(
                    buckets: unsafe Array(
                        UnsafeBufferPointer(start: wire.buckets, count: wire.n_buckets)
                    ),
                    sum: wire.sum
                )
            }
        self.init(
            family: family,
            labels: unsafe try readTexts(wire.n_labels, wire.labels),
            value: value
        )
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__metric_sample__init(&wire)
        unsafe wire.family = UInt32(family.rawValue)
        unsafe wire.n_labels = labels.count
        unsafe wire.labels = arena.texts(labels)
        switch value {
        case .counter(let number), .gauge(let number):
            unsafe wire.value = number
        case .histogram(let buckets, let sum):
            unsafe wire.n_buckets = buckets.count
            unsafe wire.buckets = arena.array(buckets)
            unsafe wire.sum = sum
        }
        return unsafe wire
    }
}
