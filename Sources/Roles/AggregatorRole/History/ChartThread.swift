import ActivityMonitoring
import Glibc
import Logging
import Synchronization
import SystemIO
import TraceMetrics
import TraceModel
import ZeroMQ

/// Takes the charts' points once a second, on a thread of its own because it reads all series and writes files.
final class ChartThread: Sendable {
    private let shared: SharedState
    private let history: Mutex<ChartHistory>
    private let archive: Mutex<ChartArchive>
    private let wakeup: Wakeup
    private let isStopping = Atomic(false)
    private let log: Logger

    /// Loads the points of earlier runs. Blocks.
    init(shared: SharedState, log: Logger) throws {
        self.shared = shared
        self.log = log
        wakeup = try Wakeup()
        var archive = ChartArchive()
        let (history, damages) = archive.load()
        for damage in damages {
            shared.withLock { $0.count(.aggregatorStateDamaged) }
            log.warning(
                "a file of the charts' points is damaged; those behind the damage are missing in the charts",
                metadata: ["file": "\(damage.path)", "why": "\(damage.why)"]
            )
        }
        self.history = Mutex(history)
        self.archive = Mutex(archive)
    }

    /// Starts the thread; it holds this object until `stop`.
    func start() -> DedicatedThread { DedicatedThread("charts") { self.run() } }

    /// Stops the thread, which stores the last points.
    func stop() {
        isStopping.store(true, ordering: .releasing)
        wakeup.signal()
    }

    /// Returns what a query asks for. Waits for at most one second's points to be added.
    func answer(_ query: SeriesQuery) -> SeriesAnswer { history.withLock { query.answer($0) } }

    private func run() {
        let poller = ZMQPoller()
        _ = poller.add(descriptor: wakeup.descriptor)
        var sampler = ChartSampler()
        var (sampledAt, savedAt) = (Int64(0), WallClock.monotonic())
        var failure = Recurrence()
        while true {
            let now = WallClock.now()
            let untilNext = 1_000 - Int(now / 1_000_000 % 1_000)
            poller.wait(milliseconds: untilNext)
            wakeup.clear()
            let isStopping = isStopping.load(ordering: .acquiring)
            let second = Int64(WallClock.now() / 1_000_000_000)
            if second != sampledAt {
                // Whole seconds, so that the sum of the points is what was counted, however late this thread runs.
                let passed = Double(second - sampledAt)
                let totals = shared.withLock { $0.store.chartTotals(after: passed) }
                let samples = sampler.samples(of: totals, after: passed)
                sampledAt = second
                history.withLock { $0.append(samples, at: second) }
            }
            let monotonic = WallClock.monotonic()
            if isStopping || monotonic >= savedAt + Limits.chartSavingSeconds * 1_000_000_000 {
                savedAt = monotonic
                save(&failure)
            }
            if isStopping { return }
        }
    }

    private func save(_ failure: inout Recurrence) {
        // A copy shares the arrays: nothing is copied unless a second passes meanwhile.
        let points = history.withLock { $0 }
        do {
            try archive.withLock { (archive) throws(SystemError) in try archive.save(points) }
            if failure.isOver() { log.info("the charts' points are saved again") }
        } catch {
            guard failure.isNew("\(error)") else { return }
            log.error(
                "the charts' points could not be saved; those of this minute will be missing after a restart",
                metadata: ["why": "\(error)"]
            )
        }
    }
}
