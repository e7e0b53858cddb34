import TraceModel

/// What `tracectl agent` did.
package struct AgentSummary: Encodable, Sendable {
    package var seconds: Double
    package var samples: Int
    package var missedSamples: Int
    /// Acknowledged events by resource.
    package var events: [String: Int]
    package var unacknowledgedEvents: Int
    package var processesLeftOut: Int
    package var socketsLeftOut: Int
    package var namesLeftOut: Int
    package var batches: Int
    package var retries: Int

    package init(run: AgentRun, session: BatchSession, sender: RetryingSender, seconds: Double) {
        self.seconds = (seconds * 1000).rounded() / 1000
        samples = run.samples
        missedSamples = run.missedSamples
        var events: [String: Int] = [:]
        for resource in [Resource.cpu, .memory, .io, .network] {
            events[resource.name] = session.acknowledged[resource] ?? 0
        }
        self.events = events
        unacknowledgedEvents = session.pendingEvents
        processesLeftOut = run.processesLeftOut
        socketsLeftOut = run.socketsLeftOut
        namesLeftOut = run.namesLeftOut
        batches = sender.batches
        retries = sender.retries
    }

    package var text: String {
        let counts = events.sorted { $0.key < $1.key }
            .map { "\($0.key) \(Report.grouped($0.value))" }.joined(separator: ", ")
        var lines = [
            "\(samples) samples in \(seconds) s, \(batches) batches, \(retries) retries",
            "events: \(counts)",
        ]
        for (count, what) in [
            (missedSamples, "samples missed while the server made the agent wait"),
            (unacknowledgedEvents, "events not acknowledged"),
            (processesLeftOut, "samples of processes beyond the limit left out"),
            (socketsLeftOut, "samples of sockets beyond the limit left out"),
            (namesLeftOut, "names of processes and threads beyond the limit left out"),
        ] where count > 0 {
            lines.append("\(count) \(what)")
        }
        return lines.joined(separator: "\n")
    }
}
