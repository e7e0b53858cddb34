import GRPCServices
import GRPCTransport
import SystemIO
import TraceModel

/// The result of one attempt to send a batch.
package enum AttemptOutcome: Sendable, Equatable {
    /// The batch is durable at the server.
    case accepted
    /// The same bytes may succeed later. `after` is the wait in seconds that the server asks for.
    case retry(reason: String, after: Double?)
    /// The same bytes will be refused again.
    case refused(reason: String)
}

/// The transport to the server as the sending logic sees it: one attempt, one outcome, no retries.
package protocol BatchTransport: AnyObject {
    /// Sends one serialized `TraceBatch` and blocks until the server has answered, or until the transport's own
    /// deadline. A lost connection is an outcome; the next attempt reconnects.
    func attempt(_ batch: [UInt8]) -> AttemptOutcome
}

/// Decides what follows an attempt to send one batch. Pure: no clock, no I/O, no randomness of its own.
package struct RetrySchedule: Sendable {
    /// What to do after an attempt.
    package enum Decision: Sendable, Equatable {
        case done
        case wait(seconds: Double)
        case fail(reason: String)
    }

    package static let firstWaitSeconds = 0.1
    package static let longestWaitSeconds = 5.0
    /// The longest wait that the server may ask for.
    package static let longestAskedWaitSeconds = 60.0

    /// Seconds since the first attempt after which a retryable failure is final; nil means never.
    package let giveUpAfterSeconds: Double?
    package private(set) var retries = 0

    package init(giveUpAfterSeconds: Double?) { self.giveUpAfterSeconds = giveUpAfterSeconds }

    /// Decides what follows an outcome.
    /// - Parameters:
    /// - elapsedSeconds: The time since the first attempt at this batch.
    /// - jitter: A number from 0 to 1, which spreads clients that were refused together over half of the wait.
    package mutating func next(
        after outcome: AttemptOutcome,
        elapsedSeconds: Double,
        jitter: Double
    ) -> Decision {
        switch outcome {
        case .accepted: return .done
        case .refused(let reason): return .fail(reason: reason)
        case .retry(let reason, let asked):
            let doubled = Self.firstWaitSeconds * Double(1 << min(retries, 10))
            let ours = min(doubled, Self.longestWaitSeconds) * (0.5 + 0.5 * jitter)
            // The server's wait is a lower bound: the server knows when it expects room.
            let wait = max(ours, min(asked ?? 0, Self.longestAskedWaitSeconds))
            if let giveUpAfterSeconds, elapsedSeconds + wait > giveUpAfterSeconds {
                return .fail(reason: "\(reason) (gave up after \(retries + 1) attempts)")
            }
            retries += 1
            return .wait(seconds: wait)
        }
    }
}

/// Sends batches one at a time, each until it is acknowledged and always with the same bytes: with the `client_id` and
/// `sequence` in them the server counts a batch once, however often it arrives.
package final class RetryingSender {
    private let transport: any BatchTransport
    private let stop: StopSignal
    private let giveUpAfterSeconds: Double?
    /// Called before the first attempt at a batch.
    package var onBegin: (() -> Void)?
    /// Called before each wait, with the reason and the wait in seconds.
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

    /// Sends a batch. Blocks until the server has acknowledged it.
    /// - Throws: `TraceError` where the server refuses it for good or is not available for too long, `Interrupted`
    ///   where the stop signal is raised during a wait.
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
                        "Check with scripts/cluster status that the cluster is ready, or name another one with"
                        + " --server. Batches with a client_id are not counted twice when they are sent again"
                )
            case .wait(let seconds):
                retries += 1
                if case .retry(let reason, _) = outcome { onRetry?(reason, seconds) }
                if stop.wait(seconds: seconds) { throw Interrupted() }
            }
        }
    }
}

/// Sends batches by `SendTraceBatch`. C-core reconnects by itself at the next call.
package final class GRPCBatchTransport: BatchTransport {
    private static let path = TracerService.Method.sendTraceBatch.path
    /// The server holds a call for 5 s before it refuses; a large message takes more time.
    private static let timeoutSeconds = 60.0

    private let server: ServerConnection
    private let client: GRPCClient

    /// `close` must always be called.
    package init(server: ServerConnection) {
        self.server = server
        client = server.client()
    }

    /// Closes the connection.
    package func close() { client.close() }

    /// Sends a batch once and returns the outcome. Blocks for at most 60 s.
    package func attempt(_ batch: [UInt8]) -> AttemptOutcome {
        do throws(GRPCCallError) {
            let response = try client.unary(Self.path, batch, timeoutSeconds: Self.timeoutSeconds)
            return Self.outcome(of: response)
        } catch {
            if let reason = server.refusal(error) { return .refused(reason: reason) }
            return Self.outcome(of: error)
        }
    }

    /// Interprets a response. A server of the original's kind answers OK without success where it failed temporarily.
    private static func outcome(of response: [UInt8]) -> AttemptOutcome {
        do {
            let answer = try TraceResponse(decoding: response)
            if answer.success { return .accepted }
            return .retry(reason: "no success: \(answer.message)", after: nil)
        } catch { return .retry(reason: "the answer is no TraceResponse", after: nil) }
    }

    private static func outcome(of error: GRPCCallError) -> AttemptOutcome {
        switch error.status {
        case .resourceExhausted:
            let asked = RetryInfo.delaySeconds(in: error.details)
            return .retry(reason: error.message, after: asked)
        case .unavailable, .deadlineExceeded, .aborted, .cancelled, .unknown, .internal:
            return .retry(reason: error.message, after: nil)
        case .ok, .invalidArgument, .notFound, .alreadyExists, .permissionDenied,
            .failedPrecondition, .outOfRange,
            .unimplemented, .dataLoss, .unauthenticated:
            return .refused(reason: "\(error)")
        }
    }
}
