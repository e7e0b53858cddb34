import ActivityMonitoring
import Testing
import TraceModel

private let second: Int64 = 1_000_000_000
private let worker = ClusterMember.worker(WorkerName(resource: .function, index: 0))

@Suite struct ActivityMonitorTests {
    private let pause = Int64(Limits.pauseSeconds)
    private let late = Int64(Limits.heartbeatLateMilliseconds) * 1_000_000

    @Test func aPauseIsToldOnceAfterTheLastBatch() {
        var monitor = ActivityMonitor(now: 0, inactivitySeconds: nil)
        #expect(monitor.tick(now: 1_000 * second).isEmpty)
        monitor.batchReceived(now: 1_000 * second)
        monitor.batchReceived(now: 1_010 * second)
        let deadline = (1_010 + pause) * second
        #expect(monitor.nextDeadline(now: 1_010 * second) == deadline)
        #expect(monitor.tick(now: deadline - 1).isEmpty)
        #expect(monitor.tick(now: deadline) == [.paused(seconds: Int(pause))])
        #expect(monitor.tick(now: deadline + 1_000 * second).isEmpty)
        #expect(monitor.nextDeadline(now: deadline) == nil)
        monitor.batchReceived(now: deadline + 2_000 * second)
        #expect(monitor.nextDeadline(now: deadline) == deadline + (2_000 + pause) * second)
    }

    @Test func inactivityCountsFromTheStartAndFromTheLastBatch() {
        var monitor = ActivityMonitor(now: 5 * second, inactivitySeconds: 10)
        #expect(monitor.tick(now: 15 * second - 1).isEmpty)
        #expect(monitor.tick(now: 15 * second) == [.inactive(seconds: 10)])
        #expect(monitor.tick(now: 100 * second).isEmpty)
        monitor.batchReceived(now: 100 * second)
        #expect(monitor.tick(now: 109 * second).isEmpty)
        #expect(monitor.tick(now: 111 * second) == [.inactive(seconds: 11)])
        // The end finalizes all there is: no pause on top of it.
        #expect(monitor.tick(now: 1_000 * second).isEmpty)
    }

    @Test func aLongTimeoutLetsThePauseComeFirst() {
        var monitor = ActivityMonitor(now: 0, inactivitySeconds: Int(pause) * 2)
        monitor.batchReceived(now: 0)
        #expect(monitor.tick(now: pause * second) == [.paused(seconds: Int(pause))])
        #expect(monitor.tick(now: 2 * pause * second) == [.inactive(seconds: Int(pause) * 2)])
    }

    @Test func aSilentMemberIsLateOnceAndThenRecovers() {
        var monitor = ActivityMonitor(now: 0, inactivitySeconds: nil)
        monitor.expect(worker, now: 0)
        monitor.heard(from: worker, now: second)
        monitor.expect(worker, now: 2 * second)
        #expect(monitor.nextDeadline(now: 0) == second + late)
        #expect(monitor.tick(now: second + late - 1).isEmpty)
        #expect(
            monitor.tick(now: second + late) == [.late(worker, silentSeconds: Int(late / second))]
        )
        #expect(monitor.tick(now: 50 * second).isEmpty)
        #expect(monitor.nextDeadline(now: 50 * second) == nil)
        monitor.heard(from: worker, now: 61 * second)
        #expect(monitor.nextDeadline(now: 61 * second) == 61 * second)
        #expect(monitor.tick(now: 61 * second) == [.recovered(worker, silentSeconds: 60)])
        #expect(monitor.tick(now: 62 * second).isEmpty)
    }

    @Test func lateMembersComeInTheirOrder() {
        let names: [ClusterMember] = [
            .router, .aggregator, worker, .worker(WorkerName(resource: .function, index: 10)),
            .worker(WorkerName(resource: .cpu, index: 2)),
        ]
        var monitor = ActivityMonitor(now: 0, inactivitySeconds: nil)
        for name in names.reversed() { monitor.expect(name, now: 0) }
        #expect(monitor.tick(now: 10 * second) == names.map { .late($0, silentSeconds: 10) })
    }

    @Test func aForgottenMemberStaysForgotten() {
        var monitor = ActivityMonitor(now: 0, inactivitySeconds: nil)
        monitor.expect(worker, now: 0)
        _ = monitor.tick(now: 10 * second)
        monitor.heard(from: worker, now: 11 * second)
        monitor.forget(worker)
        monitor.heard(from: worker, now: 12 * second)
        #expect(monitor.tick(now: 100 * second).isEmpty)
        #expect(monitor.nextDeadline(now: 100 * second) == nil)
    }
}
