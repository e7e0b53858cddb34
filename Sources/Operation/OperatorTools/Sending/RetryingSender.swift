import SystemIO
import TraceModel

/// Sends batches one at a time, each until it is acknowledged, and always the same bytes again: with
/// `client_id` and `sequence` in them the server counts a batch once, however often it arrives.
package final class RetryingSender {
    private let transport: any BatchTransport
    private let stop: StopSignal
    private let giveUpAfterSeconds: Double?
    /// Called before the first attempt at a batch.
    package var onBegin: (() -> Void)?
    /// Told the reason and the wait in seconds, before each wait.
    package var onRetry: ((_ reason: String, _ seconds: Double) -> Void)?
    /// Called once a batch is acknowledged.
    package var onAcknowledged: (() -> Void)?

    package private(set) var batches = 0
    package private(set) var bytes = 0
    package private(set) var retries = 0

    package init(transport: any BatchTransport, stop: StopSignal, giveUpAfterSeconds: Double?) {
        self.transport = transport
        self.stop = stop
        self.giveUpAfterSeconds = giveUpAfterSeconds
    }

    /// Blocks until the server has acknowledged. Throws `TraceError` where it refuses for good or
    /// stays away for too long, `Interrupted` where the stop signal is raised during a wait.
    package func send(_ batch: [UInt8]) throws {
        var schedule = RetrySchedule(giveUpAfterSeconds: giveUpAfterSeconds)
        let start = WallClock.monotonic()
        onBegin?()
        while true {
            let outcome = transport.attempt(batch)
            let decision = schedule.next(
                after: outcome,
                elapsedSeconds: Double(WallClock.monotonic() - start) / 1e9,
                jitter: Double.random(in: 0...1)
            )
            switch decision {
            case .done:
                batches += 1
                bytes += batch.count
                onAcknowledged?()
                return
            case .fail(let reason):
                if case .refused = outcome { throw TraceError(.invalidArgument, reason) }
                throw TraceError(
                    .unreachable,
                    reason,
                    remedy:
                        "Look whether the cluster runs and is ready, with scripts/cluster status; --server names"
                        + " another one. Sending the same again counts nothing twice that has a client_id"
                )
            case .wait(let seconds):
                retries += 1
                if case .retry(let reason, _) = outcome { onRetry?(reason, seconds) }
                if stop.wait(seconds: seconds) { throw Interrupted() }
            }
        }
    }
}
