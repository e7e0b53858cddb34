import Glibc
import SystemIO
package import TraceModel
package import TraceWire

/// The identity of one run of a client, under which the server keeps the run's sequence numbers.
package struct ClientIdentity: Sendable {
    package let clientID: String
    private(set) var lastSequence: UInt64 = 0

    /// Makes a unique identity from host, process id and 64 random bits.
    package init() {
        let random = String(UInt64.random(in: 1 ... .max), radix: 16)
        let host = String(Self.hostName.prefix(64))
        self.init(clientID: "tracectl-\(host)-\(getpid())-\(random)")
    }

    package init(clientID: String) {
        precondition(clientID.utf8.count <= Limits.clientIDBytesMax)
        self.clientID = clientID
    }

    /// Returns 1, 2, 3 and so on.
    package mutating func nextSequence() -> UInt64 {
        lastSequence += 1
        return lastSequence
    }

    private static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard unsafe gethostname(&name, name.count - 1) == 0 else { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// Collects events into batches of a fixed size and sends each one when it is full. Holds at most one batch, so that
/// memory stays bounded while the server makes it wait. Every batch states `Semantics.cumulative`.
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

    /// - Parameter host: The traced machine's name in every batch; empty lets the server use the peer's address.
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

    /// Events collected or sent that have not been acknowledged.
    package var pendingEvents: Int { encoder.eventCount }

    /// Adds a `function` event to the current batch, and sends the batch once it is full.
    package func append(_ event: BatchEncoder.Function) throws {
        encoder.append(event)
        try added(.function)
    }

    /// Adds a `cpu` event, like the first `append`.
    package func append(_ event: BatchEncoder.CPU) throws {
        encoder.append(event)
        try added(.cpu)
    }

    /// Adds a `memory` event, like the first `append`.
    package func append(_ event: BatchEncoder.Memory) throws {
        encoder.append(event)
        try added(.memory)
    }

    /// Adds a `network` event, like the first `append`.
    package func append(_ event: BatchEncoder.Network) throws {
        encoder.append(event)
        try added(.network)
    }

    /// Adds an `io` event, like the first `append`.
    package func append(_ event: BatchEncoder.IO) throws {
        encoder.append(event)
        try added(.io)
    }

    /// Adds a name. Sends the current batch first if it already has `Limits.batchNamesMax` names.
    package func append(_ name: BatchEncoder.Name) throws {
        if pendingNames >= Limits.batchNamesMax { try flush() }
        encoder.append(name)
        pendingNames += 1
    }

    /// Sends the collected events. Blocks until they are acknowledged.
    package func flush() throws {
        guard encoder.eventCount > 0 || pendingNames > 0 else { return }
        var envelope = BatchEncoder.Envelope()
        envelope.clientID = identity.clientID
        envelope.sequence = identity.nextSequence()
        envelope.host = host
        envelope.semantics = .cumulative
        encoder.append(envelope)
        try unsafe sender.send([UInt8](encoder.bytes))
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

/// What every sending command needs: a connection, retries, handling of Ctrl-C, and a progress line.
package final class SendingSession {
    /// How long a command with a fixed amount of work waits for one batch to be accepted.
    package static let acceptSecondsMax = 60

    package let stop: StopSignal
    package let sender: RetryingSender
    package let progress = ProgressLine()
    private let transport: GRPCBatchTransport
    /// Reports waiting where there is no terminal for the progress line.
    private var reporter: WaitReporter?
    private let startedAt = WallClock.monotonic()

    /// Makes a session. Call it before any other thread starts, because it takes over SIGINT and SIGTERM. `close` must
    /// always be called.
    /// - Parameter giveUpAfterSeconds: The time limit for one batch; nil means never.
    package init(server: ServerConnection, giveUpAfterSeconds: Double?) throws {
        stop = try StopSignal()
        stop.raiseOnInterrupt()
        transport = GRPCBatchTransport(server: server)
        sender = RetryingSender(
            transport: transport,
            stop: stop,
            giveUpAfterSeconds: giveUpAfterSeconds
        )
        if Terminal.error.isTerminal {
            sender.onRetry = { [progress] reason, seconds in
                let wait = (seconds * 10).rounded() / 10
                progress.update("Waiting \(wait) s: \(server.server): \(reason)")
            }
        } else {
            let reporter = WaitReporter(of: server.server)
            sender.onBegin = { reporter.begin() }
            sender.onRetry = { reason, _ in reporter.failed(reason) }
            sender.onAcknowledged = { reporter.end() }
            self.reporter = reporter
        }
    }

    /// Ends the connection and removes the progress line.
    package func close() {
        reporter?.stop()
        progress.clear()
        transport.close()
    }

    /// Seconds since the session began.
    package var elapsedSeconds: Double { Double(WallClock.monotonic() - startedAt) / 1e9 }

    /// Makes a session that collects events into batches of `eventsMax`.
    package func batches(host: String, eventsMax: Int) -> BatchSession {
        BatchSession(
            sender: sender,
            identity: ClientIdentity(),
            host: host,
            batchEventsMax: eventsMax
        )
    }

    /// Runs the work; returns false where Ctrl-C ended it, and rethrows every other error. The progress line is removed
    /// afterwards, so that the summary stands alone.
    @discardableResult package func runInterruptibly(_ work: () throws -> Void) throws -> Bool {
        defer { progress.clear() }
        do {
            try work()
            return true
        } catch is Interrupted { return false }
    }
}
