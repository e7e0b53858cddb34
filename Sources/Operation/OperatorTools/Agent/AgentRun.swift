import SystemIO
import TraceModel

/// `tracectl agent`: samples and sends until its time is over or a person ends it.
package struct AgentRun {
    private var sampler: HostSampler
    private let session: BatchSession
    private let stop: StopSignal
    /// Told after each sample: its number, events acknowledged so far.
    package var onSample: ((_ samples: Int, _ events: Int) -> Void)?
    package private(set) var samples = 0
    /// Samples not taken because the server made the agent wait for longer than an interval.
    package private(set) var missedSamples = 0

    package init(sampler: HostSampler, session: BatchSession, stop: StopSignal) {
        self.sampler = sampler
        self.session = session
        self.stop = stop
    }

    package var processesLeftOut: Int { sampler.processesLeftOut }
    package var socketsLeftOut: Int { sampler.socketsLeftOut }
    package var namesLeftOut: Int { sampler.namesLeftOut }

    /// Blocks. Samples at the start and then at every whole interval, for `durationSeconds` (nil: until
    /// stopped). Returns at the end of its time or at the stop signal; throws what sending throws.
    package mutating func run(intervalSeconds: Double, durationSeconds: Double?) throws {
        let start = WallClock.monotonic()
        let elapsed = { Double(WallClock.monotonic() - start) / 1e9 }
        var tick = 0
        while true {
            do {
                try sampler.sample(now: WallClock.now, into: session)
                try session.flush()
            } catch is Interrupted {
                return
            }
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
