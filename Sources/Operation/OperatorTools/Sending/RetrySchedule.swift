/// Decides what follows an attempt to send one batch: no clock, no I/O, no randomness of its own.
package struct RetrySchedule: Sendable {
    package enum Decision: Sendable, Equatable {
        case done
        case wait(seconds: Double)
        case fail(reason: String)
    }

    package static let firstWaitSeconds = 0.1
    package static let longestWaitSeconds = 5.0
    /// The most that is waited because a server asks for it.
    package static let longestAskedWaitSeconds = 60.0

    /// Seconds since the first attempt after which a retryable failure is final; nil: never.
    package let giveUpAfterSeconds: Double?
    package private(set) var retries = 0

    package init(giveUpAfterSeconds: Double?) {
        self.giveUpAfterSeconds = giveUpAfterSeconds
    }

    /// What to do now. `elapsedSeconds`: since the first attempt at this batch. `jitter` in 0–1
    /// spreads clients that were refused together over half of the wait.
    package mutating func next(
        after outcome: AttemptOutcome,
        elapsedSeconds: Double,
        jitter: Double
    ) -> Decision {
        switch outcome {
        case .accepted:
            return .done
        case .refused(let reason):
            return .fail(reason: reason)
        case .retry(let reason, let asked):
            let doubled = Self.firstWaitSeconds * Double(1 << min(retries, 10))
            let ours = min(doubled, Self.longestWaitSeconds) * (0.5 + 0.5 * jitter)
            // What the server asks for is a floor: it knows when room is expected.
            let wait = max(ours, min(asked ?? 0, Self.longestAskedWaitSeconds))
            if let giveUpAfterSeconds, elapsedSeconds + wait > giveUpAfterSeconds {
                return .fail(reason: "\(reason) (gave up after \(retries + 1) attempts)")
            }
            retries += 1
            return .wait(seconds: wait)
        }
    }
}
