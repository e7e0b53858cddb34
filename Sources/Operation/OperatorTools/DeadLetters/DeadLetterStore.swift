import Foundation
import IngestLog
import SystemIO
import TraceModel
import TraceWire

/// The dead letters of a data directory. Reads only files, so the cluster need not run.
package struct DeadLetterStore {
    private let directory: String

    /// Opens a data directory.
    /// - Throws: `TraceError(.notFound)` where it is none.
    package init(dataDirectory: String) throws {
        guard FileSystem.exists("\(dataDirectory)/\(ClusterPaths.manifest)") else {
            throw TraceError(
                .notFound,
                "\(dataDirectory) is no data directory",
                remedy: "Name a cluster's with --data"
            )
        }
        directory = dataDirectory
    }

    /// Returns all valid letters by log position; `skip` gets the error of each damaged one. Blocks.
    package func letters(skip: (any Error) -> Void) throws -> [DeadLetter] {
        let names = try FileSystem.list("\(directory)/\(ClusterPaths.deadLetters)").filter {
            $0.hasSuffix(DeadLetterName.sidecarSuffix)
        }.compactMap { DeadLetterName($0.dropLast(DeadLetterName.sidecarSuffix.count)) }
        return try names.sorted { ($0.from, "\($0)") < ($1.from, "\($1)") }.compactMap { name in
            do { return try read(name) } catch let error as TraceError where error.code == .corrupt
            {
                skip(error)
                return nil
            }
        }
    }

    /// Returns the letter with a name.
    /// - Throws: `TraceError(.notFound)` where there is no such letter.
    package func letter(_ text: String) throws -> DeadLetter {
        guard let name = DeadLetterName(text), FileSystem.exists(path(name.sidecar)) else {
            throw TraceError(
                .notFound,
                "no dead letter \(text)",
                remedy: "`tracectl deadletter list` names them"
            )
        }
        return try read(name)
    }

    private func read(_ name: DeadLetterName) throws -> DeadLetter {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let bytes = try FileSystem.contents(path(name.sidecar))
        do {
            var letter = try decoder.decode(DeadLetter.self, from: Data(bytes))
            letter.name = name.description
            letter.replayed = FileSystem.exists(path(name.replayedMark))
            return letter
        } catch {
            throw TraceError(
                .corrupt,
                "\(path(name.sidecar)) is damaged",
                remedy: "The events are beside it: `tracectl send \(path(name.batches))`"
            )
        }
    }

    /// Calls `visit` with each batch of a letter and its number from 0, until it returns false. The file's checksum is
    /// verified first. Holds one batch in memory. Blocks.
    func forEachBatch(
        of letter: DeadLetter,
        _ visit: (_ batch: [UInt8], _ number: Int) throws -> Bool
    ) throws {
        guard let name = letter.name.flatMap({ DeadLetterName($0) }) else { return }
        try check(path(name.batches), against: letter)
        let file = try BatchFile(path(name.batches))
        var number = 0
        while let batch = try file.next(), try visit(batch, number) { number += 1 }
    }

    private func check(_ path: String, against letter: DeadLetter) throws {
        let file = try File(path, .read)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var checksum: UInt32 = 0
        var offset = 0
        while true {
            let count = try unsafe buffer.withUnsafeMutableBytes { bytes in
                let count = try unsafe file.read(into: bytes, at: offset)
                checksum = unsafe Checksum.crc32c(.init(rebasing: bytes[..<count]), after: checksum)
                return count
            }
            if count == 0 { break }
            offset += count
        }
        guard offset == letter.bytes, checksum == letter.crc32c else {
            throw TraceError(.corrupt, "\(path) is damaged")
        }
    }

    /// Marks a letter all of whose batches were sent again.
    func markReplayed(_ letter: DeadLetter) throws {
        guard let name = letter.name.flatMap({ DeadLetterName($0) }) else { return }
        let empty = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        try unsafe FileSystem.publish(path(name.replayedMark), empty)
    }

    private func path(_ relative: String) -> String { "\(directory)/\(relative)" }
}

/// Runs `tracectl deadletter replay`: sends a letter's events as new batches, with the host, semantics and names of the
/// letter's batches. `client_id` and `sequence` are derived from the letter, so that repeating the replay counts no
/// event twice.
package struct DeadLetterReplay {
    private let store: DeadLetterStore
    private let sender: RetryingSender
    private let stop: StopSignal

    package init(store: DeadLetterStore, sender: RetryingSender, stop: StopSignal) {
        self.store = store
        self.sender = sender
        self.stop = stop
    }

    /// Sends every batch and marks the letter. Blocks until the server has acknowledged all of them.
    /// - Throws: `TraceError` where the server refuses a batch, `Interrupted` on the stop signal.
    package func send(_ letter: DeadLetter) throws {
        try store.forEachBatch(of: letter) { batch, number in
            if stop.isRaised { throw Interrupted() }
            try sender.send(batch + Self.envelope(of: letter, batch: number))
            return true
        }
        try store.markReplayed(letter)
    }

    /// Returns a batch's identity fields. A new client id begins where the server's memory for one client's sequences
    /// is used up.
    static func envelope(of letter: DeadLetter, batch number: Int) -> [UInt8] {
        let client = number / Limits.dedupSequencesMax
        let content = String(letter.crc32c, radix: 16)
        var envelope = BatchEncoder.Envelope()
        envelope.clientID = "deadletter-\(letter.name ?? "")-\(content)-\(client)"
        envelope.sequence = UInt64(number % Limits.dedupSequencesMax + 1)
        var encoder = BatchEncoder(capacity: 512)
        encoder.append(envelope)
        return unsafe Array(encoder.bytes)
    }
}

/// The result of `tracectl deadletter replay`.
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
