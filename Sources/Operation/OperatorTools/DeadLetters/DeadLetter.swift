package import TraceModel

/// One dead letter as its sidecar describes it.
package struct DeadLetter: Codable, Sendable {
    package let worker: String
    package let resource: String
    /// `crash` or `skip`.
    package let cause: String
    package let reason: String
    package let fromLsn: LSN
    package let toLsn: LSN
    package let events: Int
    package let batches: Int
    package let bytes: Int
    package let crc32c: UInt32
    /// The first few of the hosts that the events came from.
    package let hosts: [String]
    package let firstArrivalNs: Int64
    package let lastArrivalNs: Int64
    /// Not in the sidecar: the letter's name, and whether its events were sent again.
    package internal(set) var name: String?
    package internal(set) var replayed: Bool?

    var isReplayed: Bool { replayed ?? false }
}

/// `tracectl deadletter list --json`.
package struct DeadLetterList: Encodable, Sendable {
    package let letters: [DeadLetter]

    package init(letters: [DeadLetter]) { self.letters = letters }

    /// A line a letter, the oldest log position first.
    package var text: String {
        guard !letters.isEmpty else { return "No events have been set aside." }
        return letters.map { letter in
            let state = letter.isReplayed ? "replayed" : "set aside"
            let events = "\(Report.grouped(letter.events)) events"
            return "\(letter.name ?? "")  \(events), \(state): \(letter.reason)"
        }.joined(separator: "\n")
    }
}
