import SystemIO
package import TraceModel

/// What every sending command needs: the connection, retries, Ctrl-C, and a line that shows progress.
package final class SendingSession {
    /// How long a command that has an end waits for one batch to be accepted.
    package static let patienceSeconds = 60

    package let stop: StopSignal
    package let sender: RetryingSender
    package let progress = ProgressLine()
    private let transport: GRPCBatchTransport
    /// Where there is no terminal to show progress.
    private var teller: WaitTeller?
    private let startedAt = WallClock.monotonic()

    /// Before any other thread starts, as it takes over SIGINT and SIGTERM. `close` must be called in
    /// every case. `giveUpAfterSeconds`: of one batch; nil: never.
    package init(server: HostPort, giveUpAfterSeconds: Double?) throws {
        stop = try StopSignal()
        stop.raiseOnInterrupt()
        transport = GRPCBatchTransport(server: server)
        sender = RetryingSender(
            transport: transport,
            stop: stop,
            giveUpAfterSeconds: giveUpAfterSeconds
        )
        if Terminal.error.isTerminal {
            sender.onRetry = { [progress] reason, seconds in
                let wait = (seconds * 10).rounded() / 10
                progress.update("Waiting \(wait) s: \(server): \(reason)")
            }
        } else {
            let teller = WaitTeller(of: "\(server)")
            sender.onBegin = { teller.begin() }
            sender.onRetry = { reason, _ in teller.failed(reason) }
            sender.onAcknowledged = { teller.end() }
            self.teller = teller
        }
    }

    package func close() {
        teller?.stop()
        progress.clear()
        transport.close()
    }

    /// Seconds since the session began.
    package var elapsedSeconds: Double { Double(WallClock.monotonic() - startedAt) / 1e9 }

    package func batches(host: String, eventsMax: Int) -> BatchSession {
        BatchSession(
            sender: sender,
            identity: ClientIdentity(),
            host: host,
            batchEventsMax: eventsMax
        )
    }

    /// Runs the work; false where Ctrl-C ended it. Rethrows every other error. The progress line is gone
    /// afterwards, so that the summary stands alone.
    @discardableResult
    package func runInterruptibly(_ work: () throws -> Void) throws -> Bool {
        defer { progress.clear() }
        do {
            try work()
            return true
        } catch is Interrupted {
            return false
        }
    }
}
