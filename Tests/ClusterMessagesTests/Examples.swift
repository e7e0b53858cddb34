import ClusterMessages
import TraceMetrics
import TraceModel

/// One message of each kind, with every field set to something of its own.
enum Examples {
    static let worker = WorkerName(resource: .gpu, index: 63)

    static let all: [ClusterMessage] = [
        .workerHello(
            WorkerHello(worker: worker, incarnation: 17, pid: 4_242, resumeLSN: 9, checkpointLSN: 8)
        ),
        .workerHello(
            WorkerHello(
                worker: worker,
                incarnation: 18,
                pid: 4_243,
                resumeLSN: 9,
                checkpointLSN: 8,
                claim: WorkerHello.Claim(lsn: 10, reason: "ended 3 times here")
            )
        ),
        .workerProgress(
            WorkerProgress(
                worker: worker,
                incarnation: .max,
                appliedLSN: 1 << 63,
                checkpointLSN: 5,
                window: 6,
                windowBytes: 7 << 40,
                mergeBytes: 8 << 40
            )
        ),
        .workerFenced(
            WorkerFenced(worker: worker, incarnation: 16, reason: "17 said hello, ü", isLost: true)
        ),
        .shareHeader(ShareHeader(fromLSN: 100, toLSN: 200, headLSN: 900)),
        .segmentsClosed(segments),
        .windowMerged(WindowMerged(resource: .io, window: 12, files: ["output/json/a", "b"])),
        .windowMerged(WindowMerged(resource: .cpu, window: 13, files: [], failure: "disk full")),
        .metricSnapshot(snapshot), .routerStatus(status),
        .heartbeat(Heartbeat(process: "aggregator", incarnation: 2, pid: 77)),
        .heartbeat(Heartbeat(process: "aggregator", incarnation: 2, pid: 77, unaccountedEvents: 0)),
        .workerWelcome(
            WorkerWelcome(
                lsn: 5,
                window: 3,
                windowBeginLSN: 4,
                owners: (0..<256).map { UInt16($0 % 64) }
            )
        ),
        .metricSeries(
            MetricSeries(
                process: "io.1",
                incarnation: 4,
                begins: true,
                sections: [0, 7, 255],
                renewedLSN: 1 << 40
            )
        ),
        .findings(
            WorkerFindings(
                worker: worker,
                incarnation: 17,
                window: 1 << 40,
                first: 3,
                lines: Array("{\"rule\":\"leak\"}\n{}\n".utf8)
            )
        ),
    ]

    static let segments = SegmentsClosed(
        worker: worker,
        window: 4,
        barrierLSN: 12_345,
        stem: "20240102_030405_4",
        slots: [
            SlotRange(slots: 0...0, fromLSN: 0, toLSN: 0),
            SlotRange(slots: 7...255, fromLSN: 10, toLSN: 12_345),
        ],
        files: [1, 0, 0, 0, 7],
        summary: [0, 1, 255, 0]
    )

    static let status = RouterStatus(
        headLSN: 1,
        receivedEvents: 2,
        deduplicatedEvents: 3,
        rejectedEvents: 4,
        deadLetteredEvents: 5,
        workers: [
            WorkerLink(worker: worker, connected: true, lagBytes: 6),
            WorkerLink(worker: WorkerName(resource: .io, index: 0), connected: false, lagBytes: 0),
        ],
        window: 7,
        draining: true,
        accepting: false,
        uncertainEvents: 8
    )

    static let snapshot = MetricSnapshot(
        process: "gpu.63",
        incarnation: 3,
        pid: 99,
        appliedLSN: 10,
        checkpointLSN: 9,
        headLSN: 11,
        own: samples,
        router: status
    )

    /// A sample of every family that is sent, so of every kind and number of labels.
    static let samples: [MetricSample] = MetricFamily.allCases.compactMap { family in
        let descriptor = family.descriptor
        guard descriptor.derivation == nil else { return nil }
        let number = Double(family.rawValue) + 0.5
        let value: MetricValue =
            switch descriptor.kind {
            case .counter: .counter(number)
            case .gauge: .gauge(-number)
            case .histogram:
                .histogram(
                    buckets: (0...descriptor.bounds.count).map { UInt64($0) << 32 },
                    sum: number
                )
            }
        return MetricSample(
            family: family,
            labels: descriptor.labels.map { "<\($0)>" },
            value: value
        )
    }
}
