import Testing
import TraceMetrics
import TraceModel

@testable import AggregatorRole

/// Tests when the number of unaccounted events is known.
struct QuietAccountTests {
    private static let second: Int64 = 1_000_000_000

    @Test func onlyWhatStaysMissingIsUnaccounted() {
        var account = QuietAccount()
        func read(
            _ written: UInt64,
            lag: UInt64 = 0,
            isUp: Bool = true,
            at time: Int64
        ) -> QuietAccount.Finding {
            let worker = WorkerName(resource: .io, index: 0)
            let router = RouterStatus(
                receivedEvents: 20,
                deduplicatedEvents: 1,
                rejectedEvents: 2,
                deadLetteredEvents: 3,
                workers: [WorkerLink(worker: worker, connected: isUp, lagBytes: lag)],
                uncertainEvents: 100
            )
            return account.read(router, written: written, isUp: isUp, now: time * Self.second)
        }
        for time in Int64(0)..<5 { #expect(read(4, at: time) == .unknown) }
        // All is reported anew before it counts.
        #expect(read(4, at: 5) == .needsReports)
        #expect(read(4, at: 9) == .unknown)
        #expect(read(4, at: 10) == .unaccounted(10))
        // A later count restarts the wait, and so does a worker that is disconnected or lags.
        #expect(read(5, at: 11) == .unknown)
        #expect(read(5, at: 15) == .unknown)
        #expect(read(5, at: 16) == .needsReports)
        #expect(read(5, at: 21) == .unaccounted(9))
        #expect(read(5, lag: 1, at: 22) == .unknown)
        #expect(read(5, at: 30) == .unknown)
        #expect(read(5, isUp: false, at: 40) == .unknown)
        #expect(read(5, at: 41) == .unknown)
        #expect(read(5, at: 46) == .needsReports)
        // What is reported anew may be less: reports of events that are lost were above the checkpoints.
        #expect(read(3, at: 47) == .unknown)
        #expect(read(3, at: 52) == .needsReports)
        #expect(read(3, at: 57) == .unaccounted(11))
        #expect(read(14, at: 58) == .unknown)
        #expect(read(14, at: 63) == .needsReports)
        #expect(read(14, at: 68) == .unaccounted(0))
        // More written than received events are no loss.
        #expect(read(15, at: 69) == .unknown)
        #expect(read(15, at: 74) == .needsReports)
        #expect(read(15, at: 99) == .unknown)
    }

    /// Workers are asked too if more events are accounted for than were received, though none are uncertain.
    @Test(arguments: [(9, false), (10, false), (11, true)]) func whatIsCountedTwiceIsReportedAnew(
        written: UInt64,
        isAsked: Bool
    ) {
        var account = QuietAccount()
        let worker = WorkerName(resource: .io, index: 0)
        let router = RouterStatus(
            receivedEvents: 20,
            deduplicatedEvents: 0,
            rejectedEvents: 0,
            deadLetteredEvents: 10,
            workers: [WorkerLink(worker: worker, connected: true, lagBytes: 0)],
            uncertainEvents: 0
        )
        let findings = (Int64(0)..<20).map {
            account.read(router, written: written, isUp: true, now: $0 * Self.second)
        }
        #expect(findings.filter { $0 != .unknown } == (isAsked ? [.needsReports] : []))
    }
}
