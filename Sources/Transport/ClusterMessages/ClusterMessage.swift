internal import CTraceProtos
package import TraceMetrics
package import TraceModel

/// Every message between router, workers and aggregator: the first frame of each ZeroMQ message. One byte gives the
/// kind; the rest is protobuf (Protos/cluster.proto).
package enum ClusterMessage: Sendable, Equatable {
    case workerHello(WorkerHello)
    case workerProgress(WorkerProgress)
    case workerFenced(WorkerFenced)
    case shareHeader(ShareHeader)
    case segmentsClosed(SegmentsClosed)
    case windowMerged(WindowMerged)
    case metricSnapshot(MetricSnapshot)
    case routerStatus(RouterStatus)
    case heartbeat(Heartbeat)
    case workerWelcome(WorkerWelcome)
    case metricSeries(MetricSeries)
    case findings(WorkerFindings)

    /// The first byte. A value is never reused for another message.
    private enum Kind: UInt8 {
        case workerHello = 1
        case workerProgress = 2
        case workerFenced = 3
        case shareHeader = 4
        case segmentsClosed = 5
        case windowMerged = 6
        case metricSnapshot = 7
        case routerStatus = 8
        case heartbeat = 9
        case workerWelcome = 10
        case metricSeries = 11
        case findings = 12
    }

    /// Encodes the frame.
    ///
    /// - Throws: `.exhausted` above `Limits.clusterMessageBytesMax`.
    package func encode() throws(TraceError) -> [UInt8] {
        switch self {
        case .workerHello(let message): unsafe try frame(.workerHello, message)
        case .workerProgress(let message): unsafe try frame(.workerProgress, message)
        case .workerFenced(let message): unsafe try frame(.workerFenced, message)
        case .shareHeader(let message): unsafe try frame(.shareHeader, message)
        case .segmentsClosed(let message): unsafe try frame(.segmentsClosed, message)
        case .windowMerged(let message): unsafe try frame(.windowMerged, message)
        case .metricSnapshot(let message): unsafe try frame(.metricSnapshot, message)
        case .routerStatus(let message): unsafe try frame(.routerStatus, message)
        case .heartbeat(let message): unsafe try frame(.heartbeat, message)
        case .workerWelcome(let message): unsafe try frame(.workerWelcome, message)
        case .metricSeries(let message): unsafe try frame(.metricSeries, message)
        case .findings(let message): unsafe try frame(.findings, message)
        }
    }

    /// Decodes a frame into a copy.
    ///
    /// - Throws: `.corrupt` for everything that `encode` does not write: an unknown kind, too many bytes, invalid
    ///   protobuf, a number out of range.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(TraceError) {
        // Checked first, because protobuf-c may allocate many times the size of what it unpacks.
        guard bytes.count <= Limits.clusterMessageBytesMax + 1 else {
            throw TraceError(.corrupt, "a message of \(bytes.count) bytes is too large")
        }
        guard let first = unsafe bytes.first, let kind = Kind(rawValue: first) else {
            throw TraceError(.corrupt, "a message of an unknown kind")
        }
        let body = unsafe UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
        self =
            switch kind {
            case .workerHello: .workerHello(unsafe try .unpacked(body))
            case .workerProgress: .workerProgress(unsafe try .unpacked(body))
            case .workerFenced: .workerFenced(unsafe try .unpacked(body))
            case .shareHeader: .shareHeader(unsafe try .unpacked(body))
            case .segmentsClosed: .segmentsClosed(unsafe try .unpacked(body))
            case .windowMerged: .windowMerged(unsafe try .unpacked(body))
            case .metricSnapshot: .metricSnapshot(unsafe try .unpacked(body))
            case .routerStatus: .routerStatus(unsafe try .unpacked(body))
            case .heartbeat: .heartbeat(unsafe try .unpacked(body))
            case .workerWelcome: .workerWelcome(unsafe try .unpacked(body))
            case .metricSeries: .metricSeries(unsafe try .unpacked(body))
            case .findings: .findings(unsafe try .unpacked(body))
            }
    }

    private func frame(_ kind: Kind, _ message: some TopLevelMessage) throws(TraceError) -> [UInt8]
    {
        var bytes = [kind.rawValue]
        try message.pack(into: &bytes)
        return bytes
    }
}

/// Any process to any other: a sign of life when nothing else is sent, and the first message to a peer that has to
/// learn the sender.
package struct Heartbeat: Sendable, Equatable {
    /// `function.0`, `router`, `aggregator`.
    package var process: String
    /// Increases with each start of the process.
    package var incarnation: UInt64
    package var pid: UInt32
    /// From the aggregator while the cluster is idle: received events that no worker has counted; nil if unknown.
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
