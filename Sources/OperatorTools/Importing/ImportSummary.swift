import TraceModel

/// What `tracectl import` did.
package struct ImportSummary: Encodable, Sendable {
    package var file: String
    package var calls: Int
    package var threads: Int
    package var functions: Int
    package var eventsSent = 0
    /// Names of processes and threads sent.
    package var namesSent = 0
    package var batches = 0
    package var retries = 0
    package var skippedByPhase: [String: Int]
    package var malformedEvents: Int
    package var unmatchedEnds: Int
    package var truncatedCalls = 0
    package var unterminated: Bool
    package var placement: String
    /// Seconds since the epoch; nil in an empty recording.
    package var firstTime: Double?
    package var lastTime: Double?
    package var completed = false

    package init(file: String, recording: Recording, placement: RecordingPlacement) {
        self.file = file
        calls = recording.calls.count
        threads = recording.threads.count
        functions = recording.names.count
        skippedByPhase = recording.skippedByPhase
        malformedEvents = recording.malformed
        unmatchedEnds = recording.unmatchedEnds
        unterminated = recording.isUnterminated
        self.placement = placement.reason
        if let span = recording.span {
            let shift = placement.shift(span: span)
            firstTime = Double(span.first &+ shift) / 1e9
            lastTime = Double(span.last &+ shift) / 1e9
        }
    }

    package var text: String {
        var lines = [
            "\(completed ? "Imported" : "Interrupted while importing") \(file)",
            "  \(Report.grouped(calls)) calls of \(functions) functions in \(threads) threads"
                + (unterminated ? " (the file is cut off at its end)" : ""),
            "  \(Report.grouped(eventsSent)) events sent in \(batches) batches, \(retries) retries",
            "  \(placement)",
        ]
        if namesSent > 0 {
            lines.append("  \(Report.grouped(namesSent)) names of processes and threads sent")
        }
        let phases = skippedByPhase.sorted { $0.key < $1.key }
        if !phases.isEmpty {
            let list = phases.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            lines.append("  skipped, by phase: \(list)")
        }
        for (count, what) in [
            (malformedEvents, "events without a usable time or id skipped"),
            (unmatchedEnds, "ends without a begin skipped"),
            (truncatedCalls, "calls cut where their caller ended"),
        ] where count > 0 {
            lines.append("  \(count) \(what)")
        }
        return lines.joined(separator: "\n")
    }
}
