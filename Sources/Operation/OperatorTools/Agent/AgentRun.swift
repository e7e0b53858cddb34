import SystemIO
import TraceModel

/// Runs `tracectl agent`: samples and sends until the time is over or the user stops it.
package struct AgentRun {
    private var sampler: HostSampler
    private let session: BatchSession
    private let stop: StopSignal
    /// Called after each sample with its number and the events acknowledged so far.
    package var onSample: ((_ samples: Int, _ events: Int) -> Void)?
    package private(set) var samples = 0
    /// Samples that were skipped because the server made the agent wait for longer than an interval.
    package private(set) var missedSamples = 0

    package init(sampler: HostSampler, session: BatchSession, stop: StopSignal) {
        self.sampler = sampler
        self.session = session
        self.stop = stop
    }

    package var processesLeftOut: Int { sampler.processesLeftOut }
    package var socketsLeftOut: Int { sampler.socketsLeftOut }
    package var namesLeftOut: Int { sampler.namesLeftOut }

    /// Samples at the start and then at every whole interval, for `durationSeconds` (nil means until stopped). Blocks.
    /// Returns at the end of the time or on the stop signal.
    /// - Throws: Any error of sending.
    package mutating func run(intervalSeconds: Double, durationSeconds: Double?) throws {
        let start = WallClock.monotonic()
        let elapsed = { Double(WallClock.monotonic() - start) / 1e9 }
        var tick = 0
        while true {
            do {
                try sampler.sample(now: WallClock.now, into: session)
                try session.flush()
            } catch is Interrupted { return }
            samples += 1
            onSample?(samples, session.acknowledgedEvents)
            let due = max(tick + 1, Int((elapsed() / intervalSeconds).rounded(.up)))
            missedSamples += due - (tick + 1)
            tick = due
            let next = Double(tick) * intervalSeconds
            let end = durationSeconds.map { min($0, next) } ?? next
            if stop.wait(seconds: end - elapsed()) { return }
            if let durationSeconds, next > durationSeconds { return }
        }
    }
}

/// The result of `tracectl agent`.
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
        let counts = events.sorted { $0.key < $1.key }.map {
            "\($0.key) \(Report.grouped($0.value))"
        }.joined(
            separator: ", "
        )
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
        ] where count > 0 { lines.append("\(count) \(what)") }
        return lines.joined(separator: "\n")
    }
}
