import SystemIO
import TraceModel
import TraceWire

/// `tracectl send`: every batch of some files, in order, each until acknowledged.
package final class SendRun {
    private let sender: RetryingSender
    private var identity: ClientIdentity
    private var index = EventIndex()
    /// Told bytes done and bytes in all after each batch.
    package var onProgress: ((_ done: Int, _ total: Int) -> Void)?
    package private(set) var events = 0

    package init(sender: RetryingSender, identity: ClientIdentity) {
        self.sender = sender
        self.identity = identity
    }

    /// Throws at the first batch that can't be read or is refused, naming file and batch.
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
            let (count, isAnonymous) = try inspect(batch)
            try sender.send(isAnonymous ? named(batch) : batch)
            events += count
        } catch let error as TraceError {
            throw TraceError(error.code, "\(name): \(error.message)", remedy: error.remedy)
        }
    }

    /// The server's own check, so that a file which is no batch fails here, by its name. Anonymous: the
    /// server would not recognize a second copy, and the sender may name it.
    private func inspect(_ batch: [UInt8]) throws -> (events: Int, isAnonymous: Bool) {
        try batch.withUnsafeBytes { bytes in
            do throws(WireError) {
                let summary = try BatchScanner.scan(bytes, into: &index)
                return (summary.total, !summary.hasClientID && !summary.hasSequence)
            } catch {
                throw TraceError(
                    .invalidArgument,
                    "not a TraceBatch: \(error)",
                    remedy: "Several batches in one file need the name to end in .pbs"
                )
            }
        }
    }

    /// The batch with our client_id and the next sequence after its own fields.
    private func named(_ batch: [UInt8]) -> [UInt8] {
        var envelope = BatchEncoder.Envelope()
        envelope.clientID = identity.clientID
        envelope.sequence = identity.nextSequence()
        var encoder = BatchEncoder(capacity: 512)
        encoder.append(envelope)
        return batch + encoder.bytes
    }
}
