package import TraceModel

/// One dead letter: which worker's events, from which LSN on, and why. Its files lie in `deadletters/`.
///
/// `<name>.pbs` holds the events as `TraceBatch` messages, each with its length as a varint before it: the
/// events' bytes as they came, with the host they came from. `<name>.json` says what they are; it stands
/// under this name only once the verdict is in the log. `<name>.replayed` stands once the batches were sent
/// again.
package struct DeadLetterName: Hashable, Sendable, CustomStringConvertible {
    package let worker: WorkerName
    package let from: LSN
    package let cause: VerdictPayload.Cause

    package init(worker: WorkerName, from: LSN, cause: VerdictPayload.Cause) {
        self.worker = worker
        self.from = from
        self.cause = cause
    }

    /// The letter behind a verdict.
    package init(_ verdict: VerdictPayload) {
        self.init(
            worker: verdict.worker,
            from: verdict.range.lowerBound,
            cause: verdict.cause
        )
    }

    /// Reads `function.0-4711-crash`; nil where the text is no letter's name.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, let worker = WorkerName(String(parts[0])),
            let from = LSN(parts[1]), let cause = VerdictPayload.Cause(name: parts[2])
        else { return nil }
        self.init(worker: worker, from: from, cause: cause)
        // Another way to write the number would be a second name of one letter.
        guard description == text else { return nil }
    }

    package var description: String { "\(worker)-\(from)-\(cause.name)" }

    package static let sidecarSuffix = ".json"
    package static let pendingSuffix = ".json.pending"

    package var batches: String { "\(ClusterPaths.deadLetters)/\(self).pbs" }
    package var sidecar: String { "\(ClusterPaths.deadLetters)/\(self)\(Self.sidecarSuffix)" }
    /// The sidecar while no verdict says that the letter counts.
    package var pendingSidecar: String {
        "\(ClusterPaths.deadLetters)/\(self)\(Self.pendingSuffix)"
    }
    package var replayedMark: String { "\(ClusterPaths.deadLetters)/\(self).replayed" }
}
