import Testing
import TraceMetrics
import TraceModel

@testable import AggregatorRole

/// Tests when the number of unaccounted events is known.
struct QuietAccountTests {
    private static let second: Int64 = 1_000_000_000

    @Test func onlyWhatStaysMissingIsUnaccounted() {
        var account = QuietAccount()
        func ask(_ written: UInt64, lag: UInt64 = 0, isUp: Bool = true, at time: Int64) -> UInt64? {
            let worker = WorkerName(resource: .io, index: 0)
            let router = RouterStatus(
                receivedEvents: 20,
                deduplicatedEvents: 1,
                rejectedEvents: 2,
                deadLetteredEvents: 3,
                workers: [WorkerLink(worker: worker, connected: isUp, lagBytes: lag)],
                uncertainEvents: 100
            )
            let now = time * Self.second
            return account.unaccounted(by: router, written: written, isUp: isUp, now: now)
        }
        for time in Int64(0)..<5 { #expect(ask(4, at: time) == nil) }
        #expect(ask(4, at: 5) == 10)
        // A later count restarts the wait, and so does a worker that is disconnected or lags.
        #expect(ask(5, at: 6) == nil)
        #expect(ask(5, at: 10) == nil)
        #expect(ask(5, at: 11) == 9)
        #expect(ask(5, lag: 1, at: 12) == nil)
        #expect(ask(5, at: 20) == nil)
        #expect(ask(5, isUp: false, at: 30) == nil)
        #expect(ask(5, at: 31) == nil)
        #expect(ask(5, at: 36) == 9)
        #expect(ask(14, at: 37) == nil)
        #expect(ask(14, at: 42) == 0)
        // More written than received events are no loss.
        #expect(ask(15, at: 43) == nil)
        #expect(ask(15, at: 99) == nil)
    }
}
