import TraceModel

/// What `tracectl import` did. Each event that was read counts once: as imported, or under why it was skipped.
package struct ImportSummary: Encodable, Sendable {
    /// A process or thread whose id on the wire is another than in the recording.
    package struct Renumbered: Encodable, Sendable {
        /// The process's id in the recording; of a thread, its own beside it.
        package var pid: String
        package var tid: String?
        /// What it became.
        package var number: UInt32
    }

    /// Of those that were renumbered so many are named.
    private static let renumberedNamedMax = 1_000
    private static let renumberedShownMax = 4
    private static let idShownBytesMax = 256

    package var file: String
    package var calls: Int
    package var threads: Int
    package var functions: Int
    package var eventsSent = 0
    /// Names of processes and threads sent.
    package var namesSent = 0
    package var batches = 0
    package var retries = 0
    /// Events in the recording.
    package var eventsRead: Int
    /// Of these, those that calls and names were made of.
    package var eventsImported: Int
    /// Of these, those of phases that are not imported, by phase.
    package var skippedByPhase: [String: Int]
    /// All others, by reason.
    package var skipped: [String: Int]
    /// Of these, those that are not as the format wants them.
    package var malformedEvents: Int
    package var unmatchedEnds: Int
    /// Calls without an end of their own.
    package var unfinishedCalls: Int
    /// Of these, those that had one more than a year behind all else.
    package var farEnds: Int
    package var truncatedCalls = 0
    package var unterminated: Bool
    /// Bytes behind the document's end that were not read.
    package var strayBytes: Int
    package var renumberedProcesses: Int
    package var renumberedThreads: Int
    package var renumbered: [Renumbered]
    package var placement: String
    /// Seconds since the epoch; nil in an empty recording.
    package var firstTime: Double?
    package var lastTime: Double?
    package var completed = false

    package init(file: String, recording: Recording, placement: RecordingPlacement) {
        self.file = file
        calls = recording.calls.count
        threads = recording.threads.count { $0.hasCalls }
        functions = Set(recording.calls.lazy.map(\.name)).count
        eventsRead = recording.eventsRead
        eventsImported = recording.eventsImported
        skippedByPhase = recording.skippedByPhase
        skipped = Dictionary(
            uniqueKeysWithValues: recording.skipped.map { ($0.key.rawValue, $0.value) }
        )
        malformedEvents = recording.skipped.reduce(0) { $0 + ($1.key.isMalformed ? $1.value : 0) }
        unmatchedEnds = recording.skipped[.endWithoutBegin] ?? 0
        unfinishedCalls = recording.unfinishedCalls
        farEnds = recording.farEnds
        unterminated = recording.isUnterminated
        strayBytes = recording.strayBytes
        let processes = recording.processes.filter { $0.hasCalls && $0.isRenumbered }
        let threads = recording.threads.filter { $0.hasCalls && $0.isRenumbered }
        renumberedProcesses = processes.count
        renumberedThreads = threads.count
        let named =
            processes.prefix(Self.renumberedNamedMax).map {
                Renumbered(pid: Self.shown($0.id), tid: nil, number: $0.pid)
            }
            + threads.prefix(Self.renumberedNamedMax).map {
                Renumbered(
                    pid: Self.shown(recording.processes[Int($0.process)].id),
                    tid: Self.shown($0.id),
                    number: $0.tid
                )
            }
        renumbered = Array(named.prefix(Self.renumberedNamedMax))
        self.placement = placement.reason
        if let span = recording.span {
            let shift = placement.shift(span: span)
            firstTime = Double(span.first &+ shift) / 1e9
            lastTime = Double(span.last &+ shift) / 1e9
        }
        assert(
            eventsRead == eventsImported + recording.eventsSkipped,
            "an event that was read is missing in the account"
        )
    }

    private static func shown(_ id: RecordedID) -> String {
        var text = id.shown
        return text.withUTF8 {
            unsafe ByteView(UnsafeRawBufferPointer($0)).cut(at: idShownBytesMax).string
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
        let skippedEvents = eventsRead - eventsImported
        lines.append(
            "  \(Report.grouped(eventsRead)) events read: \(Report.grouped(eventsImported)) imported, "
                + "\(Report.grouped(skippedEvents)) skipped"
        )
        let phases = skippedByPhase.sorted { $0.key < $1.key }
        if !phases.isEmpty {
            let list = phases.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
            lines.append("  skipped, by phase: \(list)")
        }
        for reason in SkipReason.allCases {
            guard let count = skipped[reason.rawValue] else { continue }
            lines.append("  skipped: \(Report.grouped(count)) \(reason.text)")
        }
        for (count, what) in [
            (unfinishedCalls, "calls without an end of their own"),
            (farEnds, "of these with one more than a year behind all other events"),
            (truncatedCalls, "calls cut where their caller ended"),
            (strayBytes, "bytes behind the document's end, which were not read"),
        ] where count > 0 { lines.append("  \(Report.grouped(count)) \(what)") }
        if !renumbered.isEmpty {
            lines.append(
                "  ids that do not fit: \(renumberedProcesses) processes and \(renumberedThreads) threads have others"
            )
            for one in renumbered.prefix(Self.renumberedShownMax) {
                let what =
                    one.tid.map { "thread \($0) of process \(one.pid)" } ?? "process \(one.pid)"
                lines.append("    \(what) is \(one.number)")
            }
            if renumbered.count > Self.renumberedShownMax {
                lines.append("    … (--json names more)")
            }
        }
        return lines.joined(separator: "\n")
    }
}
