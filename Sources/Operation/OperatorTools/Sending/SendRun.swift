import SystemIO
package import TraceModel
package import TraceWire

/// Takes events one by one; may block while it sends.
package protocol EventSink: AnyObject {
    func append(_ event: BatchEncoder.Function) throws
    func append(_ event: BatchEncoder.CPU) throws
    func append(_ event: BatchEncoder.Memory) throws
    func append(_ event: BatchEncoder.Network) throws
    func append(_ event: BatchEncoder.IO) throws
    /// Adds the name of a process or a thread, which is no event. It is sent with the next event.
    func append(_ name: BatchEncoder.Name) throws
}

/// The result of `tracectl send`.
package struct SendSummary: Encodable, Sendable {
    package var files: Int
    package var batches: Int
    package var events: Int
    package var bytes: Int
    package var retries: Int
    package var seconds: Double
    package var completed: Bool

    package init(files: Int, run: SendRun, sender: RetryingSender, seconds: Double, completed: Bool)
    {
        self.files = files
        batches = sender.batches
        events = run.events
        bytes = sender.bytes
        retries = sender.retries
        self.seconds = (seconds * 1000).rounded() / 1000
        self.completed = completed
    }

    package var text: String {
        "\(completed ? "Sent" : "Stopped after") \(Report.grouped(events)) events in \(batches) "
            + "batches (\(Report.grouped(bytes)) bytes, \(retries) retries, \(seconds) s)"
    }
}

/// Runs `tracectl send`: sends every batch of some files in order, each until it is acknowledged.
package final class SendRun {
    private let sender: RetryingSender
    private var identity: ClientIdentity
    private let semantics: Semantics
    private var index = EventIndex()
    /// Called after each batch with the bytes done and in all.
    package var onProgress: ((_ done: Int, _ total: Int) -> Void)?
    package private(set) var events = 0

    /// - Parameter semantics: The semantics for batches that do not state their own.
    package init(
        sender: RetryingSender,
        identity: ClientIdentity,
        semantics: Semantics = .cumulative
    ) {
        self.sender = sender
        self.identity = identity
        self.semantics = semantics
    }

    /// Sends all files; stops at the first batch that can't be read or is refused.
    /// - Throws: An error that names file and batch.
    package func send(paths: [String], stop: StopSignal) throws {
        let files = try paths.map { try BatchFile($0) }
        let total = files.reduce(0) { $0 + $1.size }
        var done = 0
        for file in files {
            var index = 0
            while let batch = try file.next() {
                if stop.isRaised { throw Interrupted() }
                index += 1
                try send(batch, name: "\(file.path), batch \(index)")
                onProgress?(done + file.offset, total)
            }
            done += file.size
        }
    }

    private func send(_ batch: [UInt8], name: String) throws {
        do {
            let (count, missing) = try inspect(batch)
            try sender.send(completed(batch, missing))
            events += count
        } catch let error as TraceError {
            throw TraceError(error.code, "\(name): \(error.message)", remedy: error.remedy)
        }
    }

    /// What a batch does not state itself.
    private struct Missing {
        /// True if both client_id and sequence are missing, so that the server would not recognize a second copy.
        let identity: Bool
        let semantics: Bool
    }

    /// Runs the server's own check, so that a file which is no batch fails here, by name.
    private func inspect(_ batch: [UInt8]) throws -> (events: Int, missing: Missing) {
        try unsafe batch.withUnsafeBytes { bytes in
            do throws(WireError) {
                let summary = try unsafe BatchScanner.scan(bytes, into: &index)
                let missing = Missing(
                    identity: !summary.hasClientID && !summary.hasSequence,
                    semantics: summary.semantics == nil
                )
                return (summary.total, missing)
            } catch {
                throw TraceError(
                    .invalidArgument,
                    "not a TraceBatch: \(error)",
                    remedy: "Several batches in one file need the name to end in .pbs"
                )
            }
        }
    }

    /// Appends what a batch does not state: our client_id and the next sequence, and the semantics.
    private func completed(_ batch: [UInt8], _ missing: Missing) -> [UInt8] {
        guard missing.identity || missing.semantics else { return batch }
        var envelope = BatchEncoder.Envelope()
        if missing.identity {
            envelope.clientID = identity.clientID
            envelope.sequence = identity.nextSequence()
        }
        if missing.semantics { envelope.semantics = semantics }
        var encoder = BatchEncoder(capacity: 512)
        encoder.append(envelope)
        return unsafe batch + encoder.bytes
    }
}
