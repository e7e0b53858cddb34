import OperatorTools
import Testing

struct RetryScheduleTests {
    private let busy = AttemptOutcome.retry(reason: "busy", after: nil)

    @Test func acceptedIsDone() {
        var schedule = RetrySchedule(giveUpAfterSeconds: nil)
        #expect(schedule.next(after: .accepted, elapsedSeconds: 0, jitter: 0) == .done)
        #expect(schedule.retries == 0)
    }

    @Test func refusedIsFinal() {
        var schedule = RetrySchedule(giveUpAfterSeconds: nil)
        let decision = schedule.next(after: .refused(reason: "bad"), elapsedSeconds: 0, jitter: 0)
        #expect(decision == .fail(reason: "bad"))
    }

    @Test func waitsDoubleUpToTheLongest() {
        var schedule = RetrySchedule(giveUpAfterSeconds: nil)
        let waits = (0..<12).map { _ -> Double in
            guard case .wait(let seconds) = schedule.next(after: busy, elapsedSeconds: 0, jitter: 1)
            else { return -1 }
            return seconds
        }
        #expect(Array(waits.prefix(4)) == [0.1, 0.2, 0.4, 0.8])
        #expect(waits.last == RetrySchedule.longestWaitSeconds)
        #expect(schedule.retries == 12)
    }

    @Test func jitterTakesUpToHalf() {
        var low = RetrySchedule(giveUpAfterSeconds: nil)
        #expect(low.next(after: busy, elapsedSeconds: 0, jitter: 0) == .wait(seconds: 0.05))
    }

    @Test func theServersDelayIsAFloor() {
        var schedule = RetrySchedule(giveUpAfterSeconds: nil)
        let asked = AttemptOutcome.retry(reason: "busy", after: 2)
        #expect(schedule.next(after: asked, elapsedSeconds: 0, jitter: 0) == .wait(seconds: 2))
        let absurd = AttemptOutcome.retry(reason: "busy", after: 1e9)
        let longest = RetrySchedule.longestAskedWaitSeconds
        #expect(
            schedule.next(after: absurd, elapsedSeconds: 0, jitter: 0) == .wait(seconds: longest)
        )
    }

    @Test func givesUpWhenTheNextWaitPassesTheEnd() {
        var schedule = RetrySchedule(giveUpAfterSeconds: 10)
        #expect(schedule.next(after: busy, elapsedSeconds: 9.9, jitter: 1) == .wait(seconds: 0.1))
        let last = schedule.next(after: busy, elapsedSeconds: 9.9, jitter: 1)
        #expect(last == .fail(reason: "busy (gave up after 2 attempts)"))
    }
}
