import TraceModel
import TraceWire

/// `tracectl deadletter replay`: sends a letter's events as new batches. Host, semantics and names are those of
/// the letter's batches. The batches' `client_id` and `sequence` follow from the letter, so that sending them
/// again counts for nothing.
package struct DeadLetterReplay {
    private let store: DeadLetterStore
    private let sender: RetryingSender
    private let stop: StopSignal

    package init(store: DeadLetterStore, sender: RetryingSender, stop: StopSignal) {
        self.store = store
        self.sender = sender
        self.stop = stop
    }

    /// Blocks until the server has every batch, then marks the letter.
    /// - Throws: `TraceError` where the server refuses one, `Interrupted` where the stop signal is raised.
    package func send(_ letter: DeadLetter) throws {
        try store.forEachBatch(of: letter) { batch, number in
            if stop.isRaised { throw Interrupted() }
            try sender.send(batch + Self.envelope(of: letter, batch: number))
            return true
        }
        try store.markReplayed(letter)
    }

    /// A new client each time the server's memory for one client's sequences is used up.
    static func envelope(of letter: DeadLetter, batch number: Int) -> [UInt8] {
        let client = number / Limits.dedupSequencesMax
        let content = String(letter.crc32c, radix: 16)
        var envelope = BatchEncoder.Envelope()
        envelope.clientID = "deadletter-\(letter.name ?? "")-\(content)-\(client)"
        envelope.sequence = UInt64(number % Limits.dedupSequencesMax + 1)
        var encoder = BatchEncoder(capacity: 512)
        encoder.append(envelope)
        return Array(encoder.bytes)
    }
}

/// What `tracectl deadletter replay` did.
package struct ReplaySummary: Encodable, Sendable {
    package let letters: Int
    package let events: Int
    package let completed: Bool

    package init(letters: Int, events: Int, completed: Bool) {
        self.letters = letters
        self.events = events
        self.completed = completed
    }

    package var text: String {
        "\(completed ? "Replayed" : "Stopped after") \(letters) letters with "
            + "\(Report.grouped(events)) events"
    }
}
