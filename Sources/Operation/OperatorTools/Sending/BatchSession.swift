package import TraceModel
package import TraceWire

/// Gathers events into batches of a fixed size and sends each as it fills. Holds at most one batch,
/// so memory stays bounded while the server makes it wait. Every batch says that its fields mean what
/// `Semantics.cumulative` says.
package final class BatchSession: EventSink {
    private let sender: RetryingSender
    private var identity: ClientIdentity
    private let host: String
    private let batchEventsMax: Int
    private var encoder = BatchEncoder()
    /// Acknowledged events by resource.
    package private(set) var acknowledged: [Resource: Int] = [:]
    private var pending: [Resource: Int] = [:]
    private var pendingNames = 0

    /// `host`: the traced machine's name in every batch; empty: the server takes the peer's address.
    package init(
        sender: RetryingSender,
        identity: ClientIdentity,
        host: String,
        batchEventsMax: Int
    ) {
        precondition(batchEventsMax > 0)
        self.sender = sender
        self.identity = identity
        self.host = host
        self.batchEventsMax = batchEventsMax
    }

    package var acknowledgedEvents: Int { acknowledged.values.reduce(0, +) }

    /// Events gathered or sent but never acknowledged.
    package var pendingEvents: Int { encoder.eventCount }

    package func append(_ event: BatchEncoder.Function) throws {
        encoder.append(event)
        try added(.function)
    }

    package func append(_ event: BatchEncoder.CPU) throws {
        encoder.append(event)
        try added(.cpu)
    }

    package func append(_ event: BatchEncoder.Memory) throws {
        encoder.append(event)
        try added(.memory)
    }

    package func append(_ event: BatchEncoder.Network) throws {
        encoder.append(event)
        try added(.network)
    }

    package func append(_ event: BatchEncoder.IO) throws {
        encoder.append(event)
        try added(.io)
    }

    package func append(_ name: BatchEncoder.Name) throws {
        if pendingNames >= Limits.batchNamesMax { try flush() }
        encoder.append(name)
        pendingNames += 1
    }

    /// Sends what has been gathered. Blocks until acknowledged.
    package func flush() throws {
        guard encoder.eventCount > 0 || pendingNames > 0 else { return }
        var envelope = BatchEncoder.Envelope()
        envelope.clientID = identity.clientID
        envelope.sequence = identity.nextSequence()
        envelope.host = host
        envelope.semantics = .cumulative
        encoder.append(envelope)
        try sender.send([UInt8](encoder.bytes))
        encoder.removeAll()
        pendingNames = 0
        acknowledged.merge(pending, uniquingKeysWith: +)
        pending.removeAll(keepingCapacity: true)
    }

    private func added(_ resource: Resource) throws {
        pending[resource, default: 0] += 1
        if encoder.eventCount >= batchEventsMax { try flush() }
    }
}
