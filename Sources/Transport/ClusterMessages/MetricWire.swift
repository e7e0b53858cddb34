internal import CTraceProtos
internal import TraceMetrics
internal import TraceModel

extension MetricSnapshot: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__MetricSnapshot

    static var unpack: Unpack { unsafe trace_processor__cluster__metric_snapshot__unpack }
    static var free: Free { unsafe trace_processor__cluster__metric_snapshot__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        var status: RouterStatus?
        if let router = unsafe wire.router { status = unsafe try RouterStatus(router.pointee) }
        unsafe self.init(
            process: unsafe try readText(wire.process),
            incarnation: wire.incarnation,
            pid: wire.pid,
            appliedLSN: wire.applied_lsn,
            checkpointLSN: wire.checkpoint_lsn,
            headLSN: wire.head_lsn,
            own: unsafe try readMessages(wire.n_own, wire.own),
            router: status
        )
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__metric_snapshot__init(&wire)
        unsafe wire.process = arena.text(process)
        unsafe wire.incarnation = incarnation
        unsafe wire.pid = pid
        unsafe wire.applied_lsn = appliedLSN
        unsafe wire.checkpoint_lsn = checkpointLSN
        unsafe wire.head_lsn = headLSN
        unsafe wire.n_own = own.count
        unsafe wire.own = arena.messages(own)
        if let router { unsafe wire.router = arena.place(router.wire(in: &arena)) }
        return unsafe wire
    }
}

extension MetricSample: @unsafe WireMessage {
    typealias Wire = TraceProcessor__Cluster__MetricSample

    /// Does not check that the sample fits its family: the receiver does, so that a bad sample is rejected alone.
    init(_ wire: borrowing Wire) throws(TraceError) {
        let number = unsafe wire.family
        guard let family = UInt16(exactly: number).flatMap(MetricFamily.init(rawValue:)) else {
            throw TraceError(.corrupt, "\(number) is not a metric family")
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
        case .counter(let number), .gauge(let number): unsafe wire.value = number
        case .histogram(let buckets, let sum):
            unsafe wire.n_buckets = buckets.count
            unsafe wire.buckets = arena.array(buckets)
            unsafe wire.sum = sum
        }
        return unsafe wire
    }
}

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

extension RouterStatus: @unsafe TopLevelMessage {
    typealias Wire = TraceProcessor__Cluster__RouterStatus

    static var unpack: Unpack { unsafe trace_processor__cluster__router_status__unpack }
    static var free: Free { unsafe trace_processor__cluster__router_status__free_unpacked }

    init(_ wire: borrowing Wire) throws(TraceError) {
        unsafe self.init(
            headLSN: wire.head_lsn,
            receivedEvents: wire.received_events,
            deduplicatedEvents: wire.deduplicated_events,
            rejectedEvents: wire.rejected_events,
            deadLetteredEvents: wire.dead_lettered_events,
            workers: unsafe try readMessages(wire.n_workers, wire.workers),
            window: wire.window,
            draining: wire.draining != 0,
            accepting: wire.accepting != 0,
            uncertainEvents: wire.uncertain_events
        )
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__router_status__init(&wire)
        unsafe wire.head_lsn = headLSN
        unsafe wire.received_events = receivedEvents
        unsafe wire.deduplicated_events = deduplicatedEvents
        unsafe wire.rejected_events = rejectedEvents
        unsafe wire.dead_lettered_events = deadLetteredEvents
        unsafe wire.n_workers = workers.count
        unsafe wire.workers = arena.messages(workers)
        unsafe wire.window = window
        unsafe wire.draining = draining ? 1 : 0
        unsafe wire.accepting = accepting ? 1 : 0
        unsafe wire.uncertain_events = uncertainEvents
        return unsafe wire
    }
}

extension WorkerLink: @unsafe WireMessage {
    typealias Wire = TraceProcessor__Cluster__WorkerLink

    init(_ wire: borrowing Wire) throws(TraceError) {
        unsafe self.init(
            worker: unsafe try readWorker(wire.worker),
            connected: wire.connected != 0,
            lagBytes: wire.lag_bytes
        )
    }

    func wire(in arena: inout WireArena) -> Wire {
        var wire = unsafe Wire()
        unsafe trace_processor__cluster__worker_link__init(&wire)
        unsafe wire.worker = arena.text(worker.description)
        unsafe wire.connected = connected ? 1 : 0
        unsafe wire.lag_bytes = lagBytes
        return unsafe wire
    }
}
